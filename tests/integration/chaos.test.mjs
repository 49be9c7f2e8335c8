// Everything at once: two hundred servers change their lists at random while workers, hub, supervisor and Redis are killed,
// held and started again, streams are cut, sessions forgotten, and workers scaled and rolled. At the end every last change
// must have been told, by an event that is not older than it; whatever the stream has twice has the same id twice.
//
// The sockets between the processes keep one message, so that what is lost on them is found, too.
//
// It fails when the relay is kept from sweeping: what was rung while the hub was dead or Redis away is then owed for ever.
//
// MCP_BROKER_CHAOS_SECONDS has it rage longer, MCP_BROKER_CHAOS_SEED differently.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { childrenOf, isAlive, startBroker } from './lib/broker.mjs';
import { startFleet } from './lib/fleet.mjs';
import { startRandom } from './lib/random.mjs';
import { startRedis } from './lib/redis.mjs';
import { until } from './lib/wait.mjs';

const seconds = Number(process.env.MCP_BROKER_CHAOS_SECONDS ?? 20);
const seed = Number(process.env.MCP_BROKER_CHAOS_SEED ?? 20260728);
const count = 200;
const reports = /(ERROR: (Address|Leak|Undefined|Thread)Sanitizer|runtime error:|Assertion .* failed)/;

test('chaos', { timeout: (seconds + 240) * 1000 }, async (t) => {
  const { below, isOneIn, pick } = startRandom(seed);
  const redis = await startRedis(t, '--appendonly', 'yes', '--appendfsync', 'no');
  const fleet = await startFleet(t, count);
  const broker = await startBroker(t, {
    servers: fleet.definitions,
    args: ['--workers', '3', '--redis', redis.url, '--stream', 'feed', '--stream-maxlen', '1000000', '--log-level', 'info', '--bell-queue', '1'],
  });
  await broker.untilAll('listening', count);
  await until('all lists to be known', async () => (await broker.states()).every((each) => each.toolCount === 1));

  const mains = [broker.main];
  const done = {};
  const processes = (role) => childrenOf(broker.main.pid).filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').startsWith(role);
    } catch {
      return false; // gone in between
    }
  });
  const signal = (pid, name) => {
    try {
      process.kill(pid, name);
    } catch {
      // gone in between
    }
  };
  async function hold(pid) {
    signal(pid, 'SIGSTOP');
    await pause(200 + below(1500));
    signal(pid, 'SIGCONT');
  }
  async function startAgain(name) {
    const old = broker.main;
    signal(old.pid, name);
    await until('the supervisor to be gone', () => !isAlive(old.pid), 30_000);
    await pause(below(1000));
    await broker.start();
    mains.push(broker.main);
  }
  async function restartRedis() {
    await redis.stop();
    await pause(below(2000));
    await redis.start();
  }
  const some = () => fleet.filter(() => isOneIn(10));
  const harm = {
    'worker killed': () => signal(pick(processes('worker')), 'SIGKILL'),
    'worker held': () => hold(pick(processes('worker'))),
    'hub killed': () => signal(processes('hub')[0], 'SIGKILL'),
    'hub held': () => hold(processes('hub')[0]),
    'hub and worker killed': () => ['hub', 'worker'].forEach((role) => signal(pick(processes(role)), 'SIGKILL')),
    'supervisor killed': () => startAgain('SIGKILL'),
    'broker stopped': () => startAgain('SIGTERM'),
    'Redis killed': restartRedis,
    'Redis held': () => hold(redis.server.pid),
    'streams cut': () => some().forEach((server) => server.cut()),
    'sessions forgotten': () => some().forEach((server) => server.forget()),
    scaled: () => broker.ctl(['scale', String(1 + below(4))]),
    rolled: () => broker.ctl(['roll']),
  };

  // A server changes for the last time in the middle of some harm, so that no later change makes up for what that took.
  let changes = 0;
  const lively = [...fleet];
  const change = (server, times = 1) => {
    for (let i = 0; i < times; i++) server.change();
    changes += times;
  };
  const changing = setInterval(() => {
    for (let i = below(4); i >= 0 && lively.length > 0; i--) change(pick(lively), isOneIn(10) ? 5 : 1);
  }, 10);
  const retire = (some) => {
    for (let i = 0; i < some && lively.length > 0; i++) change(lively.splice(below(lively.length), 1)[0]);
  };
  const deadline = performance.now() + seconds * 1000;
  const left = () => Math.max(0, deadline - performance.now()) / (seconds * 1000);
  while (left() > 0) {
    const what = pick(Object.keys(harm));
    done[what] = (done[what] ?? 0) + 1;
    const harming = harm[what]();
    for (let i = 0; i < 4; i++) {
      retire(Math.ceil((lively.length - count * left()) / (4 - i)));
      await pause(below(150));
    }
    await harming;
    await pause(200 + below(600));
  }
  clearInterval(changing);
  retire(count);

  await broker.untilAll('listening', count, 120_000);
  const lost = async () => {
    const last = new Map();
    for (const { event } of await redis.entries('feed')) last.set(event.serverId, Math.max(event.timestamp, last.get(event.serverId) ?? 0));
    return fleet.filter((server) => !(last.get(server.id) >= server.changedAt)).map((server) => server.id);
  };
  const owed = async () => (await broker.ask('status')).unpublished;
  await until('all of it to be told', async () => (await owed()) === 0 && (await lost()).length === 0, 75_000).catch(() => {});

  const entries = await redis.entries('feed');
  const { events, workers } = await broker.ask('status');
  const ids = new Set(entries.map((entry) => entry.id));
  const harms = Object.entries(done).map(([what, times]) => `${what} ${times}`).join(', ');
  t.diagnostic(`seed ${seed}, ${seconds} s: ${harms}`);
  t.diagnostic(`${changes} changes, ${ids.size} events, ${entries.length - ids.size} doubles, ${(await lost()).length} lost, ${await owed()} owed`);
  t.diagnostic(`${events.bellGaps} gaps between bells, ${events.swept} events found by sweeps, ${workers.configured} workers at the end`);
  const contents = new Map();
  for (const { id, event } of entries) {
    const content = `${event.serverId} ${event.generation} ${event.timestamp}`;
    assert.equal(contents.get(id) ?? content, content, `${id} is one event`);
    contents.set(id, content);
  }
  assert.deepEqual(await lost(), []);
  await until('each server to be held once', () => fleet.every((server) => server.streams.size === 1));
  for (const main of mains) assert.doesNotMatch(main.stderr, reports, 'a process of the broker reported an error');
});
