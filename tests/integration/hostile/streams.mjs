// 2025-03-26 to 2025-11-25: sessions, and the stream of a GET down to its bytes.
import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { changed, event, goodHello } from '../lib/hostile.mjs';
import { until } from '../lib/wait.mjs';
import { once, request, result, stillHears, tries, waitsMinutes } from './case.mjs';

/** Once: a new session, at once, without an attempt being counted. */
function forgotten(status) {
  return {
    on: {
      GET: (x) => {
        if (x.headers['mcp-session-id'] === 'session-1' && x.lastEventId) return x.error(-32000, { status });
        if (x.headers['mcp-session-id'] === 'session-1' && x.server.count('GET') > 1) return x.error(-32000, { status });
        return x.well().write(event('', { id: 'a' }));
      },
    },
    after: async ({ server, row, ...rest }) => {
      await until('the list', async () => (await row()).toolCount === 2);
      server.cut();
      await until('another session', () => server.count('initialize') === 2 && server.open().length === 1);
      await stillHears({ server, ...rest });
      assert.equal((await row()).reconnectAttempts, 0);
    },
    asked: { initialize: 2, DELETE: 0 },
  };
}

export default {
  '405, though changes are advertised': {
    on: { GET: (x) => x.send(405, { Allow: 'POST' }) },
    state: 'unsupported', error: /GET: HTTP 405: the server offers no stream/, asked: { initialize: 1, GET: 1 },
  },
  '200 with a web page': {
    on: { GET: (x) => x.send(200, { 'Content-Type': 'text/html' }, '<h1>MCP</h1>') },
    state: 'unsupported', error: /no event stream/, asked: { initialize: 1, GET: 1 },
  },
  '404 with a web page, to the first GET of a session': {
    on: { GET: (x) => x.send(404, { 'Content-Type': 'text/html' }, '<pre>Cannot GET /mcp</pre>') },
    state: 'unsupported', error: /GET: HTTP 404: the server offers no stream/, asked: { initialize: 1, GET: 1 },
  },
  '404 with a JSON error, to every GET': {
    on: { GET: (x) => x.error(-32001, { status: 404 }) },
    state: 'failed', error: /GET: HTTP 404$/, asked: { initialize: tries, GET: tries, DELETE: 0 },
  },
  'a stream that is compressed, though nobody asked for that': {
    on: { GET: (x) => x.open({ 'Content-Encoding': 'gzip' }).write(gzipSync(event(changed))) },
    state: 'unsupported', error: /GET: the stream is compressed/, asked: { initialize: 1, GET: 1 },
  },
  'a stream that is said to be as it is': {
    on: { GET: (x) => x.listen({ 'Content-Encoding': 'Identity' }) }, after: stillHears, asked: { GET: 1 },
  },
  'an empty 200': {
    on: { GET: (x) => x.send(200) },
    state: 'unsupported', error: /no event stream/, asked: { initialize: 1, GET: 1 },
  },
  'a conflict with an older stream, which goes away': {
    on: { GET: once((x) => x.error(-32000, { status: 409 })) },
    after: stillHears, asked: { initialize: 1, GET: 2, DELETE: 0 },
  },
  'a conflict that stays, until the session is another one': {
    on: { GET: (x) => (x.headers['mcp-session-id'] === 'session-1' ? x.error(-32000, { status: 409 }) : x.well()) },
    after: stillHears, asked: { initialize: 2, DELETE: 1, GET: 5 },
  },
  'a stream that ends at once': {
    on: { GET: (x) => x.open().end(), DELETE: (x) => x.send(405) },
    state: 'failed', error: /stream: the server closed it/, asked: { initialize: tries, GET: tries, DELETE: tries },
  },
  'a stream that is lost is resumed in its session, and the list fetched again': {
    on: {
      GET: (x) => {
        if (x.lastEventId) return x.listen().write(event(changed, { id: 'a2' }));
        return x.hasRival() ? x.well() : x.well().write(event('', { id: 'a1' }) + event('', { id: 'not\0one' }));
      },
    },
    after: async ({ server, row, heard }) => {
      await until('the list', async () => (await row()).toolCount === 2);
      server.cut();
      await heard(1);
      await until('the list again', () => server.count('tools/list') > 1);
      assert.equal(server.requests.filter(({ step }) => step === 'GET')[1].headers['last-event-id'], 'a1');
      server.change();
      await heard(2);
      assert.equal((await row()).reconnectAttempts, 0);
    },
    asked: { initialize: 1, GET: [2, 3] },
  },
  'a stream that is lost three times: one that is resumed is put to the test once': {
    on: {
      GET: (x) => {
        if (x.hasRival()) return x.well();
        return x.listen().write(event('', { id: `a${x.server.count('GET')}` }));
      },
    },
    after: async ({ server, row, ...rest }) => {
      await until('the list', async () => (await row()).toolCount === 2);
      for (const [i, gets] of [3, 4, 5].entries()) {
        server.cut();
        await until(`stream ${i + 2}`, () => server.count('GET') === gets && server.open().length === 1);
        await until('the list again', () => server.count('tools/list') === i + 2);
      }
      const cursors = server.requests.filter(({ step }) => step === 'GET').map(({ headers }) => headers['last-event-id']);
      assert.deepEqual(cursors, [undefined, 'a1', undefined, 'a2', 'a4']);
      await stillHears({ server, row, ...rest });
      assert.equal((await row()).reconnectAttempts, 0);
    },
    asked: { initialize: 1, GET: 5 },
  },
  'a stream that is resumed, and mute from then on': {
    on: { GET: (x) => (x.lastEventId ? x.open() : x.listen().write(event('', { id: 'a1' }))) },
    after: async ({ server, ...rest }) => {
      server.cut();
      await until('another stream', () => server.count('GET') === 3 && server.open().length === 1);
      await stillHears({ server, ...rest });
    },
    asked: { initialize: 1, GET: 3 },
  },
  'an event id that is no longer known': {
    on: { GET: (x) => (x.lastEventId ? x.error(-32000, { status: 400 }) : x.well().write(event('', { id: 'a1' }))) },
    after: async ({ server, ...rest }) => {
      server.cut();
      await until('the stream to be open again', () => server.count('GET') === 3 && server.open().length === 1);
      await stillHears({ server, ...rest });
    },
    asked: { initialize: 1, GET: 3 },
  },
  'retry: 0, and an end at once, for ever': {
    on: { GET: (x) => x.open().write(event('', { id: 'a', retry: 0 })).end() },
    state: 'failed', error: /stream: the server closed it/, asked: { initialize: tries, GET: 4 * tries },
  },
  'a stream that the server closes on purpose again and again, to be polled': {
    on: {
      GET: (x) => {
        if (x.hasRival()) return x.well();
        const stream = x.listen().write(event('', { id: `p${x.server.count('GET')}`, retry: 100 }));
        return setTimeout(() => x.server.count('GET') < 7 && stream.end(), 1300);
      },
    },
    after: async ({ server, row, ...rest }) => {
      await until('seven streams', () => server.count('GET') === 7, 60_000);
      const [first, second, , third] = server.times('GET'); // the one between is the test whether it is mute
      assert.ok(second - first > 3000 && third - second > 3000, 'the server does not set the pace alone');
      await stillHears({ server, row, ...rest });
      assert.deepEqual([(await row()).state, (await row()).reconnectAttempts], ['listening', 0]);
    },
    asked: { initialize: 1, GET: 7, DELETE: 0 },
  },
  'retry: 999999999': {
    on: { GET: (x) => x.open().write(event('', { id: 'a', retry: 999999999 })).end() },
    state: 'backoff', error: /stream: the server closed it/, asked: { initialize: 1, GET: 1 },
    after: waitsMinutes,
  },
  'retry that is no number': {
    on: { GET: (x) => x.open().write('retry: -5\nretry: 1e9\nretry: \nretry: +5\n\n').end() },
    state: 'failed', error: /stream: the server closed it/, asked: { initialize: tries, GET: tries },
  },
  'an event without end': {
    on: { GET: (x) => x.open().write('data: ').write('x'.repeat(5 << 20)) },
    state: 'failed', error: /an event is larger than --max-event/, asked: { initialize: tries, GET: tries },
  },
  'a line without end in a field that means nothing': {
    on: { GET: (x) => x.open().write('field: ').write('x'.repeat(5 << 20)) },
    state: 'failed', error: /an event is larger than --max-event/, asked: { initialize: tries, GET: tries },
  },
  'a comment and an event of megabytes': {
    on: {
      GET: (x) => x.well().write(`: ${'x'.repeat(6 << 20)}\n\n`).say({ ...changed, params: { junk: 'x'.repeat(3 << 20) } }),
    },
    after: async ({ server, heard }) => {
      await heard(1);
      server.change();
      await heard(2);
    },
    asked: { GET: 1 },
  },
  'every way to end a line and to split an event': {
    after: async ({ server, heard }) => {
      const note = JSON.stringify(changed);
      const ways = [
        [`data: ${note}\r\r`], [`data: ${note}\r\n\r\n`], [`data: ${note}\n\r`, '\n'], [`data: ${note}\r`, '\n\r', '\n'],
        [`data:${note}\n\n`], [`event: message\nid\nid: 7\nunknown\nunknown: x\n:\n: comment\ndata: ${note}\nretry: x\n\n`],
        [JSON.stringify(changed, null, 1).split('\n').map((line) => `data: ${line}\n`).join(''), '\n'],
        [...Buffer.from(`event: message\r\nid: é\r\ndata: ${note}\r\n\r\n`)].map((byte) => Buffer.from([byte])),
      ];
      for (const [i, chunks] of ways.entries()) {
        for (const chunk of chunks) {
          server.open()[0].write(chunk);
          await turn();
        }
        await heard(i + 1);
      }
    },
    asked: { GET: 1 },
  },
  'a byte order mark': {
    on: { GET: (x) => x.well().write(Buffer.from([0xef])).write(Buffer.from([0xbb])).write(Buffer.from([0xbf])).say(changed) },
    after: ({ heard }) => heard(1), asked: { GET: 1 },
  },
  'events that are no changes': {
    on: {
      GET: (x) => x.well().write(
        event(changed, { type: 'tools' }) + event('', { id: 'prime' }) + event('{') + event('"text"') + event('17') + event('[]') +
        event({ ...changed, jsonrpc: '1.0' }) + event({ method: changed.method }) + event({ ...changed, id: null }) +
        event({ ...changed, method: `${changed.method}\0` }) + event({ ...changed, method: 7 }) + event({ jsonrpc: '2.0' }) +
        event(result({ id: 99 }, {})) + event({ ...changed, method: 'notifications/message' }) +
        event([[changed]]) + `event: message\nid: only\n\n` + `: data: ${JSON.stringify(changed)}\n\n`),
    },
    after: stillHears, asked: { GET: 1, reply: 0 },
  },
  'an event that the end of the stream cuts off': {
    on: { GET: once((x) => x.open().end(`data: ${JSON.stringify(changed)}\n`)) },
    after: async ({ server, ...rest }) => {
      await until('another stream', () => server.count('GET') === 2 && server.open().length === 1);
      await stillHears({ server, ...rest });
    },
  },
  'requests of the server, each answered with its id as it came': {
    on: {
      GET: (x) => x.well().say(
        request(0, 'ping'), request('p-1', 'ping'), request('', 'ping'), request(0, 'sampling/createMessage'),
        request('s', 'roots/list'), request(-7, 'elicitation/create'), request(9007199254740991, 'no/such')),
    },
    after: async ({ server, ...rest }) => {
      await until('the answers', () => server.count('reply') === 7);
      const replies = server.requests.filter(({ step }) => step === 'reply').map((each) => each.message);
      const pings = replies.filter((each) => each.result).map((each) => [each.id, each.result]);
      const others = replies.filter((each) => each.error).map((each) => [each.id, each.error.code]);
      const sorted = (pairs) => pairs.map((pair) => JSON.stringify(pair)).sort();
      assert.deepEqual(sorted(pings), sorted([[0, {}], ['p-1', {}], ['', {}]]));
      assert.deepEqual(sorted(others), sorted([[0, -32601], ['s', -32601], [-7, -32601], [9007199254740991, -32601]]));
      await stillHears({ server, ...rest });
    },
    asked: { reply: 7, GET: 1 },
  },
  'requests with ids that are none': {
    on: { GET: (x) => x.well().say(request({}, 'ping'), request([1], 'ping'), request(true, 'ping'), request(null, 'ping')) },
    after: stillHears, asked: { reply: 0, GET: 1 },
  },
  'a flood of requests': {
    on: { GET: (x) => x.well().say(...Array.from({ length: 2000 }, (_, i) => request(i, 'ping'))), reply: (x) => x.send(202) },
    after: async ({ server, ...rest }) => {
      await stillHears({ server, ...rest });
      assert.ok(server.count('reply') >= 1 && server.count('reply') <= 2000);
    },
  },
  'a batch': {
    on: { GET: (x) => x.well().say([request('b', 'ping'), changed, { jsonrpc: '2.0' }, 7, result({ id: 5 }, {})]) },
    after: async ({ server, heard }) => {
      await heard(1);
      await until('the answer', () => server.count('reply') === 1);
    },
  },
  'a session that is forgotten, told by 404': forgotten(404),
  'a session that is forgotten, told by 400': forgotten(400),
  'a session that is forgotten again and again': {
    on: { 'tools/list': (x) => x.error(-32001, { status: 404 }) },
    state: 'failed', error: /session lost: HTTP 404/, asked: { initialize: tries + 1, GET: tries + 1 },
  },
  'changes that were not advertised': {
    on: { initialize: (x) => x.result({ ...goodHello('2025-11-25'), capabilities: { tools: {} } }) },
    after: async ({ row, ...rest }) => {
      assert.equal((await row()).supportsListChanged, false);
      await stillHears(rest);
      assert.equal((await row()).supportsListChanged, true);
    },
  },
  'initialize answered on a stream that is closed early, to be resumed': {
    on: {
      initialize: (x) => {
        x.server.wanted = x.id;
        return x.open({ 'Mcp-Session-Id': 'session-1' }).write(event('', { id: 'i1', retry: 100 })).end();
      },
      GET: (x) => {
        if (x.lastEventId !== 'i1') return x.well();
        return x.open().say(result({ id: x.server.wanted }, goodHello('2025-11-25'))).end();
      },
    },
    after: stillHears, asked: { initialize: 1, GET: 2 },
  },
  'a session id that cannot be one': {
    on: { initialize: (x) => x.result(goodHello('2025-11-25'), { headers: { 'Mcp-Session-Id': 'not one' } }) },
    after: async ({ server, ...rest }) => {
      await stillHears({ server, ...rest });
      assert.ok(server.requests.every(({ headers }) => headers['mcp-session-id'] === undefined));
    },
  },
};
