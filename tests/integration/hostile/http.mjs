// What HTTP, and less than HTTP, can do to a client.
import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import { event, goodHello, jsonType } from '../lib/hostile.mjs';
import { always, elsewhere, once, oneTool, request, result, short, stillHears, timedOut, tries, waitsMinutes } from './case.mjs';

const chunkedHead = 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n';
const noTime = /timed out after|no connection to \S+ within/;
const redirect = (status) => ({
  on: always((x) => x.send(status, { Location: elsewhere.url })),
  state: 'failed', error: /redirect, which is not followed/, asked: { 'server/discover': tries, initialize: 0 },
});
/** Nothing but another URL, or another configuration of the server, mends that. */
const wrongHost = (step) => ({
  on: always(step),
  state: 'refused', error: /HTTP 4\d\d.*: it refuses the host in our URL/, asked: { 'server/discover': 1, initialize: 0 },
});

export default {
  '401': {
    on: always((x) => x.send(401, { 'WWW-Authenticate': 'Bearer realm="x"' })),
    state: 'unauthorized', error: /HTTP 401: it wants credentials/, asked: { 'server/discover': 1, initialize: 0 },
  },
  '401 to the Authorization that is configured': {
    on: always((x) => x.send(401)), definition: { headers: { authorization: 'Bearer wrong' } },
    state: 'unauthorized', error: /HTTP 401: it refuses the credentials it was given/, asked: { 'server/discover': 1, initialize: 0 },
  },
  '403': {
    on: always((x) => x.send(403)),
    state: 'unauthorized', error: /HTTP 403: forbidden/, asked: { 'server/discover': 1, initialize: 0 },
  },
  '403 for the host that the URL names, in plain words': wrongHost((x) => x.send(403, {}, 'Access is only allowed at localhost')),
  '403 for the host that the URL names, as JSON': wrongHost((x) => x.error(-32000, { status: 403, message: 'Invalid Host: 127.0.0.1' })),
  '421 for the host that the URL names': wrongHost((x) => x.send(421, {}, 'Invalid Host header')),
  '403 for the host, to the stream alone': {
    on: { GET: (x) => x.send(403, {}, 'Invalid Host header') },
    state: 'refused', error: /GET: HTTP 403: it refuses the host in our URL/, asked: { initialize: 1, GET: 1, DELETE: 1 },
  },
  '403 with the page of a proxy, which names a host': {
    on: always((x) => x.send(403, { 'Content-Type': 'text/html' }, '<h1>Forbidden</h1> Apache at localhost Port 80')),
    state: 'unauthorized', error: /HTTP 403: forbidden/, asked: { 'server/discover': 1, initialize: 0 },
  },
  '403 with a challenge and another word for host': {
    on: always((x) => x.send(403, { 'WWW-Authenticate': 'Bearer' }, 'not for this host')),
    state: 'unauthorized', error: /HTTP 403: it wants other credentials/, asked: { 'server/discover': 1, initialize: 0 },
  },
  '403 of a ghost': {
    on: always((x) => x.send(403, {}, 'a ghost forbids it')),
    state: 'unauthorized', error: /HTTP 403: forbidden/, asked: { 'server/discover': 1, initialize: 0 },
  },
  '401 to the stream': {
    on: { GET: (x) => x.send(401) },
    state: 'unauthorized', error: /GET: HTTP 401/, asked: { initialize: 1, GET: 1, DELETE: 1 },
  },
  '500': {
    on: always((x) => x.send(500)),
    state: 'failed', error: /server\/discover: HTTP 500/, asked: { 'server/discover': tries, initialize: 0 },
  },
  '503 with a Retry-After that is waited for': {
    on: { 'server/discover': once((x) => x.send(503, { 'Retry-After': '1' })) },
    after: ({ server }) => {
      const [first, second] = server.times('server/discover');
      assert.ok(second - first > 900, `${second - first} ms`);
    },
  },
  '429 with a Retry-After of years': {
    on: { 'server/discover': (x) => x.send(429, { 'Retry-After': '99999999' }) },
    state: 'backoff', error: /HTTP 429/, asked: { 'server/discover': 1 },
    after: waitsMinutes,
  },
  'accepted, but not answered': {
    on: always((x) => x.send(202)),
    state: 'failed', error: /accepted, but not answered/, asked: { 'server/discover': tries, initialize: tries },
  },
  'answered with nothing': {
    on: always((x) => x.send(200, jsonType)),
    state: 'failed', error: /no JSON|empty/, asked: { 'server/discover': tries, initialize: tries },
  },
  'answered with half of it': {
    on: { initialize: (x) => x.send(200, jsonType, `{"jsonrpc":"2.0","id":${x.id},"resu`) },
    state: 'failed', error: /no JSON, or is cut off/, asked: { initialize: tries },
  },
  'cut in the middle of a body': {
    on: {
      'server/discover': async (x) => {
        x.open({ ...jsonType, 'Content-Length': 100 }).write('{"json');
        await turn();
        x.cut();
      },
    },
    state: 'failed', error: /connection cut by|reset by/, asked: { 'server/discover': tries, initialize: 0 },
  },
  'an id that is a text where a number was sent': {
    on: always((x) => x.json({ jsonrpc: '2.0', id: String(x.id), result: goodHello('2025-11-25') })),
    state: 'failed', error: /to another request/, asked: { 'server/discover': tries, initialize: tries },
  },
  'JSON that is nested without end': {
    on: { initialize: (x) => x.send(200, jsonType, `{"jsonrpc":"2.0","id":${x.id},"result":${'['.repeat(100_000)}`) },
    state: 'failed', error: /nested deeper than --max-depth/, asked: { initialize: tries },
  },
  'JSON that is no UTF-8': {
    on: { initialize: (x) => x.send(200, jsonType, Buffer.from(`{"jsonrpc":"2.0","id":${x.id},"result":"\xff"}`, 'latin1')) },
    state: 'failed', error: /no JSON/, asked: { initialize: tries },
  },
  'content types in other letters, with parameters': {
    on: {
      'server/discover': (x) => x.error(-32000, { status: 400, headers: { 'Content-Type': 'TEXT/HTML' } }),
      initialize: (x) => x.result(goodHello('2025-11-25'), { headers: { 'Content-Type': 'Application/JSON;Charset="UTF-8"' } }),
      GET: (x) => x.listen({ 'Content-Type': 'Text/Event-Stream ; charset=utf-8' }),
      'tools/list': (x) => {
        const body = event(result(x, oneTool));
        return x.send(200, { 'Content-Type': 'TEXT/EVENT-STREAM;x=y', 'Content-Length': body.length }, body);
      },
    },
    after: stillHears,
  },
  'a byte order mark before the JSON': {
    on: {
      initialize: (x) => x.send(200, { ...jsonType, 'Mcp-Session-Id': 'session-1' },
        `\ufeff${JSON.stringify(result(x, goodHello('2025-11-25')))}`),
    },
    after: stillHears, asked: { initialize: 1 },
  },
  'early hints before the answer': {
    on: { initialize: (x) => { x.response.writeEarlyHints({ link: '</a>; rel=preload' }); return x.well(); } },
    after: stillHears, asked: { initialize: 1 },
  },
  'a head that is too large': {
    on: { 'server/discover': (x) => x.send(200, { ...jsonType, 'X-Junk': 'x'.repeat(300_000) }) },
    state: 'failed', error: /head(er)? of the response/, asked: { 'server/discover': tries, initialize: 0 },
  },
  'a head, then nothing': {
    definition: short,
    on: { 'server/discover': (x) => x.open({ ...jsonType, 'Content-Length': 100 }) },
    state: 'failed', error: timedOut, asked: { 'server/discover': tries, initialize: 0 },
  },
  'a body that drips without end': {
    definition: short,
    on: {
      'server/discover': (x) => {
        x.open(jsonType);
        const drip = setInterval(() => (x.isOpen ? x.write(' ') : clearInterval(drip)), 20);
      },
    },
    state: 'failed', error: /timed out|not complete within/, asked: { 'server/discover': tries, initialize: 0 },
  },
  'initialized refused': {
    on: {
      initialize: (x) => x.result(goodHello('2025-11-25')),
      'notifications/initialized': (x) => x.error(-32000, { status: 400 }),
    },
    state: 'failed', error: /notifications\/initialized: HTTP 400/, asked: { initialize: tries, GET: 0 },
  },
  'a session that is lost at once': {
    on: { 'notifications/initialized': (x) => x.error(-32001, { status: 404 }) },
    state: 'failed', error: /notifications\/initialized: HTTP 404/, asked: { initialize: tries, GET: 0, DELETE: 0 },
  },
  '301 to another origin': redirect(301),
  '302 to another origin': redirect(302),
  '307 to another origin': redirect(307),
  '308 to another origin': redirect(308),
  '302 of the stream to another origin': {
    on: { GET: (x) => x.send(302, { Location: elsewhere.url }) },
    state: 'failed', error: /GET: HTTP 302: a redirect/, asked: { initialize: tries, GET: tries },
  },
  '307 to the same origin': {
    on: { 'server/discover': (x) => x.send(307, { Location: '/elsewhere' }) },
    state: 'failed', error: /redirect, which is not followed/, asked: { 'server/discover': tries, initialize: 0 },
  },
  // not even HTTP
  'a server that never answers': {
    definition: short, socket: () => {},
    state: 'failed', error: timedOut, asked: { connection: tries },
  },
  'half a head, then nothing': {
    definition: short, socket: (socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Type: appli'),
    state: 'failed', error: timedOut, asked: { connection: tries },
  },
  'half a head, then half closed': {
    socket: (socket) => socket.end('HTTP/1.1 200 OK\r\nContent-Type: appli'),
    state: 'failed', error: /without an answer|no complete head|connection cut/, asked: { connection: tries },
  },
  'a byte at a time, for ever': {
    definition: short,
    socket: (socket) => {
      const bytes = 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{';
      let at = 0;
      const drip = setInterval(() => (socket.destroyed ? clearInterval(drip) : socket.write(bytes[at++] ?? ' ')), 50);
    },
    state: 'failed', error: timedOut, asked: { connection: tries },
  },
  'TLS that is never begun': {
    definition: short, scheme: 'https', socket: () => {},
    state: 'failed', error: noTime, asked: { connection: tries },
  },
  'TLS that stops in the middle': {
    definition: short, scheme: 'https', socket: (socket) => socket.once('data', () => socket.write(Buffer.from([22, 3, 3, 0, 90, 2]))),
    state: 'failed', error: noTime, asked: { connection: tries },
  },
  'a connection that is closed at once': {
    socket: (socket) => socket.end(),
    state: 'failed', error: /without an answer|reset by|connection cut/, asked: { connection: tries },
  },
  'another protocol': {
    socket: (socket) => socket.end('220 mail.example.com ESMTP\r\n'),
    state: 'failed', error: /127\.0\.0\.1/, asked: { connection: tries },
  },
  'chunks that are none': {
    socket: (socket) => socket.once('data', () => socket.end(`${chunkedHead}zz\r\n{}\r\n`)),
    state: 'failed', error: /127\.0\.0\.1/, asked: { connection: tries },
  },
};
