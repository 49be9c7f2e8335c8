// Every bound at its edge: what is exactly as large, as many or as long as allowed passes, one more does not; the error
// names the flag, a counter counts it, and nobody else notices. One broker with small bounds has all the servers; each
// bound has two of them.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { get } from 'node:http';
import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import test, { after } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { startBroker } from './lib/broker.mjs';
import { changed, event, jsonType, startHostileServer, startHostileSocket } from './lib/hostile.mjs';
import { bodyOf, messageHead, nngClient, protocols, question } from './lib/nng.mjs';
import { stdioScript } from './lib/programs.mjs';
import { until } from './lib/wait.mjs';

const folder = mkdtempSync(join(tmpdir(), 'mcp-broker-limits-'));
after(() => rm(folder, { recursive: true, force: true }));

const kib = 1024;
const bounds = {
  header: 8 * kib, body: 64 * kib, event: 16 * kib, line: 16 * kib, depth: 16, pages: 3, items: 5, size: 4 * kib, requests: 40,
  notifications: 20, values: 1000, batch: 20,
};
const args = [
  '--workers', '1', '--verify', '0', '--max-attempts', '2', '--http', '127.0.0.1:0', '--max-header', '8', '--max-body', '64', '--max-event', '16',
  '--max-line', '16', '--max-depth', '16', '--max-list-pages', '3', '--max-list-items', '5', '--max-list-size', '4',
  '--list-timeout', '1s', '--max-requests', '40', '--max-notifications', '20',
  '--max-values', '1000', '--max-batch', '20', '--farewell-timeout', '1s',
];

const pad = (text, size) => text + ' '.repeat(size - Buffer.byteLength(text));
const answer = (x, result) => JSON.stringify({ jsonrpc: '2.0', id: x.id, result });
const tools = (count) => Array.from({ length: count }, (_, i) => ({ name: `tool-${i}` }));
const nested = (depth) => (depth === 0 ? {} : [nested(depth - 1)]);
/** What is around an item's text in canonical form, and around the lists of a message: message, result, tools, item. */
const around = JSON.stringify({ name: 'a', text: '' }).length;
const levels = 4;
/** Values of an answer but those in an item's array: message, version, id, result, tools, item, name, array. */
const others = 8;

/** Answers the first request with a head of exactly `size` bytes. */
const headOf = (size) => (socket) => socket.once('data', () => {
  const begin = 'HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n';
  const lines = Array.from({ length: Math.floor((size - begin.length) / 2000) }, (_, i) => `X-${i}: `.padEnd(1990, 'x') + '\r\n').join('');
  socket.end(begin + lines + 'Y: '.padEnd(size - begin.length - lines.length - 4, 'y') + '\r\n\r\n');
});
const list = (make) => ({ on: { 'tools/list': make } });
const say = (count) => ({ on: { GET: (x) => x.well().say(...Array(count).fill(changed)) } });
const ask = (count) => ({
  era: 'stateless',
  on: {
    'tools/list': async (x) => {
      x.well();
      await until('the stream', () => x.server.open()[0]);
      x.server.tell(...Array.from({ length: count }, (_, i) => ({ jsonrpc: '2.0', id: i, method: 'ping' })));
    },
  },
});
const notified = (size) => ({ on: { GET: (x) => {
  const bare = JSON.stringify({ ...changed, params: { junk: '' } }).length;
  return x.well().write(event({ ...changed, params: { junk: 'x'.repeat(size - bare) } }));
} } });

