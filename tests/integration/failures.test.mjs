// What dies, hangs, or is damaged: the state afterwards, and that no change is lost by it.
import assert from 'node:assert/strict';
import { readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { childrenOf, isAlive, startBroker } from './lib/broker.mjs';
import { startFleet } from './lib/fleet.mjs';
import { startHostileServer } from './lib/hostile.mjs';
import { residentKb, run, toleranceKb } from './lib/process.mjs';
import { startRedis } from './lib/redis.mjs';
import { until } from './lib/wait.mjs';

/** {hub: pid, 'worker-0': pid, …} of the processes there are just now. */
const processesOf = (broker) =>
  Object.fromEntries(childrenOf(broker.main.pid).flatMap((pid) => {
    try {
      return [[readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')[0], pid]];
    } catch {
      return []; // gone in between
    }
  }));

/** Redis is away for as long as 20,000 changes take, or longer. */
const outageSeconds = Number(process.env.MCP_BROKER_OUTAGE_SECONDS ?? 0);

const killAll = async (broker) => {
  const pids = Object.values(processesOf(broker));
  broker.main.kill('SIGKILL');
  for (const pid of pids) process.kill(pid, 'SIGKILL');
  await broker.main.exit;
};

describe('failures', { concurrency: 3 }, () => {
  test('a worker that dies again and again is taken out of service; its servers go to the others', async (t) => {
    const fleet = await startFleet(t, 10);
    const broker = await startBroker(t, { servers: fleet.definitions, args: ['--workers', '2'] });
    const watch = await broker.watch();
    const before = await broker.untilAll('listening', 10);
    const moving = Object.values(before).filter((each) => each.worker === 1);
    assert.ok(moving.length > 0 && moving.length < 10);
    const isOut = () => broker.log('child.died').some((each) => each.child === 'worker-1' && /^out of service/.test(each.decision));
    const deadline = performance.now() + 40_000;
    while (!isOut()) {
      assert.ok(performance.now() < deadline, 'it is still restarted');
      const pid = processesOf(broker)['worker-1'];
      if (pid) process.kill(pid, 'SIGKILL');
      await pause(5);
    }
    assert.ok(broker.log('child.died').some((each) => each.child === 'worker-1' && /^restart in/.test(each.decision)), 'with back-off before');
    await until('all servers to be with the other worker', async () => {
      const servers = await broker.states();
      return servers.every((each) => each.worker === 0 && each.connected);
    });
    const { workers } = await broker.ask('status');
    assert.deepEqual([workers.configured, workers.outOfService], [2, 1]);
    assert.deepEqual((await broker.ask('workers')).workers.map((each) => each.outOfService), [false, true]);
    assert.match((await broker.ctl(['status'])).stdout, /1 out of service/);
    assert.match((await broker.ctl(['workers'])).stdout, /^1 .* out of service$/m);
    for (const each of moving) fleet.find((server) => server.id === each.serverId).change();
    await until('their events', () => moving.every((each) => watch.events().some((event) => event.serverId === each.serverId)));

    broker.main.kill('SIGHUP'); // whoever reloads has mended something: it is tried at once
    await until('the worker to be back', async () => (await broker.ask('status')).workers.outOfService === 0);
    await until('its servers to be back', async () => (await broker.states()).filter((each) => each.worker === 1 && each.connected).length === moving.length);
  });

  test('a hub that dies while the servers file is wrong goes on with the servers from before', async (t) => {
    const fleet = await startFleet(t, 3);
    const [kept, changing, added] = fleet;
    const definitions = ({ id }) => fleet.definitions[id];
    process.env.FLEET_TOKEN = 'planted-token';
    const servers = { [kept.id]: { ...definitions(kept), headers: { 'X-Token': '${FLEET_TOKEN}' } }, [changing.id]: definitions(changing) };
    const broker = await startBroker(t, { servers, args: ['--workers', '1'] });
    const watch = await broker.watch();
    const before = await broker.untilAll('listening', 2);

    await broker.writeServers('{"mcpServers": {"half a file');
    await until('the error to be told', async () => /servers\.json:1/.test((await broker.ask('status')).serversFile.error ?? ''));
    process.kill(processesOf(broker).hub, 'SIGKILL');
    await until('the hub to answer', async () => (await broker.ctl(['ping'])).code === 0 && broker.log('servers_file.last_good').length > 0);
    const after = await broker.untilAll('listening', 2);
    for (const id of Object.keys(before)) assert.equal(after[id].connectedSince, before[id].connectedSince, `${id} was not disturbed`);
    assert.match((await broker.ask('status')).serversFile.error, /servers\.json:1/);
    changing.change();
    await until('the event', () => watch.events().some((event) => event.serverId === changing.id));

    // without the copy nothing is known; then nothing is done, and nothing is taken away
    for (const end of ['', '-wal', '-shm']) await rm(join(broker.stateDir, `registry.db${end}`), { force: true });
    process.kill(processesOf(broker).hub, 'SIGKILL');
    await until('the hub to see it', () => broker.log('servers_file.none').length > 0);
    changing.change();
    assert.deepEqual([kept.opened, changing.opened], [1, 1]);
    await broker.writeServers({ ...servers, [added.id]: definitions(added) });
    broker.main.kill('SIGHUP');
    await broker.untilAll('listening', 3);
    assert.deepEqual([kept.opened, changing.opened], [1, 1]);
    await until('the event of meanwhile', async () => {
      const { generation, published } = await broker.ask('show', changing.id);
      return generation === 2 && published === 2;
    });
    await broker.stop();
    for (const name of await readdir(broker.stateDir)) {
      assert.ok(!(await readFile(join(broker.stateDir, name))).includes('planted-token'), `${name}: it is not needed any more`);
    }
    assert.doesNotMatch(broker.main.stderr, /planted-token/);
  });

  test('a broker that is killed and started at once waits for the processes of the old one', async (t) => {
    const fleet = await startFleet(t, 8);
    const broker = await startBroker(t, { servers: fleet.definitions, args: ['--workers', '2'] });
    await broker.untilAll('listening', 8);
    const old = broker.main;
    old.kill('SIGKILL');
    await broker.start();
    await broker.untilAll('listening', 8);
    assert.equal(old.ended?.signal, 'SIGKILL');
    assert.deepEqual(fleet.map((server) => server.mostStreams), Array(8).fill(1), 'no server was ever held by both');
  });

  test('a process that hung when its supervisor was killed is ended by the next start', async (t) => {
    const fleet = await startFleet(t, 2);
    const broker = await startBroker(t, { servers: fleet.definitions, args: ['--workers', '1'] });
    await broker.untilAll('listening', 2);
    const old = processesOf(broker);
    process.kill(old['worker-0'], 'SIGSTOP');
    broker.main.kill('SIGKILL');
    await until('the hub to leave', () => !isAlive(old.hub));
    await broker.start();
    assert.ok(broker.log('leftover.killed').some((each) => each.child_pid === old['worker-0']));
    await until('it to be gone', () => !isAlive(old['worker-0']));
    await broker.untilAll('listening', 2);
  });

  test('a hub that hangs is found, killed and replaced', async (t) => {
    const fleet = await startFleet(t, 2);
    const broker = await startBroker(t, { servers: fleet.definitions, args: ['--workers', '1'] });
    await broker.untilAll('listening', 2);
    const { hub } = processesOf(broker);
    process.kill(hub, 'SIGSTOP');
    fleet[0].change();
    await until('another hub', () => (processesOf(broker).hub ?? hub) !== hub, 30_000);
    await until('the change to be told', async () => {
      const { generation, published } = await broker.ask('show', fleet[0].id);
      return generation === 1 && published === 1;
    });
    assert.deepEqual(fleet.map((server) => server.opened), [1, 1]);
  });

  test('a damaged registry is set aside; the file servers are back', async (t) => {
    const fleet = await startFleet(t, 2);
    const [filed, live] = fleet;
    const broker = await startBroker(t, {
      servers: { [filed.id]: fleet.definitions[filed.id] }, args: ['--workers', '1', '--allow-net', '127.0.0.0/8'],
    });
    await broker.ask('connect', '--id', live.id, '--url', fleet.definitions[live.id].url);
    for (const name of await readdir(broker.stateDir)) {
      assert.equal((await stat(join(broker.stateDir, name))).mode & 0o777, 0o600, name);
    }
    await broker.stop();
    const path = join(broker.stateDir, 'registry.db');
    const rubbish = Buffer.alloc(8192, 'rubbish ');
    await writeFile(path, rubbish);
    await broker.start();
    await broker.untilAll('listening', 1);
    const [damaged] = broker.log('registry.damaged');
    assert.equal(damaged.level, 'error');
    assert.equal(damaged.begun_anew, path);
    assert.ok(damaged.kept_as.startsWith(`${path}.damaged-`));
    assert.deepEqual(await readFile(damaged.kept_as), rubbish);
    assert.equal((await stat(damaged.kept_as)).mode & 0o777, 0o600);
  });

  test('a connect that was answered outlives the loss of everything but the disk', async (t) => {
    const [live] = await startFleet(t, 1).then((fleet) => [Object.assign(fleet[0], { url: fleet.definitions[fleet[0].id].url })]);
    const broker = await startBroker(t, { args: ['--workers', '1', '--allow-net', '127.0.0.0/8'] });
    await broker.ask('connect', '--id', live.id, '--url', live.url);
    await killAll(broker);
    await rm(join(broker.runDir, 'table'));
    await broker.start();
    await broker.untilState(live.id, 'listening');
  });

  test('after a power failure every list counts as changed, and no generation comes twice', async (t) => {
    const redis = await startRedis(t);
    const fleet = await startFleet(t, 2);
    const broker = await startBroker(t, { servers: fleet.definitions, args: ['--workers', '1', '--redis', redis.url, '--stream', 'feed'] });
    await broker.untilAll('listening', 2);
    fleet[0].change();
    await until('the event', async () => (await redis.entries('feed')).length === 1);
    await killAll(broker);
    await rm(join(broker.runDir, 'table'));
    fleet[0].version = 0; // taken back: the list is what it was when the registry heard of it last
    await broker.start();
    await until('an event of each', async () => new Set((await redis.entries('feed')).slice(1).map(({ event }) => event.serverId)).size === 2);
    const entries = await redis.entries('feed');
    assert.equal(new Set(entries.map((entry) => entry.id)).size, entries.length);
    assert.ok(entries.every(({ event }) => event.serverId !== fleet[0].id || event.generation === 1 || event.generation > 1000));
    // and an ordinary stop is believed
    await until('both to be published', async () => (await broker.states()).every((each) => each.published === each.generation));
    await pause(2500); // until the lists are sure
    await broker.stop();
    await rm(join(broker.runDir, 'table'));
    await broker.start();
    await broker.untilAll('listening', 2);
    await until('the lists to be compared', async () => (await broker.states()).every((each) => each.verifiedAt));
    assert.equal((await redis.entries('feed')).length, entries.length);
  });

  test('what is known of servers that left the file while nothing ran is forgotten; their generations are not used again', async (t) => {
    const redis = await startRedis(t);
    const fleet = await startFleet(t, 3);
    const [kept, gone, live] = fleet;
    const broker = await startBroker(t, {
      servers: { [kept.id]: fleet.definitions[kept.id], [gone.id]: fleet.definitions[gone.id] },
      args: ['--workers', '1', '--redis', redis.url, '--stream', 'feed', '--allow-net', '127.0.0.0/8'],
    });
    await broker.untilAll('listening', 2);
    await broker.connect(live.id, fleet.definitions[live.id].url);
    for (const each of fleet) each.change();
    await until('an event of each', async () => (await redis.entries('feed')).length === 3);
    const startWith = async (servers) => {
      await broker.stop();
      await rm(join(broker.runDir, 'table'));
      await broker.writeServers(servers);
      await broker.start();
      await broker.untilAll('listening', Object.keys(servers).length + 1);
    };
    await startWith({ [kept.id]: fleet.definitions[kept.id] });
    assert.deepEqual(broker.log('watchlist.forgotten').map(({ servers }) => servers), [1]);
    await startWith({ [kept.id]: fleet.definitions[kept.id], [gone.id]: fleet.definitions[gone.id] });
    assert.deepEqual(broker.log('watchlist.forgotten'), [], 'once');
    gone.change();
    const events = async () => (await redis.entries('feed')).filter(({ event }) => event.serverId === gone.id);
    await until('its event', async () => (await events()).length >= 2);
    const ids = (await redis.entries('feed')).map((entry) => entry.id);
    assert.equal(new Set(ids).size, ids.length);
  });

  test('bells that are dropped between worker and hub are counted, shown, and made up for', async (t) => {
    const redis = await startRedis(t);
    const fleet = await startFleet(t, 50);
    const broker = await startBroker(t, {
      servers: fleet.definitions, args: ['--workers', '1', '--redis', redis.url, '--stream', 'feed', '--coalesce', '0', '--bell-queue', '1', '--log-level', 'info'],
    });
    await broker.untilAll('listening', 50);
    const { hub } = processesOf(broker);
    const worker = async () => (await broker.ask('workers')).workers[0].counters;
    const before = (await worker()).changes;
    process.kill(hub, 'SIGSTOP'); // it hears nothing, and the sockets fill
    for (let i = 0; i < 200; i++) {
      for (const server of fleet) server.change();
      await pause(5);
    }
    process.kill(hub, 'SIGCONT');
    const untold = async () => {
      const last = new Map((await redis.entries('feed')).map(({ event }) => [event.serverId, event.timestamp]));
      return fleet.filter((server) => !(last.get(server.id) >= server.changedAt)).map((server) => server.id);
    };
    await until('every last change to be told', async () => {
      const ids = await untold();
      return ids.length === 0 || Promise.reject(new Error(ids.join(' ')));
    });
    const { events } = await broker.ask('status');
    assert.ok((await worker()).changes > before);
    assert.ok(events.bellGaps > 0, JSON.stringify(events));
    assert.match((await broker.ctl(['status'])).stdout, /gap/);
  });

  test('the memory of the hub does not grow with an outage of Redis', async (t) => {
    const redis = await startRedis(t);
    const fleet = await startFleet(t, 50);
    const broker = await startBroker(t, {
      servers: fleet.definitions, args: ['--workers', '1', '--redis', redis.url, '--coalesce', '0', '--log-level', 'info'],
      env: { ASAN_OPTIONS: 'quarantine_size_mb=1' },
    });
    const messages = await redis.subscribe('mcp:tools_changed');
    await broker.untilAll('listening', 50);
    const { hub } = processesOf(broker);
    const changes = async () => (await broker.ask('workers')).workers[0].counters.changes;
    async function change(count) {
      const wanted = (await changes()) + count;
      while ((await changes()) < wanted) {
        for (let i = 0; i < 20; i++) for (const server of fleet) server.change();
        await pause(10);
      }
    }
    await change(5000);
    await until('all of it to be published', async () => (await broker.ask('status')).unpublished === 0);
    await redis.stop();
    await until('Redis to be down', async () => (await broker.ask('status')).redis.state === 'down');
    await change(2000);
    const [before, begun, count] = [residentKb(hub), performance.now(), await changes()];
    do {
      await change(20_000);
    } while (performance.now() - begun < outageSeconds * 1000);
    const grown = residentKb(hub) - before;
    t.diagnostic(`${before} KB, ${grown} KB more after ${(await changes()) - count} changes`);
    assert.ok(grown < toleranceKb(hub, before), `${grown} KB more`);
    assert.equal((await broker.ask('status')).unpublished, 50);
    messages.length = 0;
    await redis.start();
    await until('one event of each', () => new Set(messages.map(({ event }) => event.serverId)).size === 50);
    await until('all of it to be published', async () => (await broker.ask('status')).unpublished === 0);
    assert.ok(messages.length <= 52, `${messages.length} events`);
  });
});

test('a disk without room for the registry: changes are refused, everything else goes on', async (t) => {
  const [server, late] = await Promise.all([startHostileServer(t), startHostileServer(t)]);
  const broker = await startBroker(t, { servers: { s: { url: server.url } }, args: ['--workers', '1', '--allow-net', '127.0.0.0/8'] });
  await broker.untilTools('s', 2);
  const hub = await broker.hubPid();
  const limit = async (bytes) => assert.equal((await run('prlimit', ['--pid', String(hub), `--fsize=${bytes}`])).code, 0);
  await limit('4096:unlimited');
  const refused = await broker.connect('late', late.url);
  assert.match(refused.message ?? '', /stor|disk|registry|full/i);
  server.change();
  await until('the change', async () => (await broker.ask('show', 's')).generation === 1);
  assert.equal(late.requests.length, 0);
  await limit('unlimited');
  await until('room again', async () => (await broker.connect('late', late.url)).server);
  assert.equal(await broker.hubPid(), hub);
  assert.equal((await broker.ask('show', 's')).connects, 1);
});
