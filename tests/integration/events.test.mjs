// The main job: a change of tools on a real MCP server arrives on Redis, at local subscribers and on the terminal, once each.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import test from 'node:test';
import { bin, startBroker } from './lib/broker.mjs';
import { start } from './lib/process.mjs';
import { startEverything } from './lib/programs.mjs';
import { startRedis } from './lib/redis.mjs';
import { startSessionServer, startStatelessServer } from './lib/servers.mjs';
import { until } from './lib/wait.mjs';

const eras = { session: startSessionServer, stateless: startStatelessServer };

for (const [era, startServer] of Object.entries(eras)) {
  test(`a change on a server of the ${era} era reaches Redis and a local subscriber, once each`, async (t) => {
    const redis = await startRedis(t);
    const server = await startServer(t);
    const messages = await redis.subscribe('mcp:tools_changed');
    const broker = await startBroker(t, {
      servers: { weather: { url: server.url, name: 'Weather "now"', workspaceId: 'w/1', userId: 'u1' } },
      args: ['--redis', redis.url, '--workers', '2'],
    });
    const watch = await broker.watch();
    const shown = await broker.untilState('weather', 'listening');
    assert.equal(shown.era, era);
    assert.equal(shown.connected, true);
    assert.equal(shown.supportsListChanged, true);
    assert.equal(shown.workspaceId, 'w/1');
    assert.equal(shown.userId, 'u1');
    assert.match(shown.serverInfo, new RegExp(`^${era}-server/`));

    const before = Date.now();
    server.addTool('two');
    await until('the event on Redis', () => messages.length > 0);
    const { text, event } = messages[0];
    assert.equal(event.serverId, 'weather');
    assert.equal(event.serverName, 'Weather "now"');
    assert.equal(event.workspaceId, 'w/1');
    assert.ok(event.timestamp >= before && event.timestamp <= Date.now());
    assert.equal(event.reason, 'notification');
    assert.equal(event.generation, 1);
    assert.ok(text.startsWith('{"serverId":"weather","serverName":"Weather \\"now\\"","workspaceId":"w/1","timestamp":'));

    await until('the event at the local subscriber', () => watch.events().length > 0);
    const { kind, ...local } = watch.events()[0];
    assert.equal(kind, 'tools');
    assert.deepEqual(local, event);

    // a second change is the barrier behind which a double of the first one would have come
    await until('the first change to be settled', async () => (await broker.ask('show', 'weather')).published === 1);
    server.removeTool('two');
    await until('the second event', () => messages.length > 1 && watch.events().length > 1);
    assert.deepEqual(messages.map((each) => each.event.generation), [1, 2]);
    assert.deepEqual(watch.events().map((each) => each.generation), [1, 2]);
  });
}

test('with --enrich the event tells what changed, its count and its hash', async (t) => {
  const redis = await startRedis(t);
  const server = await startSessionServer(t, { tools: ['kept', 'gone'] });
  const messages = await redis.subscribe('mcp:tools_changed');
  const broker = await startBroker(t, {
    servers: { s: { url: server.url, workspaceId: 'w1' } },
    args: ['--redis', redis.url, '--workers', '1', '--enrich', '--coalesce', '0'],
  });
  await until('the list to be known', async () => (await broker.ask('show', 's')).toolCount === 2);
  server.addTool('new');
  await until('the event', () => messages.length > 0);
  const { event } = messages[0];
  assert.deepEqual(Object.keys(event), ['serverId', 'serverName', 'workspaceId', 'timestamp', 'reason', 'generation',
    'toolsHash', 'toolCount', 'added', 'removed', 'changed']);
  assert.deepEqual([event.added, event.removed, event.changed], [['new'], [], []]);
  assert.equal(event.toolCount, 3);
  assert.match(event.toolsHash, /^[0-9a-f]{32}$/);
  server.removeTool('gone');
  await until('the second event', () => messages.length > 1);
  assert.deepEqual(messages[1].event.removed, ['gone']);
  assert.notEqual(messages[1].event.toolsHash, event.toolsHash);
});

test('events of other machines reach local subscribers; what is no event does not', async (t) => {
  const redis = await startRedis(t);
  const broker = await startBroker(t, { args: ['--redis', redis.url, '--workers', '1'] });
  const watch = await broker.watch();
  await until('Redis to be up', async () => (await broker.ask('status')).redis.state === 'up');
  const foreign = { serverId: 'far', serverName: 'Far', workspaceId: 'w9', timestamp: Date.now(), reason: 'notification' };
  for (const rubbish of ['{', '[]', '"text"', '{"serverId":1}', 'x'.repeat(100_000)]) {
    await redis.publish('mcp:tools_changed', rubbish);
  }
  await redis.publish('mcp:tools_changed', JSON.stringify(foreign));
  await redis.publish('mcp:prompts_changed', JSON.stringify(foreign));
  await until('both events', () => watch.events().length >= 2);
  assert.deepEqual(watch.events(), [{ kind: 'tools', ...foreign }, { kind: 'prompts', ...foreign }]);
});

