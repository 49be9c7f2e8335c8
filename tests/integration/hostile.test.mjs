// What a listener does when servers break the rules. One broker has all the hostile servers at once; each case (hostile/)
// says what its server does, the state that the broker must show, its error, and how often it may ask for what. Failures
// are retried `tries` times, quickly, and then end in `failed`, so that a number of requests is exact; at the end all are
// counted again, and whoever was asked more often since is in a hot loop.
//
// MCP_BROKER_CASE='part of a name' runs some of them.
import assert from 'node:assert/strict';
import test from 'node:test';
import { elsewhere, tries } from './hostile/case.mjs';
import eras from './hostile/eras.mjs';
import http from './hostile/http.mjs';
import lists from './hostile/lists.mjs';
import masses from './hostile/masses.mjs';
import sse from './hostile/sse.mjs';
import stateless from './hostile/stateless.mjs';
import streams from './hostile/streams.mjs';
import { startBroker } from './lib/broker.mjs';
import { event, jsonType, startHostileServer, startHostileSocket } from './lib/hostile.mjs';
import { until } from './lib/wait.mjs';

const secret = 'planted-secret-5f1d';
const caseOf = (group) => ([what, each], i) => ({ id: `${group}-${i}`, name: `${group}: ${what}`, ...each });
const casesOf = (of) => Object.entries(of)
  .flatMap(([group, of]) => Object.entries(of).map(caseOf(group)))
  .filter(({ name }) => name.includes(process.env.MCP_BROKER_CASE ?? ''));

/** One question to the broker at a time, whoever waits for its answer. */
function rowsOf(broker) {
  let asking = null;
  return () => (asking ??= broker.states().finally(() => (asking = null)));
}

/** Attempts are as far apart as back-off wants: base, then twice that, less jitter, less what the test is late to see the first. */
function checkSpacing(server, step) {
  const times = server.times(step);
  const shortest = (100 + 200) * 0.8 * 0.8;
  assert.ok(times.at(-1) - times[0] >= shortest, `${times.length} × ${step} in ${times.at(-1) - times[0]} ms`);
}

async function check(each, row) {
  const { server, state = 'listening', error, asked = {}, after } = each;
  const shows = await until(`state ${state}`, async () => {
    const now = await row();
    const isThere = now.state === state && (!error || error.test(now.lastError));
    return isThere ? now : Promise.reject(new Error(`${JSON.stringify(now)}; asked ${JSON.stringify(server.asked())}`));
  });
  if (state === 'failed') {
    assert.equal(shows.reconnectAttempts, tries);
    checkSpacing(server, Object.keys(asked).find((step) => asked[step] >= tries));
  }
  await after?.({
    server, row,
    heard: async (count) => {
      each.changes = count;
      const now = await until(`${count} changes`, async () => {
        const shown = await row();
        return shown.generation >= count ? shown : Promise.reject(new Error(JSON.stringify(shown)));
      });
      assert.equal(now.generation, count);
    },
    hasError: (pattern) => until(`the error ${pattern}`, async () => {
      const now = await row();
      return pattern.test(now.lastError) ? now : Promise.reject(new Error(JSON.stringify(now)));
    }),
  });
}

/** How often each step was asked for: as the case says. A list that failed is tried again, 4 s later at the soonest. */
function checkCounts({ server, begun, asked = {} }) {
  const seconds = (performance.now() - begun) / 1000;
  for (const [step, count] of Object.entries(asked)) {
    const [least, most] = Array.isArray(count) ? count : [count, count];
    const retried = step === 'tools/list' ? most * (1 + Math.floor(seconds / 4)) : most;
    const now = server.count(step);
    assert.ok(now >= least && now <= retried, `${step}: ${now} times, not ${count}; ${JSON.stringify(server.asked())}`);
  }
}