/** limit: [what it is about at its edge, one more, its error, the flag it names]. */
const cases = {
  header: { at: (n) => ({ socket: headOf(bounds.header + n) }), within: { error: /no revision of MCP/ }, beyond: { error: /the head of the response .* is larger than 8192 bytes/ } },
  body: { at: (n) => list((x) => x.send(200, jsonType, pad(answer(x, { tools: tools(2) }), bounds.body + n))), within: { toolCount: 2 }, beyond: { error: /tools\/list: the answer is larger than --max-body/ } },
  event: { at: (n) => notified(bounds.event + n), within: { generation: 1 }, beyond: { error: /an event is larger than --max-event/ } },
  line: { at: (n) => ({ stdio: bounds.line + n }), within: { toolCount: 1 }, beyond: { error: /longer than --max-line/ } },
  depth: { at: (n) => list((x) => x.result({ tools: [{ name: 'a', deep: nested(bounds.depth - levels - 1 + n) }] })), within: { toolCount: 1 }, beyond: { error: /nested deeper than --max-depth/ } },
  values: { at: (n) => list((x) => x.result({ tools: [{ name: 'a', many: Array(bounds.values - others + n).fill(0) }] })), within: { toolCount: 1 }, beyond: { error: /more values than --max-values/ } },
  batch: { at: (n) => list((x) => x.json([...Array(bounds.batch - 1 + n).fill(changed), JSON.parse(answer(x, { tools: tools(2) }))])), within: { toolCount: 2 }, beyond: { error: /a batch of more than --max-batch messages/ } },
  pages: { limit: 'list', at: (n) => list((x, i) => x.result({ tools: [{ name: `${i}` }], nextCursor: i < bounds.pages + n ? `${i}` : undefined })), within: { toolCount: 3 }, beyond: { error: /more than --max-list-pages/ } },
  items: { limit: 'list', at: (n) => list((x) => x.result({ tools: tools(bounds.items + n) })), within: { toolCount: 5 }, beyond: { error: /--max-list-items/ } },
  size: { limit: 'list', at: (n) => list((x) => x.result({ tools: [{ name: 'a', text: 'x'.repeat(bounds.size - around + n) }] })), within: { toolCount: 1 }, beyond: { error: /--max-list-size/ } },
  'list-time': { limit: 'list_time', at: (n) => list((x, i) => setTimeout(() => x.isOpen && x.well(), n === 0 ? 100 : 3000)), within: { toolCount: 2 }, beyond: { error: /tools\/list: .*(timed out after|within) 1s/ } },
  'connect-time': { limit: 'connect_time', at: (n) => ({ definition: { timeout: 1000 }, on: { initialize: (x) => setTimeout(() => x.isOpen && x.well(), n === 0 ? 100 : 3000) } }), within: { toolCount: 2 }, beyond: { error: /(timed out after|within) 1s/ } },
  // it has been asked twice when it begins to ask: listen, list
  requests: { at: (n) => ask(bounds.requests - 2 + n), within: { state: 'listening', toolCount: 2 }, beyond: { state: 'backoff', error: /more than 40 requests in a minute \(--max-requests\)/ } },
  notifications: { at: (n) => say(bounds.notifications + n), within: { generation: 2 }, beyond: { generation: 2 } },
  aside: { at: (n) => say(10 * bounds.notifications + n), within: { state: 'listening', generation: 2 }, beyond: { state: 'backoff', error: /more than 200 notifications in a minute \(10 times --max-notifications\)/ } },
};

const scrape = (port) => new Promise((done, failed) => {
  get({ host: '127.0.0.1', port, path: '/metrics', agent: false }, (response) => {
    let text = '';
    response.setEncoding('utf8').on('data', (more) => (text += more)).on('end', () => done(text));
  }).on('error', failed);
});
const hits = (text, limit) => Number(text.match(new RegExp(`^mcp_broker_limits_hit_total\\{.*limit="${limit}"\\} (\\d+)$`, 'm'))?.[1]);
const portOf = (broker) => Number(broker.log('http.open').at(-1).address.match(/:(\d+)$/)[1]);

async function definitionOf(t, { socket, stdio, definition, ...server }) {
  if (stdio) return { command: process.execPath, args: [stdioScript, 'line', String(stdio)], cwd: folder };
  const { url } = await (socket ? startHostileSocket(t, socket) : startHostileServer(t, server));
  return { url, ...definition };
}

