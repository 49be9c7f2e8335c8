// What connect, disconnect, touch and reconnect do in every state, what they answer, and that the limits on attempts hold.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { startBroker } from './lib/broker.mjs';
import { goodHello, stall, startHostileServer } from './lib/hostile.mjs';
import { run } from './lib/process.mjs';
import { until } from './lib/wait.mjs';

const loopback = ['--allow-net', '127.0.0.0/8'];

/** A step that is answered when the test says so: `gate.open()`. */
function startGate() {
  const gate = { waiting: [] };
  gate.step = (x) => (gate.waiting ? gate.waiting.push(x) : x.well());
  gate.open = () => {
    const held = gate.waiting;
    gate.waiting = null;
    held.forEach((x) => x.well());
  };
  return gate;
}

describe('connect', { concurrency: 4 }, () => {
  test('a second connect, while connecting or listening, is the same connection and says so', async (t) => {
    const gate = startGate();
    const server = await startHostileServer(t, { on: { initialize: gate.step } });
    const broker = await startBroker(t, { args: ['--workers', '1', ...loopback] });
    const answers = [broker.connect('s', server.url), broker.connect('s', server.url)];
    await until('the attempt', () => gate.waiting.length === 1);
    const early = await broker.connect('s', server.url, '--wait', '0');
    assert.equal(early.server.state, 'connecting');
    gate.open();
    const [first, second] = await Promise.all(answers);
    assert.deepEqual([first.server.state, second.server.state], ['listening', 'listening']);
    const third = await broker.connect('s', server.url);
    assert.equal(third.server.connectedSince, first.server.connectedSince);
    const renamed = await broker.connect('s', server.url, '--name', 'Renamed');
    assert.deepEqual([renamed.server.state, renamed.server.connectedSince], ['listening', first.server.connectedSince]);
    await until('the name', async () => (await broker.ask('show', 's')).serverName === 'Renamed');
    assert.deepEqual([server.count('initialize'), server.count('GET'), server.count('DELETE')], [1, 1, 0]);
  });

  test('connect with another definition makes the connection anew, and answers for the new one', async (t) => {
    const old = await startHostileServer(t);
    const onlyWithKey = (x) => (x.headers['x-key'] === 'right' ? x.well() : x.send(401));
    const keyed = await startHostileServer(t, { on: { initialize: onlyWithKey, 'server/discover': onlyWithKey } });
    const broker = await startBroker(t, { args: ['--workers', '1', ...loopback] });
    assert.equal((await broker.connect('s', old.url)).server.state, 'listening');
    assert.equal((await broker.connect('s', keyed.url)).code, 'unauthorized');
    await until('the old session to be ended', () => old.count('DELETE') === 1 && old.open().length === 0);
    const { server } = await broker.connect('s', keyed.url, '--header', 'X-Key: right');
    assert.equal(server.state, 'listening');
    assert.equal((await broker.states()).length, 1);
    assert.equal((await broker.connect('s', old.url)).server.state, 'listening');
    await until('the other session to be ended', () => keyed.count('DELETE') === 1);
  });

  test('disconnect in each state: nothing comes back, nothing is published', async (t) => {
    const down = { 'server/discover': (x) => x.send(503) };
    const late = (x) => {
      x.server.streams.forEach((stream) => stream.response.write(`data: ${JSON.stringify(stream.changed())}\n\n`));
      x.send(200);
    };
    const cases = {
      connecting: { on: { initialize: stall } }, listening: { on: { DELETE: late } }, backoff: { on: down }, failed: { on: down },
      unsupported: { on: { GET: (x) => x.send(405) } }, unauthorized: { on: { initialize: (x) => x.send(401) } },
      polling: { on: { GET: (x) => x.send(405) }, more: { poll: '1s' } },
    };
    const clock = await startHostileServer(t, { on: down });
    const broker = await startBroker(t, {
      args: ['--workers', '1', '--backoff-base', '800ms', '--max-attempts', '2', '--retry-failed', '1s', ...loopback],
    });
    const watch = await broker.watch('--kind', 'tools');
    for (const [state, each] of Object.entries(cases)) {
      each.server = await startHostileServer(t, { on: each.on });
      const input = JSON.stringify({ serverId: state, url: each.server.url, ...each.more });
      await broker.ctl(['connect', '-', '--wait', '0'], { input });
      await until(`${state}, and a request`, async () => each.server.requests.length > 0 && (await broker.ask('show', state)).state === state);
      await broker.ask('disconnect', state);
    }
    assert.deepEqual(await broker.states(), []);
    await until('goodbyes', () => ['listening', 'unsupported'].every((state) => cases[state].server.count('DELETE') === 1));
    await until('nothing to be held', async () => (await broker.ask('workers')).workers[0].connections === 0);
    const asked = Object.values(cases).map(({ server }) => server.asked());
    await broker.connect('clock', clock.url);
    await until('time for four tries to pass', () => clock.count('server/discover') === 4);
    assert.deepEqual(Object.values(cases).map(({ server }) => server.asked()), asked);
    assert.deepEqual((await broker.states()).map(({ serverId }) => serverId), ['clock']);
    assert.deepEqual(watch.events(), []);
    assert.ok(Object.values(cases).every(({ server }) => server.open().length === 0));
  });

  test('a failed connect can be tried again at once', async (t) => {
    let isDown = true;
    const server = await startHostileServer(t, { on: { 'server/discover': (x) => (isDown ? x.send(503) : x.well()) } });
    const broker = await startBroker(t, { args: ['--workers', '1', '--backoff-base', '1h', '--backoff-max', '1h', ...loopback] });
    for (const attempt of [1, 2]) {
      assert.equal((await broker.connect('s', server.url)).code, 'failed');
      assert.equal(server.count('server/discover'), attempt);
      const shown = await broker.ask('show', 's');
      assert.deepEqual([shown.state, shown.reconnectAttempts], ['backoff', attempt]);
    }
    isDown = false;
    assert.equal((await broker.connect('s', server.url)).server.state, 'listening');
  });

  test('connect waits as long as --wait says, and no longer; what it began goes on', async (t) => {
    const gate = startGate();
    const server = await startHostileServer(t, { on: { initialize: gate.step } });
    const slow = await startHostileServer(t, { on: { initialize: stall } });
    const broker = await startBroker(t, { args: ['--workers', '1', '--connect-timeout', '3s', '--backoff-base', '1h', '--backoff-max', '1h', ...loopback] });
    const begun = performance.now();
    assert.ok(['queued', 'connecting'].includes((await broker.connect('s', server.url, '--wait', '0')).server.state));
    assert.equal((await broker.connect('s', server.url, '--wait', '200ms')).code, 'timed_out');
    assert.ok(performance.now() - begun < 2900);
    gate.open();
    await broker.untilState('s', 'listening');
    const { code, message } = await broker.connect('slow', slow.url);
    assert.equal(code, 'failed', 'the attempt was over first');
    assert.match(message, /timed out after 3s|no answer from \S+ within 3s/);
    assert.equal((await broker.ctl(['connect', '--id', 's', '--url', server.url, '--wait', 'soon'])).code, 2);
    const shown = await broker.ctl(['connect', '--id', 's', '--url', server.url]);
    assert.equal(shown.stdout, 's: listening, session era, 2 tools, tells of changes\n');
    const long = await broker.ctl(['connect', '--id', 's', '--url', server.url, '--wait', '601s']);
    assert.equal(long.code, 2);
    assert.match(long.stderr, /--wait.*10m/);
  });

  test('without --wait connect waits for the first attempt, however long that may take', async (t) => {
    const server = await startHostileServer(t, { on: { initialize: stall } });
    let later;
    const slow = await startHostileServer(t, { on: { initialize: async (x) => ((await new Promise((resolve) => (later = resolve))), x.well()) } });
    const broker = await startBroker(t, { args: ['--workers', '1', '--connect-timeout', '1s', '--backoff-base', '1h', '--backoff-max', '1h', ...loopback] });
    const begun = performance.now();
    const { code } = await broker.connect('s', server.url);
    assert.equal(code, 'failed');
    assert.ok(performance.now() - begun < 10_000, 'not longer than the attempt');
    const definition = JSON.stringify({ serverId: 'slow', url: slow.url, timeout: 60_000 });
    const connecting = broker.ctl(['--json', 'connect', '-'], { input: definition });
    await until('the attempt', () => later);
    setTimeout(later, 4000);
    assert.equal(JSON.parse((await connecting).stdout).state, 'listening', 'its own time counts, not the 1s of all');
  });

  test('connect is refused after the shutdown began', async (t) => {
    const slow = await startHostileServer(t, { on: { DELETE: (x) => setTimeout(() => x.send(200), 1000) } });
    const other = await startHostileServer(t);
    const waiting = await startHostileServer(t, { on: { initialize: stall } });
    const broker = await startBroker(t, { args: ['--workers', '1', ...loopback] });
    await broker.connect('slow', slow.url);
    const early = broker.connect('waiting', waiting.url);
    await until('the attempt', () => waiting.count('initialize') === 1);
    const stopped = broker.stop();
    await until('the goodbye', () => slow.count('DELETE') === 1);
    const { code } = await broker.connect('other', other.url);
    assert.equal(code, 'stopping');
    assert.equal((await early).code, 'stopping', 'nor need anybody wait for what will not be');
    assert.equal((await broker.ask('show', 'slow')).serverId, 'slow', 'looking is no change');
    await stopped;
    assert.deepEqual(other.requests, []);
  });

  test('what no retry mends waits for a change of configuration', async (t) => {
    const server = await startHostileServer(t, { on: { 'server/discover': (x) => (x.headers['x-key'] === 'right' ? x.well() : x.send(401)) } });
    const clock = await startHostileServer(t, { on: { 'server/discover': (x) => x.send(503) } });
    const servers = { s: { url: server.url, headers: { 'X-Key': 'wrong' } }, clock: { url: clock.url } };
    const broker = await startBroker(t, { servers, args: ['--workers', '1', '--retry-failed', '1s', '--max-attempts', '1'] });
    const shown = await broker.untilState('s', 'unauthorized');
    assert.deepEqual([shown.nextAttempt, shown.connected], [null, false]);
    await until('time for retries', () => clock.count('server/discover') === 2);
    assert.equal(server.count('server/discover'), 1);
    await broker.writeServers({ ...servers, s: { url: server.url, headers: { 'X-Key': 'right' } } });
    await broker.untilState('s', 'listening');
  });

  test('a server that changes its mind is noticed: on demand, at a slow look, or by a poll', async (t) => {
    let offers = false;
    const on = { GET: (x) => (offers ? x.well() : x.send(405)) };
    const [asked, looked, polled] = await Promise.all([1, 2, 3].map(() => startHostileServer(t, { on })));
    const servers = { asked: { url: asked.url }, looked: { url: looked.url }, polled: { url: polled.url, poll: '1s' } };
    const broker = await startBroker(t, { servers, args: ['--workers', '1', '--retry-failed', '1s'] });
    await broker.untilState('asked', 'unsupported');
    await broker.untilState('looked', 'unsupported');
    await broker.untilState('polled', 'polling');
    offers = true;
    await broker.ask('reconnect', 'asked');
    await broker.untilState('asked', 'listening', 2000);
    await broker.untilState('polled', 'listening', 4000);
    await broker.untilState('looked', 'listening', 8000);
    offers = false;
    asked.cut();
    assert.match((await broker.untilState('asked', 'unsupported')).lastError, /405/);
  });

  test('the number of tools is in the answer, but a list that does not come is not waited for long', async (t) => {
    const slow = await startHostileServer(t, { on: { 'tools/list': (x) => setTimeout(() => x.well(), 200) } });
    const stalled = await startHostileServer(t, { on: { 'tools/list': stall } });
    const none = await startHostileServer(t, { on: { initialize: (x) => x.result({ ...goodHello('2025-11-25'), capabilities: {} }) } });
    const broker = await startBroker(t, { args: ['--workers', '1', ...loopback] });
    const begun = performance.now();
    const answers = await Promise.all([
      broker.connect('slow', slow.url), broker.connect('stalled', stalled.url), broker.connect('hasty', stalled.url, '--wait', '500ms'),
    ]);
    assert.deepEqual(answers.map(({ server }) => [server.state, server.toolCount]), [['listening', 2], ['listening', null], ['listening', null]]);
    const waited = performance.now() - begun;
    assert.ok(waited > 1900 && waited < 5000, `${waited} ms`);
    const { server } = await broker.connect('none', none.url);
    assert.deepEqual([server.state, server.toolCount], ['listening', null]);
  });

  /** Servers of many definitions, that count how many attempts are under way at once. */
  async function startCounting(t, total) {
    const host = { under: new Set(), peak: 0 };
    const slowly = async (x) => {
      host.under.add(x.request.url);
      host.peak = Math.max(host.peak, host.under.size);
      total.peak = Math.max(total.peak, [...total.hosts].reduce((sum, { under }) => sum + under.size, 0));
      await pause(10);
      x.well();
    };
    host.server = await startHostileServer(t, {
      on: {
        'server/discover': slowly, initialize: slowly,
        GET: (x) => {
          host.under.delete(x.request.url);
          return x.listen();
        },
      },
    });
    total.hosts.add(host);
    return host;
  }

  test('--max-connecting and --max-per-host are never exceeded, at the start and in a storm', async (t) => {
    const total = { hosts: new Set(), peak: 0 };
    const hosts = [];
    for (let i = 0; i < 3; i++) hosts.push(await startCounting(t, total));
    const servers = {};
    for (const [i, { server }] of hosts.entries()) {
      for (let n = 0; n < 10; n++) servers[`h${i}-${n}`] = { url: `${server.url}?n=${n}` };
    }
    const broker = await startBroker(t, {
      servers, args: ['--workers', '1', '--max-connecting', '5', '--max-per-host', '2', '--backoff-base', '10ms', '--verify', '0'],
    });
    await broker.untilAll('listening', 30);
    assert.deepEqual([total.peak, ...hosts.map(({ peak }) => peak)], [5, 2, 2, 2]);
    total.peak = 0;
    hosts.forEach(({ server }) => server.cut());
    await until('all of them again', () => hosts.every(({ server }) => server.count('GET') === 20 && server.open().length === 10));
    await broker.untilAll('listening', 30);
    assert.ok(total.peak >= 2 && total.peak <= 5, `${total.peak} at once`);
    assert.deepEqual(hosts.map(({ peak }) => peak), [2, 2, 2]);
  });

  test('what the table or the open files do not allow has a clear error, and room is used as soon as there is some', async (t) => {
    const off = Object.fromEntries(Array.from({ length: 66 }, (_, i) => [`off${i}`, { url: 'http://127.0.0.1:9/mcp', enabled: false }]));
    const fleet = await Promise.all(Array.from({ length: 14 }, () => startHostileServer(t)));
    const servers = Object.fromEntries(fleet.map((server, i) => [`s${i}`, { url: server.url }]));
    const broker = await startBroker(t, { servers: off, args: ['--workers', '1', '--capacity', '64', ...loopback] });
    assert.equal((await broker.ask('status')).serversFile.leftOut, 2);
    const refused = await broker.connect('late', fleet[0].url);
    assert.equal(refused.code, 'limit');
    assert.match(refused.message, /table is full.*--capacity/);

    await broker.writeServers({});
    await until('room', async () => (await broker.states()).length === 0);
    assert.equal((await broker.connect('late', fleet[0].url)).server.state, 'listening');
    await broker.ask('disconnect', 'late');

    // a worker that is started from now on has 100 descriptors: 64 in reserve, an eighth for attempts, as many for farewells
    assert.equal((await run('prlimit', ['--pid', String(broker.main.pid), '--nofile=100:100'])).code, 0);
    process.kill(await broker.workerPid(0), 'SIGKILL');
    await broker.writeServers(servers);
    const states = () => broker.states().then((all) => all.map(({ state }) => state));
    await until('twelve to listen, and two to wait', async () => {
      const now = await states();
      return now.filter((state) => state === 'listening').length === 12 && now.filter((state) => state === 'queued').length === 2;
    });
    const waiting = await until('them to know why', async () => (await broker.states()).filter(({ lastError }) => lastError));
    assert.equal(waiting.length, 2);
    for (const { state, lastError } of waiting) {
      assert.deepEqual([state, lastError], ['queued', 'limit: 12 connections, which is what 100 open files (ulimit -n) allow']);
    }
    const { serverId } = (await broker.states()).find(({ state }) => state === 'listening');
    delete servers[serverId];
    await broker.writeServers(servers);
    await until('the next one', async () => (await states()).sort().join(' ') === `${'listening '.repeat(12)}queued`);
  });

  test('who waits for --max-connections starts in order, whoever gives up a place waits last', async (t) => {
    const fleet = await Promise.all(Array.from({ length: 6 }, () => startHostileServer(t)));
    const servers = Object.fromEntries(fleet.map((server, i) => [`s${i}`, { url: server.url }]));
    const broker = await startBroker(t, { servers, args: ['--workers', '1', '--max-connections', '2'] });
    const states = async () => (await broker.states()).map(({ state }) => state).join(' ');
    const expect = (text) => until(text, async () => (await states()) === text || Promise.reject(new Error(await states())));
    await expect('listening listening queued queued queued queued');
    await broker.writeServers({ ...servers, s0: { ...servers.s0, enabled: false } });
    await expect('disabled listening listening queued queued queued');
    fleet[2].cut(); // it gives up its place, and waits last
    await expect('disabled listening queued listening queued queued');
    await until('it to know why', async () => (await broker.ask('show', 's2')).lastError === 'limit: --max-connections 2 reached');
  });
});