/** All of them at once, against one broker. */
async function play(t, cases) {
  const other = await startHostileServer(t);
  elsewhere.url = other.url;
  const servers = {};
  for (const each of cases) {
    each.server = await (each.socket ? startHostileSocket(t, each.socket) : startHostileServer(t, each));
    each.begun = performance.now();
    const url = each.server.url.replace(/^http/, each.scheme ?? 'http');
    servers[each.id] = { url: `${url}?key=${secret}`, headers: { 'X-Api-Key': secret }, ...each.definition };
  }
  const broker = await startBroker(t, {
    servers,
    args: ['--workers', '1', '--max-attempts', String(tries), '--coalesce', '0', '--verify', '0'],
  });
  const rows = rowsOf(broker);
  await Promise.all(cases.map((each) => t.test(each.name, async () => {
    await check(each, async () => (await rows()).find(({ serverId }) => serverId === each.id));
    each.isSettled = true;
    await until('all requests', () => checkCounts(each) ?? true, 3000); // a goodbye comes after the state
  })));

  const settled = cases.filter((each) => each.isSettled);
  await t.test('nobody is asked in a loop', () => {
    for (const each of settled) checkCounts(each);
  });
  await t.test('nothing else counted as a change', async () => {
    const shown = await rows();
    for (const { id, name, changes } of settled.filter((each) => each.changes)) {
      assert.equal(shown.find(({ serverId }) => serverId === id).generation, changes, name);
    }
  });
  await t.test('nobody else is asked, and no secret is told', async () => {
    assert.deepEqual(other.requests, []);
    assert.ok(cases.some(({ server }) => server.requests.some(({ headers }) => headers['x-api-key'] === secret)));
    const told = JSON.stringify(await broker.states()) + broker.main.stderr;
    assert.ok(!told.includes(secret));
  });
}

const all = casesOf({ stateless, eras, http, streams, lists, sse });
const heavy = casesOf({ masses });
test('hostile servers', { concurrency: all.length + 1 }, (t) => play(t, all));
test('servers that send megabytes', { concurrency: heavy.length + 1 }, (t) => play(t, heavy));

test('a stream that is deaf is found by --verify, and replaced', async (t) => {
  const server = await startHostileServer(t);
  const broker = await startBroker(t, { servers: { deaf: { url: server.url } }, args: ['--workers', '1', '--verify', '1s'] });
  await until('the list', async () => (await broker.ask('show', 'deaf')).toolCount === 2);
  server.tools = ['another'];
  await until('another session', () => server.count('initialize') === 2 && server.open().length === 1);
  const { generation } = await broker.untilState('deaf', 'listening');
  assert.equal(generation, 1);
  assert.ok(broker.log('conn.state').some(({ why, error }) => why === 'deaf' && /did not tell of a change/.test(error)));
  assert.deepEqual([server.count('GET'), server.count('DELETE')], [2, 1]);
});

test('the answer to a farewell is not read', async (t) => {
  const body = (x) => JSON.stringify({ jsonrpc: '2.0', id: 1, result: {}, said: x.headers['x-api-key'] });
  const later = (answer) => ({ on: { DELETE: (x) => setTimeout(() => x.isOpen && answer(x), 500) } });
  const fleet = await Promise.all([
    later((x) => x.send(200, jsonType, body(x))),
    later((x) => x.send(405, jsonType, body(x))),
    later((x) => x.open().write(event(body(x))).write(event('x'.repeat(100_000))).end()),
  ].map((each) => startHostileServer(t, each)));
  const headers = { 'X-Api-Key': secret };
  const broker = await startBroker(t, { servers: Object.fromEntries(fleet.map(({ url }, i) => [`s${i}`, { url, headers }])), args: ['--workers', '1'] });
  await broker.untilAll('listening', fleet.length);
  await broker.writeServers({});
  await until('the farewells', () => fleet.every((server) => server.count('DELETE') === 1));
  await new Promise((done) => setTimeout(done, 1000)); // they are answered
  assert.deepEqual(broker.log('child.died'), []);
});
