// Processes that are killed at a chosen instruction: gdb holds them there, and ends them with SIGKILL. What they were at must
// be found and finished by whoever comes after them: each change is told, under an id of its own, rows are whole, and a
// connect that was answered is kept.
//
// The places are functions of the debug build; a build without its symbols, or a machine that forbids to debug, skips all this.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { bin, childrenOf, isAlive, startBroker } from './lib/broker.mjs';
import { startFleet } from './lib/fleet.mjs';
import { run, start } from './lib/process.mjs';
import { startRedis } from './lib/redis.mjs';
import { until } from './lib/wait.mjs';

const programs = { worker: join(bin, 'mcp-broker-worker'), hub: join(bin, 'mcp-broker-hub'), supervisor: join(bin, 'mcp-broker') };
const quiet = ['-nx', '-batch', '-iex', 'set confirm off', '-iex', 'set debuginfod enabled off', '-iex', 'set auto-solib-add off'];

async function whyNot() {
  const { stdout, stderr } = await run('gdb', [...quiet, programs.worker, '-ex', 'info line store_payload']).catch(() => ({ stdout: '', stderr: 'no gdb' }));
  if (!/^Line \d+ of/m.test(stdout)) return `no place to stop: ${stderr.trim().split('\n').at(-1)}`;
  const sleeper = start('sleep', ['60']);
  const tried = await run('gdb', ['-nx', '-batch', '-p', String(sleeper.pid), '-ex', 'detach']);
  sleeper.kill('SIGKILL');
  return /ptrace|not permitted/.test(tried.stderr) && 'this machine forbids to debug';
}
const skip = await whyNot();

/** Attaches, and goes through `steps`: places to go on to, or commands that begin with a colon. Gives gdb, which says `there`
 * before its last command, a kill if nothing else is asked for. */
async function attach(t, role, pid, steps, last = 'kill') {
  const commands = steps.flatMap((step) => (step.startsWith(':') ? [step.slice(1)] : [`tbreak ${step}`, 'continue']));
  const gdb = start('gdb', [...quiet, programs[role], '-ex', `attach ${pid}`, '-ex', 'echo attached\\n',
    ...[...commands, 'echo there\\n', last].flatMap((command) => ['-ex', command])]);
  t.after(() => gdb.kill('SIGKILL'));
  await until(`gdb to wait in ${role}`, () => {
    if (gdb.ended) throw new Error(gdb.stdout + gdb.stderr);
    return gdb.stdout.includes('attached');
  });
  gdb.done = until(`the ${role} to be where it is killed`, () => (gdb.ended ? gdb.stdout.includes('there') || assert.fail(gdb.stdout + gdb.stderr) : false), 30_000);
  return gdb;
}

/** A fleet, a broker with a stream, and what must be true at the end. */
async function startScene(t) {
  const redis = await startRedis(t);
  const fleet = await startFleet(t, 6);
  const broker = await startBroker(t, {
    servers: fleet.definitions, args: ['--workers', '1', '--redis', redis.url, '--stream', 'feed', '--allow-net', '127.0.0.0/8', '--debuggable'],
  });
  await broker.untilAll('listening', 6);
  await until('the lists to be known', async () => (await broker.states()).every((each) => each.toolCount === 1));
  const pids = { worker: await broker.workerPid(0), hub: await broker.hubPid(), supervisor: broker.main.pid };
  async function check(count = 6) {
    await broker.untilAll('listening', count);
    await until('every last change to be told', async () => {
      const last = new Map((await redis.entries('feed')).map(({ event }) => [event.serverId, event.timestamp]));
      const untold = fleet.filter((server) => server.changedAt && !(last.get(server.id) >= server.changedAt));
      return untold.length === 0 || Promise.reject(new Error(untold.map(({ id }) => id).join(' ')));
    });
    await until('nothing to be owed', async () => (await broker.ask('status')).unpublished === 0);
    const contents = new Map();
    for (const { id, event } of await redis.entries('feed')) {
      const content = `${event.serverId} ${event.generation} ${event.timestamp}`;
      assert.equal(contents.get(id) ?? content, content, `${id} is one event`);
      contents.set(id, content);
    }
    for (const server of fleet.slice(0, 6)) assert.equal((await broker.ask('show', server.id)).serverId, server.id);
  }
  return { redis, fleet, broker, pids, check };
}

