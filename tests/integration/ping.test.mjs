// A stream that is open and says nothing: whether anybody is still behind it is asked by `ping`, where the era has it. Who
// answers, in whatever way, stays; who does not is shown, and replaced.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { startBroker } from './lib/broker.mjs';
import { stall, startHostileServer } from './lib/hostile.mjs';
import { stdioServer, stdioStateless } from './lib/programs.mjs';
import { startSessionServer } from './lib/servers.mjs';
import { until } from './lib/wait.mjs';

const watched = (t, servers, ...args) =>
  startBroker(t, { servers, args: ['--workers', '1', '--ping', '200ms', '--connect-timeout', '1s', '--backoff-max', '100ms', ...args] });
const pong = (x) => x.result({});

/** Behaviours that are alive, and how often each is asked: [least, most]. */
const alive = {
  'answers': { ping: pong, asked: [5, Infinity] },
  'does not know ping (-32601)': { ping: (x) => x.error(-32601), asked: [1, 1] },
  'does not know ping (-32601, HTTP 404)': { ping: (x) => x.error(-32601, { status: 404 }), asked: [1, 1] },
  'does not know ping (HTTP 404)': { ping: (x) => x.send(404), asked: [1, 1] },
  'does not know ping (HTTP 400)': { ping: (x) => x.send(400), asked: [1, 1] },
  'does not know ping (HTTP 500)': { ping: (x) => x.send(500), asked: [1, 1] },
  'accepts it, and does not answer': { ping: (x) => x.send(202), asked: [1, 1] },
  'passes over it, but gives its list': { ping: stall, asked: [1, 1] },
};

describe('ping', { concurrency: 3 }, () => {
  for (const era of ['session', 'sse']) {
    test(`who is alive stays: ${era} era`, async (t) => {
      const servers = Object.fromEntries(await Promise.all(Object.entries(alive)
        .map(async ([id, { ping }]) => [id, await startHostileServer(t, { era, on: { ping } })])));
      const broker = await watched(t, Object.fromEntries(Object.entries(servers).map(([id, { url }]) => [id, { url, type: era === 'sse' ? 'sse' : 'http' }])));
      await broker.untilAll('listening', Object.keys(alive).length);
      await until('pings to be answered', () => servers.answers.count('ping') >= 10);
      for (const [id, { asked: [least, most] }] of Object.entries(alive)) {
        const count = servers[id].count('ping');
        assert.ok(count >= least && count <= most, `${id}: ${count} times`);
        assert.equal(servers[id].count('initialize'), 1, id);
        const { state, reconnectAttempts, history } = await broker.ask('show', id);
        assert.deepEqual([state, reconnectAttempts, history.filter(({ to }) => to === 'listening').length], ['listening', 0, 1], id);
      }
    });

    test(`who hangs is shown, and replaced: ${era} era`, async (t) => {
      // a program that hangs from its third ping on: its stream stays open, no request is answered; then a new one is started
      let hangs = false;
      const hang = (x) => (hangs ? stall() : x.well());
      const on = { ping: (x, n) => ((hangs ||= n === 3) ? stall() : pong(x)) };
      for (const step of ['server/discover', 'initialize', 'GET', 'tools/list', 'DELETE']) on[step] = hang;
      const server = await startHostileServer(t, { era, on });
      const broker = await watched(t, { s: { url: server.url, type: era === 'sse' ? 'sse' : 'http' } });
      await broker.untilTools('s', 2);
      await until('it to hang', () => hangs);
      const shown = await until('that to be shown', async () => {
        const now = await broker.ask('show', 's');
        return now.state !== 'listening' && now;
      });
      assert.equal(shown.connected, false);
      const end = broker.log('conn.state').find(({ from, why }) => from === 'listening' && why === 'stream_ended');
      assert.match(end.error, /^ping: no answer within 1s, twice$/);
      server.tools = ['another'];
      hangs = false;
      on.ping = pong;
      const { generation } = await broker.untilTools('s', 1);
      assert.equal(generation, 1, 'the change is found');
    });
  }

  test('a gateway that says that nobody is there is no answer', async (t) => {
    const server = await startHostileServer(t, { on: { ping: (x, n) => (n > 2 ? x.send(502) : pong(x)) } });
    const broker = await watched(t, { s: { url: server.url } });
    await until('another session', () => server.count('initialize') >= 2);
    assert.match(broker.log('conn.state').find(({ from }) => from === 'listening').error, /^ping: HTTP 502$/);
  });

  test('a session that was lost is found by it', async (t) => {
    const server = await startHostileServer(t, { on: { ping: (x, n) => (n === 3 ? x.error(-32001, { status: 404 }) : pong(x)) } });
    const broker = await watched(t, { s: { url: server.url } });
    await until('another session', () => server.count('initialize') === 2 && server.open().length === 1);
    assert.equal((await broker.untilState('s', 'listening')).reconnectAttempts, 0);
  });

  test('a program that is stopped is found and started again; one that answers, or has no ping, stays', async (t) => {
    const program = (script) => ({ command: process.execPath, args: [script] });
    const broker = await watched(t, { stopped: program(stdioServer), well: program(stdioServer), stateless: program(stdioStateless) });
    const pids = (id) => broker.log('stdio.started').filter((each) => each.server === id).map((each) => each.server_pid);
    await broker.untilAll('listening', 3);
    const before = { stopped: pids('stopped').length, well: pids('well').length, stateless: pids('stateless').length };
    process.kill(pids('stopped').at(-1), 'SIGSTOP');
    await until('another process', async () => pids('stopped').length > before.stopped && (await broker.ask('show', 'stopped')).state === 'listening');
    assert.equal(pids('well').length, before.well);
    assert.equal(pids('stateless').length, before.stateless);
  });

  test('no second socket stays beside a stream, and a server that talks is not asked', async (t) => {
    const server = await startSessionServer(t);
    const talks = await startHostileServer(t, { on: { ping: pong } });
    const broker = await watched(t, { s: { url: server.url }, talks: { url: talks.url } }, '--ping', '2s');
    await broker.untilAll('listening', 2);
    const timer = setInterval(() => talks.open().forEach((x) => x.write(': still here\n\n')), 100);
    t.after(() => clearInterval(timer));
    const posts = server.count('POST');
    await until('two pings', () => server.count('POST') >= posts + 2, 15_000);
    assert.equal(talks.count('ping'), 0);
    await until('one socket each', async () => {
      const open = await new Promise((resolve) => server.http.getConnections((_, count) => resolve(count)));
      return open === 1;
    });
  });
});