async function shows(broker, id, { error, ...fields }) {
  const wanted = (row) => (!error || error.test(row.lastError)) && Object.entries(fields).every(([key, value]) => row[key] === value);
  return until(`${id} as it should be`, async () => {
    const row = await broker.ask('show', id);
    return wanted(row) ? row : Promise.reject(new Error(JSON.stringify(row)));
  });
}

/** One broker for each side, as what is within all bounds must count nothing. */
async function brokerAt(t, n) {
  const servers = {};
  for (const [id, { at }] of Object.entries(cases)) servers[id] = await definitionOf(t, at(n));
  servers.other = await definitionOf(t, {});
  return startBroker(t, { servers, args });
}

test('what is as large as allowed passes, and counts nothing', async (t) => {
  const broker = await brokerAt(t, 0);
  await Promise.all(Object.entries(cases).map(([id, { within }]) => t.test(id, () => shows(broker, id, within))));
  await new Promise((done) => setTimeout(done, 1500)); // counters are told once a second
  const text = await scrape(portOf(broker));
  const counted = [...text.matchAll(/^mcp_broker_limits_hit_total\{.*limit="(\w+)"\} ([1-9]\d*)$/gm)].map(([, limit]) => limit);
  assert.deepEqual(counted, ['notifications']); // of the case `aside`
});

test('one more does not, and is counted', async (t) => {
  const broker = await brokerAt(t, 1);
  await Promise.all(Object.entries(cases).map(([id, { beyond }]) => t.test(id, () => shows(broker, id, beyond))));
  for (const [id, { limit = id }] of Object.entries(cases)) {
    await until(`${limit} to be counted`, async () => hits(await scrape(portOf(broker)), limit) >= 1);
  }
  assert.ok((await broker.ask('workers')).workers[0].counters.limit_event >= 1);
  await shows(broker, 'other', { state: 'listening', toolCount: 2, reconnectAttempts: 0 });
});

test('the end of a session is waited for as long as allowed, and no longer', async (t) => {
  const slow = (ms) => startHostileServer(t, { on: { DELETE: (x) => setTimeout(() => x.isOpen && x.well(), ms) } });
  const [within, beyond] = [await slow(100), await slow(3000)];
  const broker = await startBroker(t, { args, servers: { within: { url: within.url } } });
  await broker.untilState('within', 'listening');
  await broker.writeServers({ beyond: { url: beyond.url } });
  await broker.untilState('beyond', 'listening');
  await until('the first farewell', () => within.count('DELETE') === 1);
  assert.equal(hits(await scrape(portOf(broker)), 'farewell_time'), 0);
  await broker.writeServers({});
  await until('the second one to be counted', async () => hits(await scrape(portOf(broker)), 'farewell_time') === 1);
});

/** One server of `count` sessions, which answers the end of each after `ms` (never: without), and tells the most at once. */
async function startEnding(t, count, ms) {
  const under = { now: 0, most: 0, ended: new Set() };
  const server = await startHostileServer(t, {
    on: {
      DELETE: async (x) => {
        under.most = Math.max(under.most, ++under.now);
        under.ended.add(x.headers['mcp-session-id']);
        if (ms === undefined) return;
        await pause(ms);
        under.now--;
        x.well();
      },
    },
  });
  const definitions = Array.from({ length: count }, (_, n) => [`s${n}`, { url: `${server.url}?n=${n}` }]);
  return { server, under, definitions };
}

