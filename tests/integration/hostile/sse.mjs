// 2024-11-05, HTTP+SSE: the endpoint that the server names, and replies that come on the stream.
import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import { changed, event, goodHello } from '../lib/hostile.mjs';
import { until } from '../lib/wait.mjs';
import { elsewhere, inEra, request, result, short, stillHears, tries } from './case.mjs';

const endpoint = (text) => ({ GET: (x) => x.listen().write(`event: endpoint\ndata: ${text(x)}\n\n`) });

export default inEra('sse', {
  'a good one, found by trying': {
    after: async ({ row, ...rest }) => {
      await until('the list', async () => (await row()).toolCount === 2);
      assert.deepEqual([(await row()).era, (await row()).protocolVersion], ['sse', '2024-11-05']);
      await stillHears(rest);
    },
    asked: { POST: 3, GET: 1, initialize: 1 },
  },
  'a good one, configured': { definition: { type: 'sse' }, after: stillHears, asked: { POST: 0, GET: 1 } },
  'an endpoint of another origin': {
    on: endpoint(() => elsewhere.url),
    state: 'failed', error: /of another origin/, asked: { GET: tries, initialize: 0 },
  },
  'an endpoint of another origin, without a scheme': {
    on: endpoint(() => elsewhere.url.replace('http:', '')),
    state: 'failed', error: /of another origin/, asked: { GET: tries },
  },
  'an endpoint with a user before the host': {
    on: endpoint((x) => `http://${x.headers.host}@${new URL(elsewhere.url).host}/mcp`),
    state: 'failed', error: /endpoint/, asked: { GET: tries },
  },
  'an endpoint that is no place': {
    on: endpoint(() => 'javascript:alert(1)'),
    state: 'failed', error: /endpoint/, asked: { GET: tries },
  },
  'an endpoint in full, and another one later': {
    on: {
      GET: (x) => {
        x.listen().write(event(`http://${x.headers.host}/here`, { type: 'endpoint' }));
        x.write(event(elsewhere.url, { type: 'endpoint' }));
      },
    },
    after: async ({ server, row, ...rest }) => {
      await until('the list', async () => (await row()).toolCount === 2);
      assert.ok(server.requests.filter(({ step }) => step === 'tools/list').every(({ path }) => path === '/here'));
      await stillHears({ server, ...rest });
    },
  },
  'no endpoint': {
    definition: short, on: { GET: (x) => x.open().write(': wait\n\n') },
    state: 'failed', error: /no `endpoint` came|timed out/, asked: { GET: tries },
  },
  'a message before the endpoint': {
    definition: { type: 'sse' }, on: { GET: (x) => x.open().say(changed) },
    state: 'failed', error: /first event is not `endpoint`/, asked: { GET: tries },
  },
  'a stream that is a web page': {
    on: { GET: (x) => x.send(200, { 'Content-Type': 'text/html' }, 'hello') },
    state: 'failed', error: /no event stream/, asked: { GET: tries },
  },
  'a message that is accepted and never answered': {
    definition: short, on: { initialize: (x) => x.send(202) },
    state: 'failed', error: /initialize: timed out/, asked: { initialize: tries, GET: tries },
  },
  'a message whose POST is never answered, though its reply comes': {
    on: { initialize: (x) => x.server.tell(result(x, goodHello('2024-11-05'))) },
    after: stillHears, asked: { initialize: 1, GET: 1 },
  },
  'a message refused': {
    on: { initialize: (x) => x.send(404) },
    state: 'failed', error: /initialize: HTTP 404/, asked: { initialize: tries, GET: tries },
  },
  'a reply to another id': {
    definition: short,
    on: {
      initialize: (x) => {
        x.send(202);
        x.server.tell(result({ id: String(x.id) }, goodHello('2024-11-05')), result({ id: 77 }, {}));
      },
    },
    state: 'failed', error: /initialize: timed out/, asked: { initialize: tries },
  },
  'a stream that ends after the handshake': {
    on: {
      'notifications/initialized': async (x) => {
        x.send(202);
        await turn();
        x.server.open().forEach((each) => each.end());
      },
    },
    state: 'failed', error: /stream/, asked: { GET: tries, initialize: tries },
  },
  'requests of the server, answered at the endpoint': {
    after: async ({ server, ...rest }) => {
      server.tell(request('p', 'ping'), request(3, 'roots/list'));
      await until('the answers', () => server.count('reply') === 2);
      await stillHears({ server, ...rest });
    },
    asked: { reply: 2 },
  },
});
