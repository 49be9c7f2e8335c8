// Other workers, and other numbers of them, while lists change: every change is told, and no server is held by two for
// longer than it takes to hand it over.
import assert from 'node:assert/strict';
import { copyFile, mkdir, readlink, rename } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';
import { bin, newSite, startBroker } from './lib/broker.mjs';
import { startFleet } from './lib/fleet.mjs';
import { start } from './lib/process.mjs';
import { startRedis } from './lib/redis.mjs';
import { until } from './lib/wait.mjs';

/** A hand-over takes the time to close one stream and to open another, on a busy machine. */
const handOver = 2000;

/** A fleet and a broker with a stream; `changing(what)` does it while lists change at random. */
async function startShape(t, workers) {
  const redis = await startRedis(t);
  const fleet = await startFleet(t, 12);
  const broker = await startBroker(t, {
    servers: fleet.definitions, args: ['--redis', redis.url, '--stream', 'feed', '--workers', String(workers)],
  });
  const untilSettled = (count) =>
    until(`all servers to listen with ${count} workers, each held once`, async () => {
      const servers = await broker.states();
      const used = new Set(servers.map((each) => each.worker));
      const good = servers.length === fleet.length && servers.every((each) => each.connected) &&
        [...used].every((worker) => worker < count) && (count > 1 ? used.size > 1 : used.size === 1) &&
        fleet.every((server) => server.streams.size === 1);
      return good || Promise.reject(new Error(JSON.stringify(servers.map((each) => [each.worker, each.state]))));
    }, 30_000);
  const untilTold = () =>
    until('every last change to be told', async () => {
      const last = new Map((await redis.entries('feed')).map(({ event }) => [event.serverId, event.timestamp]));
      const untold = fleet.filter((server) => server.changedAt && !(last.get(server.id) >= server.changedAt));
      return untold.length === 0 || Promise.reject(new Error(untold.map((server) => server.id).join(' ')));
    });
  async function changing(what) {
    let i = 0;
    const timer = setInterval(() => fleet[(i++ * 7) % fleet.length].change(), 10);
    try {
      await what();
    } finally {
      clearInterval(timer);
    }
    await untilTold();
  }
  await untilSettled(workers);
  for (const server of fleet) server.mostStreams = 1;
  const checkOwners = () => {
    assert.ok(fleet.every((server) => server.mostStreams <= 2), `streams at once: ${fleet.map((server) => server.mostStreams)}`);
    assert.ok(fleet.every((server) => server.longestOverlap < handOver), `ms held twice: ${fleet.map((server) => server.longestOverlap)}`);
    return Math.max(...fleet.map((server) => Math.round(server.longestOverlap)));
  };
  return { broker, untilSettled, changing, checkOwners };
}

test('scale 1 to 4 to 2 while lists change', async (t) => {
  const { broker, untilSettled, changing, checkOwners } = await startShape(t, 1);
  for (const workers of [4, 2]) {
    await changing(async () => {
      await broker.ask('scale', String(workers));
      await untilSettled(workers);
    });
    const { workers: listed } = await broker.ask('workers');
    assert.deepEqual(listed.map((each) => each.worker), Array.from({ length: workers }, (_, i) => i));
    assert.equal((await broker.ask('status')).workers.configured, workers);
  }
  t.diagnostic(`held twice for ${checkOwners()} ms at most`);
});

test('TTIN and TTOU are one worker more and one fewer', async (t) => {
  const { broker, untilSettled, changing, checkOwners } = await startShape(t, 2);
  for (const [signal, workers] of [['SIGTTIN', 3], ['SIGTTOU', 2], ['SIGTTOU', 1]]) {
    await changing(async () => {
      broker.main.kill(signal);
      await until('the number of workers', async () => (await broker.ask('status')).workers.configured === workers);
      await untilSettled(workers);
    });
  }
  checkOwners();
  broker.main.kill('SIGTTOU'); // the last one stays
  await until('the refusal', () => broker.log('workers.not_scaled').length > 0);
});

for (const [what, roll] of [['roll', (broker) => broker.ask('roll')], ['USR2', (broker) => broker.main.kill('SIGUSR2')]]) {
  test(`${what} replaces all workers, one after another, while lists change`, async (t) => {
    const { broker, untilSettled, changing, checkOwners } = await startShape(t, 3);
    const pids = async () => (await broker.ask('workers')).workers.map((each) => each.pid);
    const before = await pids();
    await changing(async () => {
      await roll(broker);
      await until('the roll to be done', () => broker.log('roll.done').length > 0, 30_000);
      await untilSettled(3);
    });
    const after = await pids();
    assert.ok(after.every((pid) => !before.includes(pid)));
    t.diagnostic(`held twice for ${checkOwners()} ms at most`);
    // one at a time: none was started before the one ahead of it was ready
    const steps = broker.log().filter((each) => /^worker-/.test(each.child ?? '') && /^child\.(started|ready)$/.test(each.event)).slice(6);
    assert.deepEqual(steps.map((each) => `${each.child} ${each.event.slice(6)}`),
      [0, 1, 2].flatMap((i) => [`worker-${i} started`, `worker-${i} ready`]));
  });
}

test('after a new installation roll brings the new program into service', async (t) => {
  const fleet = await startFleet(t, 2);
  const site = await newSite(t);
  const folder = join(site.folder, 'bin');
  const worker = join(folder, 'mcp-broker-worker');
  await mkdir(folder);
  for (const name of ['mcp-broker', 'mcp-broker-hub', 'mcp-broker-worker', 'mcp-broker-keeper']) await copyFile(join(bin, name), join(folder, name));
  await site.writeServers(fleet.definitions);
  const main = start(join(folder, 'mcp-broker'), [...site.flags, '--servers', site.serversFile, '--workers', '1', '--log-format', 'json'],
    { env: { ...process.env, REDIS_URL: '' } });
  t.after(() => main.kill() && main.exit);
  const program = async () => readlink(`/proc/${(await site.ask('workers')).workers[0].pid}/exe`);
  await site.untilAll('listening', 2);
  await copyFile(join(bin, 'mcp-broker-worker'), `${worker}.new`);
  await rename(`${worker}.new`, worker);
  assert.equal(await program(), `${worker} (deleted)`);
  await site.ask('roll');
  await until('the roll to be done', () => main.stderr.includes('roll.done'));
  assert.equal(await program(), worker);
  await site.untilAll('listening', 2);
});
