// The defects of managers that live inside a web process, each by name, and what is true here instead. The servers are
// scripted (lib/hostile.mjs) where one must break, stall or count, and on the reference SDKs elsewhere.
import assert from 'node:assert/strict';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { startBroker } from './lib/broker.mjs';
import { event, stall, startHostileServer } from './lib/hostile.mjs';
import { freePort } from './lib/programs.mjs';
import { startRedis } from './lib/redis.mjs';
import { startSessionServer, startStatelessServer } from './lib/servers.mjs';
import { until } from './lib/wait.mjs';

const loopback = ['--allow-net', '127.0.0.0/8'];
const statesOf = (server) => server.history.flatMap(({ from, to }) => [from, to]);

describe('lifecycle', { concurrency: 4 }, () => {
  test('cap of connections: counted from the first byte of connecting, the rest waits in order', async (t) => {
    const ids = ['a', 'b', 'c', 'd', 'e', 'f'];
    const fleet = {};
    for (const id of ids) fleet[id] = await startHostileServer(t, { on: { 'server/discover': stall } });
    const asked = () => ids.filter((id) => fleet[id].count('server/discover') > 0);
    const broker = await startBroker(t, { args: ['--workers', '1', '--max-connections', '2', ...loopback] });
    for (const id of ids) await broker.connect(id, fleet[id].url, '--wait', '0');

    await until('two attempts, and the others to know why they wait', async () => {
      const states = await broker.states();
      const waiting = states.filter(({ state, lastError }) => state === 'queued' && lastError === 'limit: --max-connections 2 reached');
      return asked().length === 2 && waiting.length === 4;
    });
    await until('two to be counted', async () => (await broker.ask('workers')).workers[0].connections === 2);
    for (const [i, id] of ids.slice(0, 4).entries()) {
      assert.deepEqual(asked(), ids.slice(0, i + 2));
      await broker.ask('disconnect', id);
      await until('the next one to begin', () => asked().length === i + 3);
    }
    assert.deepEqual((await broker.states()).map(({ state, lastError }) => [state, lastError]), [['connecting', null], ['connecting', null]]);
  });

  test('deaf after the stream dies: a dead stream is a dead connection, shown and made again', async (t) => {
    let isDown = false;
    const outage = (x) => (isDown ? x.send(503) : x.well());
    const server = await startHostileServer(t, { on: { 'server/discover': outage, initialize: outage, GET: outage, DELETE: outage } });
    const broker = await startBroker(t, { servers: { s: { url: server.url } }, args: ['--workers', '1'] });
    await broker.untilTools('s', 2);
    isDown = true;
    server.cut();
    const shown = await until('it to be shown', async () => {
      const now = await broker.ask('show', 's');
      return now.state === 'backoff' && now;
    });
    assert.equal(shown.connected, false);
    assert.match(shown.lastError, /stream|503/);
    assert.equal(shown.connectedSince, null);
    isDown = false;
    const again = await broker.untilState('s', 'listening');
    assert.equal(again.connected, true);
    assert.equal(again.lastError, null);
  });

  test('GET 404 (session lost, server restarted) is retried, never re-initialized: a new session at once', async (t) => {
    const forgotten = (x) => x.headers['mcp-session-id'] === 'session-1' && x.server.count('initialize') === 1 && x.server.count('GET') > 1;
    const server = await startHostileServer(t, {
      on: { GET: (x) => (forgotten(x) ? x.error(-32001, { status: 404 }) : x.well().write(event('', { id: 'a', retry: 0 }))) },
    });
    const broker = await startBroker(t, { servers: { s: { url: server.url } }, args: ['--workers', '1', '--backoff-base', '1h', '--backoff-max', '1h'] });
    await broker.untilTools('s', 2);
    server.cut();
    await until('another session', () => server.count('initialize') === 2 && server.open().length === 1);
    const { reconnectAttempts, history } = await broker.untilState('s', 'listening');
    assert.equal(reconnectAttempts, 0);
    assert.ok(!history.some(({ to }) => to === 'backoff'));
  });

  test('GET 405 or a refused `initialized` leaves it held but deaf: never shown as connected', async (t) => {
    const noStream = { GET: (x) => x.send(405) };
    const refusing = await startHostileServer(t, { on: { 'notifications/initialized': (x) => x.send(500) } });
    const mute = await startHostileServer(t, { on: noStream });
    const polled = await startHostileServer(t, { on: noStream });
    const broker = await startBroker(t, {
      servers: { refusing: { url: refusing.url }, mute: { url: mute.url }, polled: { url: polled.url, poll: '1s' } },
      args: ['--workers', '1', '--max-attempts', '1'],
    });
    const shown = [
      await broker.untilState('refusing', 'failed'), await broker.untilState('mute', 'unsupported'), await broker.untilState('polled', 'polling'),
    ];
    assert.ok(shown.every((each) => !each.connected && !statesOf(each).includes('listening')));
    assert.match(shown[0].lastError, /initialized/);
    await until('the sessions to be ended', () => mute.count('DELETE') === 1 && refusing.count('DELETE') === 1);
  });

  for (const era of ['session', 'stateless']) {
    test(`changes during a disconnect, or between listing and listening, are lost: found by fingerprint (${era})`, async (t) => {
      let isDown = false, onStream = () => {};
      const step = era === 'session' ? 'GET' : 'subscriptions/listen';
      const outage = (x) => (isDown ? x.send(503) : x.well());
      const server = await startHostileServer(t, {
        era, on: { 'server/discover': outage, initialize: outage, [step]: (x) => { onStream(); return outage(x); } },
      });
      const broker = await startBroker(t, { servers: { s: { url: server.url } }, args: ['--workers', '1', '--enrich', '--stable-after', '0'] });
      const watch = await broker.watch();
      await broker.untilTools('s', 2);
      assert.deepEqual(watch.events().filter(({ kind }) => kind === 'tools'), [], 'first sight is no change');

      isDown = true;
      server.cut();
      await broker.untilState('s', 'backoff');
      server.tools = ['one', 'three'];
      isDown = false;
      const tools = () => watch.events().filter(({ kind }) => kind === 'tools');
      await until('the first event', () => tools().length === 1);
      onStream = () => (server.tools = ['one', 'three', 'four']); // after everything that comes before the stream
      server.cut();
      await until('the second event', () => tools().length === 2);
      assert.deepEqual(tools().map(({ reason, generation, added, removed }) => ({ reason, generation, added, removed })), [
        { reason: 'reconnect', generation: 1, added: ['three'], removed: ['two'] },
        { reason: 'reconnect', generation: 2, added: ['four'], removed: [] },
      ]);
    });
  }

  test('healthy but quiet servers are cut after 30 minutes, and nothing reopens them: idle means that nobody asked', async (t) => {
    const [quiet, asked, forgotten] = await Promise.all([1, 2, 3].map(() => startHostileServer(t)));
    const broker = await startBroker(t, {
      servers: { quiet: { url: quiet.url } },
      args: ['--workers', '1', '--idle-timeout', '4s', ...loopback],
    });
    const watch = await broker.watch('--kind', 'status');
    const before = (await broker.untilState('quiet', 'listening')).connectedSince;
    const since = (await broker.connect('asked', asked.url)).server.connectedSince;
    const touching = setInterval(() => broker.ctl(['touch', 'asked']), 400);
    const begun = performance.now();
    await broker.connect('forgotten', forgotten.url);
    try {
      const shown = await broker.untilState('forgotten', 'disabled');
      assert.ok(performance.now() - begun >= 3900);
      assert.match(shown.lastError, /^idle: nobody asked for it/);
      await until('its session to be ended', () => forgotten.count('DELETE') === 1);
      await until('it to be reported', () => watch.events().some((each) => each.serverId === 'forgotten' && each.state === 'disabled'));
      await until('some more idle time to pass', () => performance.now() - begun > 6000);
      assert.equal((await broker.ask('show', 'quiet')).connectedSince, before);
      assert.equal((await broker.ask('show', 'asked')).connectedSince, since);
    } finally {
      clearInterval(touching);
    }
    // both ways to ask for it again open it, and the answer of connect is that of now
    forgotten.tools = ['another'];
    await broker.ask('touch', 'forgotten');
    await broker.untilState('forgotten', 'listening');
    await until('what changed meanwhile', async () => (await broker.ask('show', 'forgotten')).generation === 1);
    await broker.untilState('asked', 'disabled');
    const { server } = await broker.connect('asked', asked.url);
    assert.equal(server.state, 'listening');
  });

  test('flapping: attempts go back to 0 at each success, so 1 s loops for ever: forgiven only after staying up', async (t) => {
    const shortly = (x) => setTimeout(() => x.listen().end(), 20);
    const flapping = await startHostileServer(t, { on: { GET: shortly } });
    const steady = await startHostileServer(t, { on: { GET: (x, n) => (n < 3 ? shortly(x) : x.well()) } });
    const broker = await startBroker(t, {
      servers: { flapping: { url: flapping.url }, steady: { url: steady.url } },
      args: ['--workers', '1', '--backoff-base', '20ms', '--max-attempts', '4', '--stable-after', '1s'],
    });
    const failed = await broker.untilState('flapping', 'failed');
    assert.equal(failed.reconnectAttempts, 4);
    assert.equal(failed.connects, 4);
    const listening = await broker.untilState('steady', 'listening');
    await until('failures to be forgiven', async () => (await broker.ask('show', 'steady')).reconnectAttempts === 0);
    const after = Date.now() - (await broker.ask('show', 'steady')).connectedSince;
    assert.ok(after >= 1000 && listening.connectedSince, `${after} ms`);
    assert.equal(flapping.count('initialize'), 4);
  });

  test('given up after 10 failures and forgotten: stays in the table as `failed`, retried slowly, and on demand', async (t) => {
    let isDown = true;
    const server = await startHostileServer(t, { on: { 'server/discover': (x) => (isDown ? x.send(503) : x.well()) } });
    const other = await startHostileServer(t, { on: { 'server/discover': (x) => (isDown ? x.send(503) : x.well()) } });
    const broker = await startBroker(t, {
      servers: { s: { url: server.url }, other: { url: other.url } },
      args: ['--workers', '1', '--backoff-base', '10ms', '--max-attempts', '10', '--backoff-max', '20ms', '--retry-failed', '1s'],
    });
    const shown = await broker.untilState('s', 'failed');
    assert.equal(shown.reconnectAttempts, 10);
    assert.match(shown.lastError, /HTTP 503/);
    assert.ok(shown.nextAttempt > Date.now() - 1000);
    await until('a slow retry', () => server.count('server/discover') === 11);
    const times = server.times('server/discover');
    const wait = times[10] - times[9];
    assert.ok(wait > 750 && wait < 3000, `${wait} ms`);
    await broker.untilState('other', 'failed');
    isDown = false;
    await broker.ask('reconnect', 'other');
    await broker.untilState('other', 'listening', 600);
    await broker.untilState('s', 'listening');
  });

  test('failure, cap, missing auth and missing capability are all one `false`: six different answers with six codes', async (t) => {
    const unauthorized = await startHostileServer(t, { on: { 'server/discover': (x) => x.send(401) } });
    const unsupported = await startHostileServer(t, { on: { GET: (x) => x.send(405) } });
    const slow = await startHostileServer(t, { on: { 'server/discover': stall } });
    const good = await startHostileServer(t);
    const broker = await startBroker(t, {
      args: ['--workers', '1', '--max-connections', '1', '--backoff-base', '1h', '--backoff-max', '1h', '--allow-net', '127.0.0.1/32'],
    });
    const answers = [
      ['failed', /refused|connect/i, 'closed', `http://127.0.0.1:${await freePort()}/mcp`],
      ['unauthorized', /401/, 'unauthorized', unauthorized.url],
      ['unsupported', /405/, 'unsupported', unsupported.url],
      ['refused', /127\.0\.0\.2|address|allow-net/, 'refused', good.url.replace('127.0.0.1', '127.0.0.2')],
      ['timed_out', /connecting/, 'slow', slow.url, '--wait', '300ms'],
      ['limit', /--max-connections 1 reached/, 'waiting', good.url],
    ];
    for (const [code, message, ...args] of answers) {
      const answer = await broker.connect(...args);
      assert.equal(answer.code, code, JSON.stringify(answer));
      assert.match(answer.message, message);
    }
    await broker.ask('disconnect', 'slow');
    const { server } = await broker.connect('waiting', good.url);
    const { state, connected, supportsListChanged, era, toolCount } = server;
    assert.deepEqual([state, connected, supportsListChanged, era, toolCount], ['listening', true, true, 'session', 2]);
  });

  test('edited or deleted configuration is ignored while connected: applied at once, and nothing else is touched', async (t) => {
    const [kept, edited, moved, target, deleted, off] = await Promise.all([1, 2, 3, 4, 5, 6].map(() => startHostileServer(t)));
    const servers = {
      kept: { url: kept.url }, edited: { url: edited.url, headers: { 'X-Key': 'one' } }, moved: { url: moved.url },
      deleted: { url: deleted.url }, off: { url: off.url },
    };
    const broker = await startBroker(t, { servers, args: ['--workers', '2'] });
    await broker.untilAll('listening', 5);
    const all = [kept, edited, moved, target, deleted, off];
    await until('all lists', () => all.every((each) => each === target || each.count('tools/list') === 1));
    const before = await broker.ask('show', 'kept');
    await broker.writeServers({
      kept: { url: kept.url, name: 'Renamed' }, edited: { url: edited.url, headers: { 'X-Key': 'two' } },
      moved: { url: target.url }, off: { url: off.url, enabled: false },
    });
    await until('another header', () => edited.requests.some(({ step, headers }) => step === 'GET' && headers['x-key'] === 'two'));
    await until('another address', () => target.open().length === 1);
    await until('all that is not wanted to be closed', () => [moved, deleted, off].every((each) => each.count('DELETE') === 1 && each.open().length === 0));
    await broker.untilState('off', 'disabled');
    const after = await until('the new name', async () => {
      const now = await broker.ask('show', 'kept');
      return now.serverName === 'Renamed' && now;
    });
    assert.equal(after.connectedSince, before.connectedSince);
    assert.deepEqual(kept.asked(), { 'subscriptions/listen': 1, 'server/discover': 1, initialize: 1, 'notifications/initialized': 1, GET: 1, 'tools/list': 1 });
    assert.equal((await broker.ctl(['show', 'deleted'])).code, 4);
    assert.deepEqual((await broker.states()).map((each) => each.generation), [0, 0, 0, 0], 'no change of tools');
  });

  test('a disconnect during a connect leaks the connection: cancels it, and the late answer changes nothing', async (t) => {
    const held = [];
    const server = await startHostileServer(t, { on: { initialize: (x) => held.push(x) } });
    const broker = await startBroker(t, { args: ['--workers', '1', ...loopback] });
    const watch = await broker.watch();
    const answer = broker.connect('s', server.url);
    await until('the attempt', () => held.length === 1);
    await broker.ask('disconnect', 's');
    assert.equal((await answer).code, 'not_found');
    await until('it to be cut', () => !held[0].isOpen);
    held[0].well();
    assert.equal((await broker.ctl(['show', 's'])).code, 4);
    await until('the worker to hold nothing', async () => (await broker.ask('workers')).workers[0].connections === 0);
    const asked = server.requests.length;
    assert.equal((await broker.connect('s', (await startHostileServer(t)).url)).server.state, 'listening');
    assert.equal(server.requests.length, asked);
    assert.equal(held.length, 1);
    assert.ok(!watch.events().some(({ kind }) => kind === 'tools'));
  });

  test('connections die with the process, and nothing is restored at start: neither a restart nor a reboot forgets', async (t) => {
    const [live, filed] = [await startSessionServer(t), await startStatelessServer(t)];
    const broker = await startBroker(t, { servers: { filed: { url: filed.url } }, args: ['--workers', '2', ...loopback] });
    await broker.connect('live', live.url, '--name', 'Live', '--workspace', 'w1');
    const known = async () => [await broker.untilTools('live', 1), await broker.untilTools('filed', 1)];
    await known();
    await broker.stop();
    await broker.start();
    const [restored] = await known();
    assert.deepEqual([restored.serverName, restored.workspaceId, restored.source], ['Live', 'w1', 'runtime']);

    await broker.stop();
    await rm(broker.runDir, { recursive: true, force: true }); // a reboot: only the state directory is left
    live.addTool('meanwhile');
    await broker.start();
    await broker.untilTools('live', 2);
    const shown = await broker.untilTools('filed', 1);
    assert.equal(shown.generation, 0, 'unchanged');
    assert.equal((await broker.ask('show', 'live')).generation, 1, 'changed while everything was down');
  });

  test('no DELETE of the session on close: sent on disconnect, reconnect, and when the broker stops', async (t) => {
    const server = await startSessionServer(t);
    const other = await startSessionServer(t);
    const broker = await startBroker(t, { args: ['--workers', '1', ...loopback] });
    await broker.connect('s', server.url);
    await broker.connect('other', other.url);
    await broker.ask('reconnect', 's');
    await until('another session in place of the first', () => server.count('DELETE') === 1 && server.sessions.size === 1);
    await broker.untilState('s', 'listening');
    await broker.ask('disconnect', 's');
    await until('no session', () => server.count('DELETE') === 2 && server.sessions.size === 0);
    await broker.stop();
    assert.deepEqual([other.count('DELETE'), other.sessions.size], [1, 0]);
  });

  test('1000 notifications are 1000 publishes: a burst is the first at once, and one at the end of the window', async (t) => {
    const redis = await startRedis(t);
    const messages = await redis.subscribe('mcp:tools_changed');
    const server = await startHostileServer(t);
    const broker = await startBroker(t, { servers: { s: { url: server.url } }, args: ['--workers', '1', '--redis', redis.url, '--coalesce', '1s'] });
    await broker.untilTools('s', 2);
    const begun = Date.now();
    const [x] = server.open();
    x.say(...Array.from({ length: 999 }, () => x.changed()));
    await until('the first event', () => messages.length === 1);
    assert.ok(messages[0].event.timestamp - begun < 800, 'at once');
    x.say(x.changed());
    const last = Date.now();
    await until('the second event', () => messages.length === 2);
    const [first, second] = messages.map(({ event }) => event.timestamp);
    assert.ok(second >= last && second - first >= 990, `${second - first} ms`);
    await until('all to be settled', async () => {
      const { notifications, generation, published } = await broker.ask('show', 's');
      return notifications === 1000 && generation === 2 && published === 2;
    });
    const { counters } = (await broker.ask('workers')).workers[0];
    assert.equal(counters.notifications, 1000);
    assert.equal(counters.coalesced, 998);
  });

  test('publishes queue without bound while Redis is away: one event for each server that changed', async (t) => {
    const redis = await startRedis(t);
    const fleet = await Promise.all([1, 2, 3, 4].map(() => startHostileServer(t)));
    const servers = Object.fromEntries(fleet.map((server, i) => [`s${i}`, { url: server.url }]));
    const broker = await startBroker(t, { servers, args: ['--workers', '2', '--redis', redis.url, '--coalesce', '0'] });
    await broker.untilAll('listening', 4);
    await redis.stop();
    await until('the loss to be seen', async () => (await broker.ask('status')).redis.state !== 'up');
    const changing = fleet.slice(1);
    for (let i = 0; i < 20; i++) for (const server of changing) server.change();
    await until('all changes to be heard', async () => (await broker.states()).filter((each) => each.generation === 20).length === 3);
    assert.equal((await broker.ask('status')).unpublished, 3);
    await redis.start();
    await until('all to be published', async () => (await broker.states()).every((each) => each.published === each.generation));
    const stats = await redis.client().info('commandstats');
    assert.equal(Number(stats.match(/cmdstat_publish:calls=(\d+)/)[1]), 3);
  });

  test('every replica holds its own connection, each publishes the same change: brokers share events, and have an instance', async (t) => {
    const redis = await startRedis(t);
    const fleet = [await startHostileServer(t), await startHostileServer(t)];
    const brokers = await Promise.all(fleet.map((server, i) =>
      startBroker(t, { servers: { [`s${i}`]: { url: server.url } }, args: ['--workers', '1', '--redis', redis.url, '--stream', 'feed'] })));
    const watches = await Promise.all(brokers.map((broker) => broker.watch('--kind', 'tools')));
    const instances = [];
    for (const [i, broker] of brokers.entries()) {
      await broker.untilTools(`s${i}`, 2);
      await until('Redis to be up', async () => (await broker.ask('status')).redis.state === 'up');
      instances.push((await broker.ask('status')).instance);
    }
    assert.notEqual(instances[0], instances[1]);
    for (const [i, server] of fleet.entries()) {
      server.change();
      await until('the event at both', () => watches.every((watch) => watch.events().length === i + 1));
    }
    assert.deepEqual(watches[0].events(), watches[1].events());
    assert.deepEqual(watches[0].events().map(({ serverId, generation }) => [serverId, generation]), [['s0', 1], ['s1', 1]]);
    assert.deepEqual(fleet.map((server) => server.count('GET')), [1, 1]);
    assert.deepEqual((await redis.entries('feed')).map(({ id }) => id), instances.map((instance, i) => `${instance}:s${i}:tools:1`));

    // who has the other watch the same server as well hears of its changes twice, and can tell the two apart
    await brokers[1].writeServers({ s0: { url: fleet[0].url }, s1: { url: fleet[1].url } });
    await brokers[1].untilTools('s0', 2);
    fleet[0].change();
    await until('both entries', async () => (await redis.entries('feed')).length === 4);
    assert.deepEqual((await redis.entries('feed')).slice(2).map(({ id }) => id).sort(),
      [`${instances[0]}:s0:tools:2`, `${instances[1]}:s0:tools:1`].sort());
    await brokers[0].stop();
    await brokers[0].start();
    assert.equal((await brokers[0].ask('status')).instance, instances[0], 'the instance is that of the state directory');
  });

  test('SSRF guard dropped on reconnect: the rules of now hold for every connection', async (t) => {
    const server = await startHostileServer(t);
    const site = await mkConfig(t, { 'allow-net': ['127.0.0.0/8'] });
    const broker = await startBroker(t, { args: ['--workers', '1', '--config', site.path] });
    assert.equal((await broker.connect('s', server.url)).server.state, 'listening');
    await site.write({});
    await broker.ask('reload');
    await until('the reload', () => broker.log('config.reloaded').length > 0);
    server.cut();
    const shown = await broker.untilState('s', 'refused');
    assert.match(shown.lastError, /127\.0\.0\.1|allow-net/);
    assert.equal(shown.nextAttempt, null);
    assert.equal(server.count('initialize'), 1);
  });

  test('credentials can appear in logged errors: in no log, row, event or answer, whatever goes wrong', async (t) => {
    const redis = await startRedis(t);
    const secret = 'planted-secret-9c44';
    const messages = await redis.subscribe('mcp:tools_changed', 'mcp:server_status');
    const echo = (status) => (x) =>
      x.send(status, { 'Content-Type': 'text/plain', 'WWW-Authenticate': `Bearer error="${secret}"` }, secret);
    const echoing = (status) => ({ 'server/discover': echo(status), initialize: echo(status) });
    const fleet = {
      good: await startHostileServer(t), denied: await startHostileServer(t, { on: echoing(401) }),
      broken: await startHostileServer(t, { on: echoing(500) }), odd: await startHostileServer(t, { on: echoing(200) }),
      moved: await startHostileServer(t, { on: { 'server/discover': (x) => x.send(302, { Location: `http://127.0.0.1/?${secret}` }) } }),
    };
    const withSecrets = (url) => ({
      url: `${url.replace('://', `://user:${secret}@`)}?key=${secret}`, headers: { Authorization: `Bearer ${secret}` }, workspaceId: 'w',
    });
    const servers = Object.fromEntries(Object.entries(fleet).map(([id, { url }]) => [id, withSecrets(url)]));
    servers.closed = withSecrets(`http://127.0.0.1:${await freePort()}/mcp`);
    const broker = await startBroker(t, {
      servers, args: ['--workers', '1', '--max-attempts', '2', '--redis', redis.url, '--status-events'],
    });
    await broker.untilState('good', 'listening');
    for (const id of ['broken', 'odd', 'moved', 'closed']) await broker.untilState(id, 'failed');
    await broker.untilState('denied', 'unauthorized');
    fleet.good.change();
    await until('the event', () => messages.some(({ channel }) => channel === 'mcp:tools_changed'));
    assert.ok(messages.some(({ channel }) => channel === 'mcp:server_status'));
    const told = [
      broker.main.stderr, JSON.stringify(await broker.states()), JSON.stringify(messages),
      JSON.stringify(await Promise.all(Object.keys(servers).map((id) => broker.ask('show', id)))),
      (await readFile(join(broker.runDir, 'table'))).toString('latin1'),
    ];
    assert.deepEqual(told.map((text) => text.includes(secret)), told.map(() => false));
    assert.ok(fleet.good.requests.some(({ headers }) => headers.authorization?.includes(secret)));
  });

  test('no diff, no sequence, no metrics, tools only: all of them', async (t) => {
    const redis = await startRedis(t);
    const messages = await redis.subscribe('mcp:tools_changed', 'mcp:prompts_changed', 'mcp:resources_changed');
    const kinds = ['tools', 'prompts', 'resources'];
    const capabilities = Object.fromEntries(kinds.map((kind) => [kind, { listChanged: true }]));
    const names = { tools: ['a', 'b'], prompts: ['p'], resources: ['r'] };
    const list = (kind) => (x) => x.result({ [kind]: names[kind].map((name) => ({ name, uri: `file:///${name}`, inputSchema: {} })) });
    const server = await startHostileServer(t, {
      on: {
        initialize: (x) => x.result({ protocolVersion: '2025-11-25', capabilities, serverInfo: { name: 'all', version: '1' } }),
        ...Object.fromEntries(kinds.map((kind) => [`${kind}/list`, list(kind)])),
      },
    });
    const broker = await startBroker(t, {
      servers: { s: { url: server.url, events: kinds } }, args: ['--workers', '1', '--redis', redis.url, '--enrich', '--coalesce', '0'],
    });
    await until('all lists', async () => {
      const { toolCount, promptCount, resourceCount } = await broker.ask('show', 's');
      return toolCount === 2 && promptCount === 1 && resourceCount === 1;
    });
    names.tools = ['b', 'c'];
    names.prompts = ['p', 'q'];
    names.resources = [];
    server.tell(...kinds.map((kind) => ({ jsonrpc: '2.0', method: `notifications/${kind}/list_changed` })));
    await until('three events', () => messages.length === 3);
    const told = Object.fromEntries(messages.map(({ channel, event: { generation, added, removed } }) => [channel, { generation, added, removed }]));
    assert.deepEqual(told, {
      'mcp:tools_changed': { generation: 1, added: ['c'], removed: ['a'] },
      'mcp:prompts_changed': { generation: 1, added: ['q'], removed: [] },
      'mcp:resources_changed': { generation: 1, added: [], removed: ['file:///r'] },
    });
    const { counters } = (await broker.ask('workers')).workers[0];
    assert.deepEqual([counters.connects, counters.listens, counters.notifications, counters.changes], [1, 1, 3, 3]);
  });
});

/** A file for --config: {path, write(keys)}. */
async function mkConfig(t, keys) {
  const path = join(process.env.TMPDIR ?? '/tmp', `mcp-broker-config-${process.pid}-${await freePort()}.json`);
  const site = { path, write: (now) => writeFile(path, JSON.stringify(now)) };
  await site.write(keys);
  t.after(() => rm(path, { force: true }));
  return site;
}