/** A worker that hears of a change. */
const worker = {
  'before a change is written': ['table_change'],
  'at the beginning of its row': ['table_change', 'store_payload'],
  'in the middle of its row': ['table_change', 'store_payload', ':next 40'],
  'with the row written, and not released': ['table_change', 'write_end'],
  'with the generation begun, before the bell': ['table_change', 'publish_note'],
  'with the bell made, before it is sent': ['table_change', 'bell_write'],
  'before the list is compared': ['conn_list_fetched'],
  'before the list is stored': ['conn_list_fetched', 'store_payload', ':next 20'],
};

/** A hub that has to tell it. */
const hub = {
  'when the bell has been heard': ['relay_ring'],
  'before Redis is asked': ['redis_conn_publish'],
  'in the middle of what Redis is asked': ['send_publish'],
  'between the answer of Redis and its note': ['relay_answered'],
  'before the note of what is published': ['table_set_published'],
  'in the middle of a transaction of the registry': ['registry_store_level', 'registry_store_level'],
  'before a transaction of the registry is committed': ['registry_store_level', 'registry_commit'],
};

describe('killed at an instruction', { concurrency: 2, skip }, () => {
  for (const [role, places] of Object.entries({ worker, hub })) {
    for (const [where, steps] of Object.entries(places)) {
      test(`a ${role} ${where}`, async (t) => {
        const { fleet, pids, check } = await startScene(t);
        const gdb = await attach(t, role, pids[role], steps);
        for (const server of fleet) server.change();
        await gdb.done;
        await until('it to be dead', () => !isAlive(pids[role]));
        fleet[0].change();
        await check();
      });
    }
  }

  for (const [where, steps] of Object.entries({
    'before a connect is durable': ['registry_put_server'],
    'in the middle of making it durable': ['registry_put_server', 'run_durably'],
    'when a connect is durable, before it is answered': ['registry_put_server', ':finish'],
  })) {
    test(`a hub ${where}`, async (t) => {
      const { fleet, broker, pids, check } = await startScene(t);
      const [live] = await startFleet(t, 1).then((more) => [Object.assign(more[0], { url: more.definitions[more[0].id].url })]);
      const gdb = await attach(t, 'hub', pids.hub, steps);
      const connecting = broker.ctl(['connect', '--id', 'live', '--url', live.url]);
      fleet[0].change();
      await gdb.done;
      assert.equal((await connecting).code, 3, 'who asks has no answer');
      await until('the next hub to answer', async () => (await broker.ctl(['ping'])).code === 0);
      if (where.startsWith('when')) await broker.untilState('live', 'listening');
      else assert.equal((await broker.connect('live', live.url)).server?.state, 'listening', 'and may ask again');
      await check(7);
      await broker.stop();
      await broker.start();
      await broker.untilState('live', 'listening');
      await check(7);
    });
  }

  test('a supervisor that is about to replace a worker', async (t) => {
    const { fleet, broker, pids, check } = await startScene(t);
    const gdb = await attach(t, 'supervisor', pids.supervisor, ['uv_spawn']);
    const children = childrenOf(pids.supervisor).filter((pid) => pid !== gdb.pid);
    process.kill(pids.worker, 'SIGKILL');
    for (const server of fleet) server.change();
    await gdb.done;
    await until('its children to be gone', () => children.every((pid) => !isAlive(pid)));
    await broker.start();
    await check();
  });

  test('a worker in an endless loop is found, killed and replaced', { skip: process.arch !== 'x64' && 'the loop is of another machine' }, async (t) => {
    const { fleet, broker, pids, check } = await startScene(t);
    const gdb = await attach(t, 'worker', pids.worker, ['table_change', ':set var *(unsigned short *)$pc = 0xfeeb'], 'detach'); // jumps to itself
    for (const server of fleet) server.change();
    await gdb.done;
    const died = await until('it to be replaced', () => broker.log('child.died').find((each) => each.child === 'worker-0'), 30_000);
    assert.match(JSON.stringify(died), /SIGKILL|signal.*9|hang|heartbeat/i);
    assert.ok(!isAlive(pids.worker));
    await check();
  });
});
