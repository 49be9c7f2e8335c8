// How a change of tools is found and told: by notification, by fingerprint after a (re)connect, by --verify, by --poll; in
// bursts and enriched; and over restarts of everything, which must neither invent a change nor miss one.
import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { describe, test } from 'node:test';
import { startBroker } from './lib/broker.mjs';
import { startHostileServer } from './lib/hostile.mjs';
import { startRedis } from './lib/redis.mjs';
import { startSessionServer, startStatelessServer } from './lib/servers.mjs';
import { until } from './lib/wait.mjs';

const noStream = { GET: (x) => x.send(405) };
const reasons = (events) => events.map(({ serverId, reason }) => `${serverId} ${reason}`);

describe('changes', { concurrency: 4 }, () => {
  test('--verify finds a change that was not told, publishes it, and replaces the stream that was deaf to it', async (t) => {
    const fleet = { session: await startHostileServer(t), stateless: await startHostileServer(t, { era: 'stateless' }), well: await startHostileServer(t) };
    const servers = Object.fromEntries(Object.entries(fleet).map(([id, { url }]) => [id, { url }]));
    const broker = await startBroker(t, { servers, args: ['--workers', '1', '--verify', '1s'] });
    const watch = await broker.watch('--kind', 'tools');
    await broker.untilAll('listening', 3);
    const before = await broker.untilTools('well', 2);
    fleet.session.tools = fleet.stateless.tools = ['one', 'two', 'three'];
    await until('both changes', () => watch.events().length === 2);
    assert.deepEqual(reasons(watch.events()).sort(), ['session verify', 'stateless verify']);
    await until('other streams', () => fleet.session.count('GET') === 2 && fleet.stateless.count('subscriptions/listen') === 2);
    await broker.untilTools('session', 3);
    await broker.untilTools('stateless', 3);
    const after = await until('the third one to be verified twice', async () => {
      const now = await broker.ask('show', 'well');
      return now.verifiedAt - before.verifiedAt >= 1500 && now;
    });
    assert.equal(after.connectedSince, before.connectedSince);
    fleet.well.tools = ['one'];
    fleet.well.change();
    await until('a change that was told', () => watch.events().length === 3);
    await broker.untilTools('well', 1);
    await until('it to be verified', async () => (await broker.ask('show', 'well')).verifiedAt > watch.events()[2].timestamp + 1200);
    assert.deepEqual(reasons(watch.events().slice(2)), ['well notification']);
    assert.equal(fleet.well.count('GET'), 1, 'what was told is no deafness');
  });

  test('servers without list-changed are polled, with the flag or the key', async (t) => {
    const [flagged, keyed, off] = await Promise.all([1, 2, 3].map(() => startHostileServer(t, { on: noStream })));
    const brokers = await Promise.all([
      startBroker(t, { servers: { flagged: { url: flagged.url } }, args: ['--workers', '1', '--poll', '1s'] }),
      startBroker(t, { servers: { keyed: { url: keyed.url, poll: '1s' }, off: { url: off.url } }, args: ['--workers', '1'] }),
    ]);
    for (const [i, server] of [flagged, keyed].entries()) {
      const watch = await brokers[i].watch('--kind', 'tools');
      const id = ['flagged', 'keyed'][i];
      const shown = await brokers[i].untilState(id, 'polling');
      assert.deepEqual([shown.connected, shown.supportsListChanged], [false, true]); // it advertises what it does not offer
      await until('the first list', async () => (await brokers[i].ask('show', id)).toolCount === 2);
      server.tools = ['one'];
      await until('the change', () => watch.events().length === 1);
      assert.deepEqual(reasons(watch.events()), [`${id} poll`]);
      const polls = server.count('tools/list');
      await until('two more polls', () => server.count('tools/list') >= polls + 2);
      const times = server.times('tools/list').slice(-2);
      assert.ok(times[1] - times[0] >= 790, `${times[1] - times[0]} ms`);
      assert.equal(watch.events().length, 1);
      assert.equal(server.count('initialize') - server.count('DELETE') <= 1, true, 'nothing is held between polls');
    }
    assert.equal((await brokers[1].ask('show', 'off')).state, 'unsupported');
    assert.equal(off.count('tools/list'), 0);
  });

  test('a poll that fails backs off, keeps the last good list, and the next one finds what changed', async (t) => {
    let isBroken = false;
    const server = await startHostileServer(t, { on: { ...noStream, 'tools/list': (x) => (isBroken ? x.error(-32603) : x.well()) } });
    const broker = await startBroker(t, { servers: { s: { url: server.url, poll: '1s' } }, args: ['--workers', '1', '--max-attempts', '1000'] });
    const watch = await broker.watch('--kind', 'tools');
    await until('the first list', async () => (await broker.ask('show', 's')).toolCount === 2);
    isBroken = true;
    const shown = await broker.untilState('s', 'backoff');
    assert.equal(shown.toolCount, 2);
    assert.match(shown.lastError, /-32603/);
    server.tools = ['one'];
    isBroken = false;
    await until('the change', () => watch.events().length === 1);
    assert.deepEqual(reasons(watch.events()), ['s poll']);
    assert.deepEqual((await broker.untilState('s', 'polling')).reconnectAttempts, 0);
  });

  test('--coalesce: the first at once, the rest one at the end of its window, again and again', async (t) => {
    const server = await startHostileServer(t);
    const broker = await startBroker(t, { servers: { s: { url: server.url } }, args: ['--workers', '1', '--coalesce', '400ms'] });
    const watch = await broker.watch('--kind', 'tools');
    await broker.untilTools('s', 2);
    const told = [];
    const change = () => {
      server.change();
      told.push(Date.now());
    };
    const ticking = setInterval(change, 20);
    await until('five events', () => watch.events().length >= 5).finally(() => clearInterval(ticking));
    change(); // within a window
    await until('the last of them', () => watch.events().at(-1).timestamp >= told.at(-1));
    const times = watch.events().map(({ timestamp }) => timestamp);
    assert.ok(times[0] - told[0] < 300, 'at once');
    for (const [i, time] of times.slice(1).entries()) assert.ok(time - times[i] >= 395, `${time - times[i]} ms`);
    assert.deepEqual(watch.events().map(({ generation }) => generation), times.map((_, i) => i + 1));
  });

  test('--enrich: an unchanged list is suppressed and counted; a list that cannot be had lets the plain event go', async (t) => {
    let isStalled = false;
    const server = await startHostileServer(t, { on: { 'tools/list': (x) => (isStalled ? undefined : x.well()) } });
    const broken = await startHostileServer(t, { on: { 'tools/list': (x, n) => (n === 1 ? x.well() : x.error(-32603)) } });
    const broker = await startBroker(t, {
      servers: { s: { url: server.url }, broken: { url: broken.url } }, args: ['--workers', '1', '--enrich', '--coalesce', '0'],
    });
    const watch = await broker.watch('--kind', 'tools');
    const counters = async () => (await broker.ask('workers')).workers[0].counters;
    await broker.untilTools('s', 2);
    await broker.untilTools('broken', 2);
    server.change();
    await until('it to be suppressed', async () => (await counters()).suppressed === 1);
    assert.deepEqual(watch.events(), []);

    broken.change();
    await until('the plain event of the broken one', () => watch.events().length === 1);
    const begun = performance.now();
    isStalled = true;
    server.change();
    await until('the plain event of the stalled one', () => watch.events().length === 2);
    const waited = performance.now() - begun;
    assert.ok(waited > 4900 && waited < 8000, `${waited} ms`);
    for (const event of watch.events()) {
      assert.equal(event.reason, 'notification');
      assert.ok(!('toolsHash' in event) && !('added' in event), JSON.stringify(event));
    }
  });

  for (const [what, isReboot] of [['a restart', false], ['a reboot', true]]) {
    test(`${what} of everything, twice, tells no false change and misses no true one`, async (t) => {
      const redis = await startRedis(t);
      const messages = await redis.subscribe('mcp:tools_changed');
      const fleet = await Promise.all(Array.from({ length: 20 }, (_, i) => (i % 2 ? startSessionServer : startStatelessServer)(t)));
      const servers = Object.fromEntries(fleet.map((server, i) => [`s${i}`, { url: server.url }]));
      const broker = await startBroker(t, { servers, args: ['--workers', '2', '--redis', redis.url] });
      const allVerified = (since) => until('all lists', async () => {
        const states = await broker.states();
        return states.length === 20 && states.every(({ state, verifiedAt }) => state === 'listening' && verifiedAt >= since);
      });
      const restart = async (meanwhile = () => {}) => {
        await broker.stop();
        meanwhile();
        if (isReboot) await rm(broker.runDir, { recursive: true });
        const since = Date.now();
        await broker.start();
        await allVerified(since);
      };
      await allVerified(1);
      fleet[0].addTool('before');
      await until('its event', () => messages.length === 1);
      await until('its list', async () => (await broker.ask('show', 's0')).toolCount === 2);
      await restart();
      await restart();
      // what changed just before may be told once more; nothing else is
      assert.deepEqual([...new Set(messages.map(({ event }) => event.serverId))], ['s0']);
      assert.ok(messages.length <= 2);

      messages.length = 0;
      const changed = ['s3', 's4', 's11'];
      await restart(() => changed.forEach((id) => fleet[Number(id.slice(1))].addTool('meanwhile')));
      await until('all true changes', () => messages.length === 3);
      assert.deepEqual(reasons(messages.map(({ event }) => event)).sort(), ['s11 reconnect', 's3 reconnect', 's4 reconnect']);
      fleet[5].addTool('after');
      await until('the next change', () => messages.length === 4);
      assert.deepEqual(reasons([messages[3].event]), ['s5 notification']);
    });
  }
});
