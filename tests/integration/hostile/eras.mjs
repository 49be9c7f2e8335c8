// Which revision a server speaks: what each answer to the probe and to initialize means.
import assert from 'node:assert/strict';
import { changed, event, goodDiscovery, goodHello } from '../lib/hostile.mjs';
import { until } from '../lib/wait.mjs';
import { always, once, request, result, stillHears, tries } from './case.mjs';

const probes = ['subscriptions/listen', 'server/discover'];
/** The same answer to both. */
const alwaysStateless = (step) => Object.fromEntries(probes.map((each) => [each, step]));

/** Its name goes into each request after initialize, as does the session's id. */
const negotiated = (version) => ({
  on: { initialize: (x) => x.result(goodHello(version), { headers: { 'Mcp-Session-Id': 'visible~ascii!' } }) },
  after: async ({ server, row, ...rest }) => {
    await until('the list', async () => (await row()).toolCount === 2);
    assert.equal((await row()).protocolVersion, version);
    for (const { step, headers } of server.requests.filter((each) => !probes.includes(each.step))) {
      const isFirst = step === 'initialize';
      assert.equal(headers['mcp-protocol-version'], isFirst ? undefined : version, step);
      assert.equal(headers['mcp-session-id'], isFirst ? undefined : 'visible~ascii!', step);
      assert.equal(headers.accept, step === 'GET' ? 'text/event-stream' : 'application/json, text/event-stream', step);
      assert.deepEqual([headers.origin, headers.expect, headers['mcp-method']], [undefined, undefined, undefined], step);
    }
    await stillHears({ server, ...rest });
  },
  asked: { 'server/discover': 1, initialize: 1, GET: 1 },
});

const isListeningAs = (era, shown) => shown.era === era && shown.state === 'listening';

export default {
  'another revision asked for, ours among those supported': {
    era: 'stateless',
    on: { 'subscriptions/listen': once((x) => x.error(-32022, { status: 400, data: { supported: ['2026-07-28'] } })) },
    asked: { 'server/discover': 1, initialize: 0, 'subscriptions/listen': 2 },
  },
  'ours refused for ever, though supported': {
    era: 'stateless',
    on: alwaysStateless((x) => x.error(-32022, { status: 400, data: { supported: ['2026-07-28'] } })),
    state: 'failed', error: /no revision that is known/, asked: { 'server/discover': 2 * tries, initialize: 0 },
  },
  'only a revision of the future': {
    era: 'stateless',
    on: alwaysStateless((x) => x.error(-32022, { status: 400, data: { supported: ['2099-01-01'] } })),
    state: 'failed', error: /no revision that is known/, asked: { 'server/discover': tries, initialize: 0 },
  },
  'only revisions with sessions': {
    on: { 'server/discover': (x) => x.error(-32022, { status: 400, data: { supported: ['2025-06-18', '2025-11-25'] } }) },
    asked: { 'server/discover': 1, initialize: 1, GET: 1 },
  },
  'a probe answered with an empty result': {
    on: { 'server/discover': (x) => x.result({}) },
    asked: { 'server/discover': 1, initialize: 1, GET: 1 },
  },
  'a probe answered with a result of an unknown type': {
    on: { 'server/discover': (x) => x.result({ ...goodDiscovery, resultType: 'later' }) },
    asked: { 'server/discover': 1, initialize: 1, GET: 1 },
  },
  'a probe answered 200 with an error': {
    on: { 'server/discover': (x) => x.error(-32601) },
    asked: { 'server/discover': 1, initialize: 1, GET: 1 },
  },
  'a first request refused in the words of an older server': {
    on: { 'subscriptions/listen': (x) => x.error(-32000, { status: 400, message: 'Bad Request: Server not initialized' }) },
    after: stillHears, asked: { 'subscriptions/listen': 1, 'server/discover': 0, initialize: 1 },
  },
  'a probe answered on an event stream': {
    era: 'stateless',
    on: {
      'subscriptions/listen': once((x) => x.open().acknowledge({})),
      'server/discover': (x) => x.open().say(changed, result(x, goodDiscovery)).end(),
    },
    after: stillHears, asked: { 'server/discover': 1 },
  },
  'a request said to have the wrong headers': {
    era: 'stateless',
    on: { 'subscriptions/listen': (x) => x.error(-32020, { status: 400 }) },
    state: 'failed', error: /error -32020: our request did not arrive/, asked: { 'subscriptions/listen': tries, 'server/discover': 0, initialize: 0 },
  },
  'a capability said to be missing': {
    era: 'stateless',
    on: { 'subscriptions/listen': (x) => x.open().acknowledge({}), 'server/discover': (x) => x.error(-32021, { status: 400 }) },
    state: 'failed', error: /error -32021/, asked: { 'server/discover': tries, initialize: 0 },
  },
  'a server that is upgraded while it is listened to': {
    after: async ({ server, row }) => {
      server.era = 'stateless';
      server.cut();
      await until('the new era', async () => isListeningAs('stateless', await row()));
    },
  },
  'a server that is downgraded while it is listened to': {
    era: 'stateless',
    after: async ({ server, row }) => {
      server.era = 'session';
      server.cut();
      await until('the old era', async () => isListeningAs('session', await row()));
    },
  },
  'initialize answered with a revision that nobody knows': {
    on: { initialize: (x) => x.result(goodHello('2031-01-01'), { headers: { 'Mcp-Session-Id': 'a' } }) },
    state: 'failed', error: /chose a revision that is not known/, asked: { initialize: tries, DELETE: tries, GET: 0 },
  },
  'initialize answered without a revision': {
    on: { initialize: (x) => x.result({}) },
    state: 'failed', error: /no revision of MCP is spoken there.*initialize/, asked: { initialize: tries, GET: 0 },
  },
  'initialize answered as a server of 2026 does, by one that has no discovery': {
    on: { initialize: (x) => x.error(-32022, { status: 400, data: { supported: ['2026-07-28'] } }) },
    state: 'failed', error: /initialize: HTTP 400, error -32022/, asked: { initialize: tries, GET: 0 },
  },
  'no MCP at all': {
    on: always((x) => x.send(404, { 'Content-Type': 'text/html' }, '<h1>Not found</h1>')),
    state: 'failed', error: /no revision of MCP is spoken there/,
    asked: { 'server/discover': tries, initialize: tries, GET: tries },
  },
  'a web page to every request': {
    on: always((x) => x.send(200, { 'Content-Type': 'text/html' }, '<h1>Welcome</h1>')),
    state: 'failed', error: /neither JSON nor an event stream/, asked: { 'server/discover': tries, initialize: tries },
  },
  'revision 2025-11-25': negotiated('2025-11-25'),
  'revision 2025-06-18': negotiated('2025-06-18'),
  'revision 2025-03-26': negotiated('2025-03-26'),
};