test('watch chooses by workspace, server and kind, and says when it missed some', async (t) => {
  const redis = await startRedis(t);
  const broker = await startBroker(t, { args: ['--redis', redis.url, '--workers', '1'] });
  const all = await broker.watch();
  const chosen = await broker.watch('--workspace', 'w1', '--server', 'a', '--kind', 'prompts');
  const lines = start(join(bin, 'mcp-brokerctl'), ['--run-dir', broker.runDir, 'watch', '--server', 'b', '--count', '1']);
  await until('it to watch', () => lines.stderr.includes('watching'));
  await until('Redis to be up', async () => (await broker.ask('status')).redis.state === 'up');
  const event = (serverId, workspaceId) =>
    JSON.stringify({ serverId, serverName: 'The \u001b[2Jname', workspaceId, timestamp: 1, reason: 'notification', generation: 7, added: ['x'] });
  for (const workspace of ['w1', 'w2']) {
    for (const server of ['a', 'b']) {
      for (const kind of ['tools', 'prompts', 'resources']) await redis.publish(`mcp:${kind}_changed`, event(server, workspace));
    }
  }
  await until('all of them', () => all.events().length === 12);
  await until('the chosen one', () => chosen.events().length > 0);
  assert.deepEqual(chosen.events().map(({ kind, serverId, workspaceId }) => [kind, serverId, workspaceId]), [['prompts', 'a', 'w1']]);
  assert.equal((await lines.exit).code, 0);
  assert.match(lines.stdout, /^\d\d:\d\d:\d\d tools {5}b \(The \?\[2Jname\) workspace=w1 reason=notification generation=7 \+x\n$/);

  // what comes while it does not take anything is more than anybody keeps for it
  process.kill(all.process.pid, 'SIGSTOP');
  t.after(() => all.process.kill('SIGCONT'));
  const more = 20_000;
  const publisher = redis.client();
  await Promise.all(Array.from({ length: more }, (_, i) => publisher.publish('mcp:tools_changed', event(`flood-${i}`, 'w1'))));
  const relayed = async () => (await broker.ask('workers')).hub.counters.relayed;
  await until('the hub to have told all of them', async () => (await relayed()) === more + 12, 60_000);
  process.kill(all.process.pid, 'SIGCONT');
  const missed = () => [...all.process.stderr.matchAll(/missed up to (\d+) events/g)].reduce((sum, [, count]) => sum + Number(count), 0);
  // an event behind the gap makes it known
  await until('it to say so', async () => {
    await publisher.publish('mcp:tools_changed', event('last', 'w1'));
    return missed() > 0;
  });
  await until('it to have all others', () => all.events().filter(({ serverId }) => serverId.startsWith('flood-')).length + missed() >= more);
});

test('without Redis everything else works', async (t) => {
  const server = await startStatelessServer(t);
  const broker = await startBroker(t, { servers: { s: { url: server.url, workspaceId: 'w1' } }, args: ['--workers', '1'] });
  const watch = await broker.watch('--workspace', 'w1');
  const elsewhere = await broker.watch('--workspace', 'w2');
  await broker.untilState('s', 'listening');
  server.addTool('two');
  await until('the event', () => watch.events().length > 0);
  assert.equal(watch.events()[0].serverId, 's');
  await until('it to count as published', async () => (await broker.ask('show', 's')).published === 1);
  assert.deepEqual(elsewhere.events(), []);
});

test('a ping from the server is answered', async (t) => {
  const server = await startSessionServer(t);
  const broker = await startBroker(t, { servers: { s: { url: server.url } }, args: ['--workers', '1'] });
  await broker.untilState('s', 'listening');
  assert.deepEqual(await server.ping(), [{}]);
});

test('server-everything is listened to over Streamable HTTP', async (t) => {
  const { url } = await startEverything(t, 'streamableHttp');
  const broker = await startBroker(t, { servers: { everything: { url } }, args: ['--workers', '1'] });
  const shown = await broker.untilState('everything', 'listening');
  assert.equal(shown.era, 'session');
  await until('its tools to be listed', async () => (await broker.ask('show', 'everything')).toolCount > 5);
});
