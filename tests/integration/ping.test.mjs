// A stream that is open and says nothing: whether anybody is still behind it is asked, by `ping`, or by `server/discover`
// where the era has no ping. Who answers, in whatever way, stays; who does not is shown, and replaced.
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

/** The step that asks. */
const stepOf = (era) => (era === 'stateless' ? 'server/discover' : 'ping');
const asking = (era, step) => ({ [stepOf(era)]: era === 'stateless' && step === pong ? (x) => x.well() : step });
const countOf = (server) => server.count(stepOf(server.era));

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
  for (const era of ['session', 'sse', 'stateless']) {
    test(`who is alive stays: ${era} era`, async (t) => {
      const servers = Object.fromEntries(await Promise.all(Object.entries(alive)
        .map(async ([id, { ping }]) => [id, await startHostileServer(t, { era, on: asking(era, ping) })])));
      const broker = await watched(t, Object.fromEntries(Object.entries(servers).map(([id, { url }]) => [id, { url, type: era === 'sse' ? 'sse' : 'http' }])));
      await broker.untilAll('listening', Object.keys(alive).length);
      await until('pings to be answered', () => countOf(servers.answers) >= 10);
      for (const [id, { asked: [least, most] }] of Object.entries(alive)) {
        const count = countOf(servers[id]);
        assert.ok(count >= least && count <= most, `${id}: ${count} times`);
        const { state, reconnectAttempts, history } = await broker.ask('show', id);
        assert.deepEqual([state, reconnectAttempts, history.filter(({ to }) => to === 'listening').length], ['listening', 0, 1], id);
      }
    });

    test(`who hangs is shown, and replaced: ${era} era`, async (t) => {
      // a program that hangs from its third ping on: its stream stays open, no request is answered; then a new one is started
      let hangs = false;
      const hang = (x) => (hangs ? stall() : x.well());
      const on = Object.fromEntries(['server/discover', 'initialize', 'GET', 'tools/list', 'subscriptions/listen', 'DELETE'].map((step) => [step, hang]));
      const answer = era === 'stateless' ? (x) => x.well() : pong;
      const step = stepOf(era);
      on[step] = (x, n) => ((hangs ||= n === 3) ? stall() : answer(x));
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
      assert.equal(end.error, `${step}: no answer within 1s, twice`);
      server.tools = ['another'];
      hangs = false;
      on[step] = answer;
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

  test('a program that is stopped is found and started again; one that answers stays', async (t) => {
    const program = (script) => ({ command: process.execPath, args: [script] });
    const broker = await watched(t, { stopped: program(stdioServer), well: program(stdioServer), stateless: program(stdioStateless), hung: program(stdioStateless) }, '--connect-timeout', '4s');
    const pids = (id) => broker.log('stdio.started').filter((each) => each.server === id).map((each) => each.server_pid);
    await broker.untilAll('listening', 4);
    const before = Object.fromEntries(['stopped', 'well', 'stateless', 'hung'].map((id) => [id, pids(id).length]));
    for (const id of ['stopped', 'hung']) process.kill(pids(id).at(-1), 'SIGSTOP');
    for (const id of ['stopped', 'hung']) {
      await until('another process', async () => pids(id).length > before[id] && (await broker.ask('show', id)).state === 'listening', 40_000);
    }
    for (const id of ['well', 'stateless']) assert.equal(pids(id).length, before[id], id);
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