test('of many sessions some are ended at once, the others after them: of servers that are removed, and at a stop', async (t) => {
  const { server, under, definitions } = await startEnding(t, 300, 50);
  const servers = (from) => Object.fromEntries(definitions.slice(from));
  const broker = await startBroker(t, { servers: servers(0), args: ['--workers', '1', '--verify', '0', '--max-connecting', '10'] });
  await broker.untilAll('listening', 300);
  await broker.writeServers(servers(150));
  await until('half of them', () => under.ended.size === 150);
  await broker.untilAll('listening', 150);
  assert.ok(under.most > 5 && under.most <= 10, `${under.most} at once`);
  under.most = 0;
  assert.equal((await broker.stop()).code, 0);
  assert.ok(under.most > 5 && under.most <= 10, `${under.most} at once`);
  assert.deepEqual([under.ended.size, server.count('DELETE')], [300, 300]);
  assert.deepEqual([broker.log('worker.sessions_left'), broker.log('child.signalled')], [[], []]);
});

test('a stop waits so long for servers that do not answer, and leaves the other sessions to theirs', async (t) => {
  const { server, under, definitions } = await startEnding(t, 60);
  const broker = await startBroker(t, {
    servers: Object.fromEntries(definitions), args: ['--workers', '1', '--verify', '0', '--max-connecting', '10', '--farewell-timeout', '4s'],
  });
  await broker.untilAll('listening', 60);
  assert.equal((await broker.stop()).code, 0);
  assert.deepEqual([under.most, server.count('DELETE')], [20, 20]); // ten, and after four seconds ten more; at six it is over
  assert.deepEqual(broker.log('worker.sessions_left').map(({ sessions }) => sessions), [50]);
  assert.deepEqual(broker.log('child.signalled'), []);
  assert.match(broker.log('child.died').find(({ child }) => child === 'worker-0').cause, /^exit code 0$/);
});

const overhead = 32; // of `touch` around an id of this size
const longId = (size) => 'x'.repeat(size - overhead);

test('questions: their size, their clients, their rate', async (t) => {
  const broker = await startBroker(t, { args: ['--workers', '1', '--http', '127.0.0.1:0', '--max-question', '4', '--max-clients', '5'] });
  const counted = (limit, count) => until(`${limit}: ${count}`, async () => hits(await scrape(portOf(broker)), limit) === count);
  const path = join(broker.runDir, 'diag.sock');
  assert.equal((await broker.ctl(['touch', longId(4 * kib)])).code, 4);
  await counted('question', 0);
  const { code, stderr } = await broker.ctl(['touch', longId(4 * kib + 1)]);
  assert.deepEqual([code, /larger than --max-question/.test(stderr)], [1, true]);
  await counted('question', 1);

  await t.test('what claims to be huge is cut off at its head', async (t) => {
    const huge = await nngClient(t, path);
    huge.socket.write(messageHead(2 ** 30));
    await until('the end', () => huge.closed);
  });
  await t.test('slow and malformed ones hold nobody up', async (t) => {
    const slow = await nngClient(t, path);
    const whole = question(bodyOf('ping'));
    slow.socket.write(whole.subarray(0, 12));
    const bad = await nngClient(t, path);
    bad.socket.write(question(Buffer.from('no msgpack')));
    await until('its error', () => bad.received.includes('bad_request'));
    assert.equal((await broker.ctl(['ping'])).code, 0);
    for (const byte of whole.subarray(12)) slow.socket.write(Buffer.from([byte]));
    await until('its answer', () => slow.received.includes('pid'));
  });
  for (const [name, protocol] of [['diag.sock', protocols.req], ['events.sock', protocols.sub]]) {
    await t.test(`as many clients as allowed at ${name}`, async (t) => {
      const before = hits(await scrape(portOf(broker)), 'clients');
      const clients = [];
      await until('the former ones to be gone', async () => {
        const one = await nngClient(t, join(broker.runDir, name), protocol);
        clients.push(one);
        await new Promise((done) => setTimeout(done, 20));
        return clients.filter(({ closed }) => !closed).length === 5;
      });
      const counted = hits(await scrape(portOf(broker)), 'clients');
      const sixth = await nngClient(t, join(broker.runDir, name), protocol);
      await until('the sixth to be turned away', () => sixth.closed);
      await until('it to be counted', async () => hits(await scrape(portOf(broker)), 'clients') > counted);
      assert.ok(counted >= before);
      assert.equal(clients.filter(({ closed }) => !closed).length, 5);
    });
  }
});

