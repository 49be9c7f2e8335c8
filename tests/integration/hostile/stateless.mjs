// 2026-07-28: what can go wrong with subscriptions/listen, and on its stream.
import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import { until } from '../lib/wait.mjs';
import { inEra, oneTool, page, request, result, short, stillHears, tries } from './case.mjs';

export default inEra('stateless', {
  'a good one, asked as it must be': {
    definition: { events: ['tools', 'prompts'] },
    on: { 'prompts/list': (x) => x.result({ prompts: [] }) },
    after: async ({ server, row, ...rest }) => {
      await stillHears({ server, ...rest });
      await until('its name', async () => (await row()).serverInfo === 'hostile/1.0.0');
      for (const { step, message, headers } of server.requests) {
        assert.equal(headers['mcp-protocol-version'], '2026-07-28', step);
        assert.equal(headers['mcp-method'], step);
        assert.equal(headers.accept, 'application/json, text/event-stream', step);
        assert.deepEqual([headers.origin, headers.expect, headers['mcp-session-id']], [undefined, undefined, undefined], step);
        const { _meta: meta } = message.params;
        assert.equal(meta['io.modelcontextprotocol/protocolVersion'], '2026-07-28', step);
        assert.deepEqual(meta['io.modelcontextprotocol/clientCapabilities'], {}, step);
        assert.match(meta['io.modelcontextprotocol/clientInfo'].version, /^\d/, step);
      }
      assert.equal(new Set(server.requests.map(({ message }) => message.id)).size, server.requests.length, 'ids are used once');
      const { message } = server.requests.find(({ step }) => step === 'subscriptions/listen');
      assert.deepEqual(message.params.notifications, { toolsListChanged: true, promptsListChanged: true });
    },
    asked: { 'server/discover': 0, 'subscriptions/listen': 1 },
  },
  'an acknowledgement of less than was asked for': {
    definition: { events: ['tools', 'prompts'] },
    on: { 'subscriptions/listen': (x) => x.listen().acknowledge({ toolsListChanged: true }) },
    after: stillHears, asked: { 'server/discover': 1, 'subscriptions/listen': 2 },
  },
  'an empty acknowledgement, then a graceful end at once': {
    on: { 'subscriptions/listen': (x) => x.open().acknowledge({}).say(result(x, { resultType: 'complete' })).end() },
    state: 'unsupported', error: /honours none/, asked: { 'server/discover': 1, 'subscriptions/listen': 2 },
  },
  'an empty acknowledgement on a stream that stays open': {
    on: { 'subscriptions/listen': (x) => x.listen().acknowledge({}) },
    state: 'unsupported', error: /honours none/, asked: { 'subscriptions/listen': 2 },
    after: ({ server }) => until('the stream to be closed', () => server.open().length === 0),
  },
  'a graceful end right after the acknowledgement': {
    on: { 'subscriptions/listen': (x) => x.open().acknowledge().say(result(x, { resultType: 'complete' })).end() },
    state: 'failed', error: /the server ended the stream/, asked: { 'subscriptions/listen': tries },
  },
  'a cancellation by the server right after the acknowledgement': {
    on: {
      'subscriptions/listen': (x) =>
        x.open().acknowledge().say({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: x.id } }),
    },
    state: 'failed', error: /the server ended the stream/, asked: { 'subscriptions/listen': tries },
  },
  'a connection cut right after the acknowledgement': {
    on: { 'subscriptions/listen': async (x) => { x.open().acknowledge(); await turn(); x.cut(); } },
    state: 'failed', error: /stream|listen/, asked: { 'subscriptions/listen': tries },
  },
  'a stream that ends without an answer': {
    on: { 'subscriptions/listen': (x) => x.open().acknowledge().end() },
    state: 'failed', error: /stream: the server closed it/, asked: { 'subscriptions/listen': tries },
  },
  'no acknowledgement': {
    definition: short,
    on: { 'subscriptions/listen': (x) => x.open() },
    state: 'failed', error: /subscriptions\/listen: timed out/, asked: { 'subscriptions/listen': tries },
  },
  'the acknowledgement of another subscription': {
    definition: short,
    on: { 'subscriptions/listen': (x) => x.open().acknowledge(undefined, 'another').acknowledge(undefined, String(x.id)) },
    state: 'failed', error: /subscriptions\/listen: timed out/, asked: { 'subscriptions/listen': tries },
  },
  'changes of other subscriptions, and before the acknowledgement': {
    on: {
      'subscriptions/listen': (x) => {
        x.listen().say(x.changed()).acknowledge();
        x.say(x.changed('another'), x.changed(String(x.id)), x.changed(null), x.changed(0));
      },
    },
    after: stillHears, asked: { 'subscriptions/listen': 1 },
  },
  'requests on the stream, which this era never answers': {
    on: { 'subscriptions/listen': (x) => x.well().say(request(0, 'ping'), request('s', 'sampling/createMessage')) },
    after: stillHears, asked: { 'subscriptions/listen': 1, reply: 0 },
  },
  'a stream that is compressed, though nobody asked for that': {
    on: { 'subscriptions/listen': (x) => x.open({ 'Content-Encoding': 'br' }).write('not even that') },
    state: 'failed', error: /subscriptions\/listen: the stream is compressed/, asked: { 'server/discover': tries, 'subscriptions/listen': tries },
  },
  'listen refused as 200 with a JSON error': {
    on: { 'subscriptions/listen': (x) => x.error(-32602) },
    state: 'unsupported', error: /subscriptions\/listen: error -32602/, asked: { 'subscriptions/listen': 1 },
  },
  'listen answered with a JSON result': {
    on: { 'subscriptions/listen': (x) => x.result({}) },
    state: 'unsupported', error: /answered at once, without a stream/, asked: { 'subscriptions/listen': 1 },
  },
  'listen ended on the stream without an acknowledgement': {
    on: { 'subscriptions/listen': (x) => x.open().say(result(x, { resultType: 'complete' })).end() },
    state: 'failed', error: /subscriptions\/listen: /, asked: { 'subscriptions/listen': tries },
  },
  'listen refused as an unknown method': {
    on: { 'subscriptions/listen': (x) => x.error(-32601, { status: 404 }) },
    state: 'unsupported', error: /subscriptions\/listen: HTTP 404, error -32601/, asked: { 'subscriptions/listen': 1 },
  },
  'listen refused, for there are too many': {
    on: { 'subscriptions/listen': (x) => x.error(-32603, { message: 'Subscription limit reached' }) },
    state: 'failed', error: /subscriptions\/listen: error -32603/, asked: { 'subscriptions/listen': tries },
  },
  'a list that is no final result': {
    on: { 'tools/list': (x) => x.result({ resultType: 'input_required', ...oneTool }) },
    after: async ({ hasError, ...rest }) => {
      await hasError(/tools\/list: an incomplete result/);
      await stillHears(rest);
    },
  },
  'a cursor that is empty, which is one': {
    on: { 'tools/list': (x) => x.result(x.message.params.cursor === undefined ? page('a', '') : page('b')) },
    after: async ({ server, row }) => {
      await until('two tools', async () => (await row()).toolCount === 2);
      const pages = server.requests.filter(({ step }) => step === 'tools/list');
      assert.deepEqual(pages.map(({ message }) => message.params.cursor), [undefined, '']);
    },
    asked: { 'tools/list': 2 },
  },
});
