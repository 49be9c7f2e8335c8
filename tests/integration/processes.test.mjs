// Supervisor, hub and workers: sharing, dying, coming back, stopping.
import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { writeFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';
import { bin, childrenOf, isAlive, newSite, startBroker } from './lib/broker.mjs';
import { isSanitized, run } from './lib/process.mjs';
import { startRedis } from './lib/redis.mjs';
import { startSessionServer, startStatelessServer } from './lib/servers.mjs';
import { until } from './lib/wait.mjs';

const allListening = (broker, count) =>
  until(`${count} servers to listen`, async () => {
    const servers = await broker.states();
    const states = servers.map((each) => each.state);
    if (states.length === count && states.every((state) => state === 'listening')) return servers;
    throw new Error(states.join(' '));
  });

test('four workers share twenty servers, and each server is heard once', async (t) => {
  const redis = await startRedis(t);
  const fleet = await Promise.all(Array.from({ length: 20 }, (_, i) => (i % 2 ? startSessionServer : startStatelessServer)(t)));
  const servers = Object.fromEntries(fleet.map((server, i) => [`server-${i}`, { url: server.url, workspaceId: 'w1' }]));
  const messages = await redis.subscribe('mcp:tools_changed');
  const broker = await startBroker(t, { servers, args: ['--redis', redis.url, '--workers', '4'] });
  const states = await allListening(broker, 20);
  assert.deepEqual([...new Set(states.map((each) => each.worker))].sort(), [0, 1, 2, 3]);
  for (const server of fleet) server.addTool('more');
  await until('an event of each', () => new Set(messages.map((each) => each.event.serverId)).size === 20);
  assert.equal(messages.length, 20);
});

test('a killed worker comes back, its servers listen again, what changed meanwhile is told, others are not disturbed', async (t) => {
  const redis = await startRedis(t);
  const fleet = await Promise.all(Array.from({ length: 8 }, (_, i) => (i % 2 ? startSessionServer : startStatelessServer)(t)));
  const servers = Object.fromEntries(fleet.map((server, i) => [`server-${i}`, { url: server.url, workspaceId: 'w1' }]));
  const messages = await redis.subscribe('mcp:tools_changed');
  const broker = await startBroker(t, { servers, args: ['--redis', redis.url, '--workers', '2'] });
  await allListening(broker, 8);
  await until('all lists to be known', async () => (await broker.states()).every((each) => each.toolCount === 1));
  const before = await broker.states();
  const mine = before.filter((each) => each.worker === 0).map((each) => each.serverId);
  const others = before.filter((each) => each.worker === 1);
  assert.ok(mine.length > 0 && others.length > 0);

  const pid = await broker.workerPid(0);
  const limit = isSanitized(pid) ? 5000 : 1000;
  const killed = Date.now();
  process.kill(pid, 'SIGKILL');
  for (const id of mine) fleet[Number(id.split('-')[1])].addTool('while-away');
  await until('another process to have the slot', async () => {
    const now = await broker.workerPid(0);
    return now && now !== pid;
  });
  await allListening(broker, 8);
  const since = (events) => Math.max(...events.map((each) => Date.parse(each.time))) - killed;
  const restarted = since(broker.log('child.started').filter((each) => each.child === 'worker-0'));
  const resumed = since(broker.log('conn.state').filter((each) => each.to === 'listening' && mine.includes(each.server)));
  t.diagnostic(`restarted after ${restarted} ms, its servers listen after ${resumed} ms`);
  assert.ok(restarted < 1000 && resumed < limit, `${restarted} ms, ${resumed} ms`);
  await until('an event of each', () => mine.every((id) => messages.some((each) => each.event.serverId === id)));
  const after = await broker.states();
  for (const other of others) {
    const now = after.find((each) => each.serverId === other.serverId);
    assert.equal(now.connectedSince, other.connectedSince, `${other.serverId} belongs to another worker`);
  }
  assert.ok(!messages.some((each) => others.some((other) => other.serverId === each.event.serverId)));
});

test('a killed hub comes back; workers keep their connections; changes go out', async (t) => {
  const redis = await startRedis(t);
  const server = await startSessionServer(t);
  const messages = await redis.subscribe('mcp:tools_changed');
  const broker = await startBroker(t, { servers: { s: { url: server.url } }, args: ['--redis', redis.url, '--workers', '1'] });
  const before = await broker.untilState('s', 'listening');
  const pid = await broker.hubPid();
  process.kill(pid, 'SIGKILL');
  server.addTool('while-away');
  await until('the event', () => messages.length > 0);
  await until('the hub to answer', async () => (await broker.hubPid()) !== pid);
  const after = await broker.ask('show', 's');
  assert.equal(after.connectedSince, before.connectedSince);
  server.addTool('afterwards');
  await until('the second event', () => messages.some((each) => each.event.generation === 2));
});

test('when the supervisor is killed its children stop, and the next start goes on', async (t) => {
  const redis = await startRedis(t);
  const server = await startSessionServer(t);
  const messages = await redis.subscribe('mcp:tools_changed');
  const broker = await startBroker(t, { servers: { s: { url: server.url } }, args: ['--redis', redis.url, '--workers', '2'] });
  await broker.untilState('s', 'listening');
  await until('the list to be known', async () => (await broker.ask('show', 's')).toolCount === 1);
  await broker.stop('SIGKILL');
  server.addTool('while-away');
  await broker.start();
  await until('the event', () => messages.length > 0);
  assert.equal(messages[0].event.reason, 'reconnect');
});

test('servers come and go at run time; a connect is durable', async (t) => {
  const server = await startSessionServer(t);
  const broker = await startBroker(t, { args: ['--workers', '2', '--allow-net', '127.0.0.0/8'] });
  const watch = await broker.watch();
  const connected = await broker.ask('connect', '--id', 'live', '--url', server.url, '--workspace', 'w1', '--name', 'Live');
  assert.equal(connected.state, 'listening');
  assert.equal(connected.source, 'runtime');
  server.addTool('two');
  await until('the event', () => watch.events().some((each) => each.serverId === 'live'));

  await broker.stop();
  await broker.start();
  await broker.untilState('live', 'listening');

  const deletes = server.count('DELETE');
  await broker.ask('disconnect', 'live');
  await until('the session to be ended', () => server.count('DELETE') > deletes && server.sessions.size === 0);
  assert.equal((await broker.ctl(['show', 'live'])).code, 4);
  assert.equal((await broker.ctl(['disconnect', 'live'])).code, 4);
});

test('a changed servers file is applied: what is new connects, what is gone closes, the rest stays', async (t) => {
  const [kept, gone, added] = [await startSessionServer(t), await startSessionServer(t), await startSessionServer(t)];
  const broker = await startBroker(t, { servers: { kept: { url: kept.url }, gone: { url: gone.url } }, args: ['--workers', '2'] });
  const before = await broker.untilState('kept', 'listening');
  await broker.untilState('gone', 'listening');
  await broker.writeServers({ kept: { url: kept.url, name: 'Renamed' }, added: { url: added.url } });
  await broker.untilState('added', 'listening');
  await until('the session to be ended', () => gone.sessions.size === 0);
  await until('the new name', async () => (await broker.ask('show', 'kept')).serverName === 'Renamed');
  assert.equal((await broker.ask('show', 'kept')).connectedSince, before.connectedSince);
  assert.equal((await broker.ctl(['show', 'gone'])).code, 4);

  await broker.writeServers('{"mcpServers": {"kept": {"url": 7}}}');
  await until('the error to be told', async () => /servers\.json:1: mcpServers\.kept\.url/.test((await broker.ask('status')).serversFile.error ?? ''));
  assert.equal((await broker.states()).length, 2);
});

test('TERM leaves no process, socket or session', async (t) => {
  const fleet = [await startSessionServer(t), await startStatelessServer(t)];
  const servers = Object.fromEntries(fleet.map((server, i) => [`s${i}`, { url: server.url }]));
  const broker = await startBroker(t, { servers, args: ['--workers', '2'] });
  await allListening(broker, 2);
  const children = childrenOf(broker.main.pid);
  assert.equal(children.length, 3);
  assert.deepEqual(await broker.stop(), { code: 0, signal: null });
  assert.ok(children.every((pid) => !isAlive(pid)));
  assert.equal(fleet[0].sessions.size, 0);
  assert.deepEqual(readdirSync(broker.runDir).filter((name) => name.endsWith('.sock')), []);

  // with every process dead the table can still be asked
  const { code } = await broker.ctl(['states']);
  assert.equal(code, 3);
  const offline = await broker.ask('states', '--offline');
  assert.deepEqual(offline.servers.map((each) => each.serverId).sort(), ['s0', 's1']);
});

test('a table of another layout is refused by the command line, and replaced at the next start', async (t) => {
  const broker = await startBroker(t, { args: ['--workers', '1'] });
  await broker.stop();
  const { readFile } = await import('node:fs/promises');
  const path = join(broker.runDir, 'table');
  const bytes = await readFile(path);
  bytes.writeUInt32LE(999, 8);
  await writeFile(path, bytes);
  const refused = await broker.ctl(['states', '--offline']);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /layout 999/);
  await broker.start();
  assert.deepEqual(await broker.states(), []);
});

test('SIGSTOPped worker is found, killed and replaced', async (t) => {
  const server = await startSessionServer(t);
  const broker = await startBroker(t, { servers: { s: { url: server.url } }, args: ['--workers', '1'] });
  await broker.untilState('s', 'listening');
  const pid = await broker.workerPid(0);
  process.kill(pid, 'SIGSTOP');
  await until('another process to have the slot', async () => {
    const now = await broker.workerPid(0);
    return now && now !== pid && !isAlive(pid);
  }, 30_000);
  await broker.untilState('s', 'listening');
});