test('questions above the rate are answered with an error, and others are not', async (t) => {
  const broker = await startBroker(t, { args: ['--workers', '1', '--http', '127.0.0.1:0', '--max-questions', '10'] });
  for (let n = 1; n <= 10; n++) assert.equal((await broker.ctl(['ping'])).code, 0, `question ${n}`);
  const { code, stderr } = await broker.ctl(['ping']);
  assert.deepEqual([code, /more questions in a minute than --max-questions/.test(stderr)], [1, true]);
  assert.equal(hits(await scrape(portOf(broker)), 'questions'), 1);
});

/** The sequence of each event that a raw subscriber has received, beats left out. */
function sequencesOf({ received }) {
  const sequences = [], key = Buffer.from('sequence');
  for (let at = 0, size; at + 9 <= received.length && (size = Number(received.readBigUInt64BE(at + 1))) <= received.length - at - 9; at += 9 + size) {
    const message = received.subarray(at + 9, at + 9 + size);
    const number = message.indexOf(key) + key.length + 1; // of 64 bits, behind its type
    if (message.toString('latin1', 0, 5) !== 'beat/') sequences.push(Number(message.readBigUInt64BE(number)));
  }
  return sequences;
}

test('a subscriber that does not read loses the oldest events, for it alone, and can tell', async (t) => {
  const queue = 64, rounds = 60;
  const fleet = await Promise.all(Array.from({ length: 20 }, () => startHostileServer(t)));
  const broker = await startBroker(t, {
    servers: Object.fromEntries(fleet.map(({ url }, i) => [`s${i}-${'x'.repeat(100)}`, { url }])),
    args: ['--workers', '1', '--coalesce', '0', '--subscriber-queue', `${queue}`, '--http', '127.0.0.1:0'],
  });
  await until('all to listen', async () => (await broker.states()).every(({ state }) => state === 'listening'));
  const path = join(broker.runDir, 'events.sock');
  const [good, deaf] = [await nngClient(t, path, protocols.sub), await nngClient(t, path, protocols.sub)];
  await until('both to be there', () => good.received.length > 0 && deaf.received.length > 0); // a beat
  deaf.socket.pause();
  for (let round = 1; round <= rounds; round++) {
    for (const server of fleet) server.change();
    await until('the others to get all', () => sequencesOf(good).length >= round * fleet.length);
  }
  const told = sequencesOf(good);
  const missing = told.flatMap((sequence, i) => (i > 0 && sequence !== told[i - 1] + 1 ? [[told[i - 1], sequence]] : []));
  assert.deepEqual(missing, [], 'the other one misses nothing');
  deaf.socket.resume();
  await until('it to have caught up', () => sequencesOf(deaf).at(-1) >= told.at(-1));
  const heard = sequencesOf(deaf);
  const gaps = heard.flatMap((sequence, i) => (i > 0 && sequence !== heard[i - 1] + 1 ? [i] : []));
  assert.equal(gaps.length, 1, `one gap, of the oldest that waited: ${gaps}`);
  const kept = heard.slice(gaps[0]).filter((sequence) => sequence <= told.at(-1)).length;
  assert.ok(kept <= queue && kept > queue / 2, `${kept} waited, besides beats`);
  assert.equal(heard[0], told[0]);
  const missed = heard[gaps[0]] - heard[gaps[0] - 1] - 1, beats = 30;
  await until('them to be counted', async () => {
    const counted = hits(await scrape(portOf(broker)), 'subscribers');
    return counted >= missed - queue && counted <= missed + beats ? counted : Promise.reject(new Error(`${counted} of ${missed}`));
  });
});
