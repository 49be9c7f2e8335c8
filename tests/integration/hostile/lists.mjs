// Lists, page by page: those that can't be had leave the connection as it is, and what was known before.
import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import { changed, event, jsonType, streamType } from '../lib/hostile.mjs';
import { until } from '../lib/wait.mjs';
import { once, oneTool, page, request, result, stillHears } from './case.mjs';

/** A list that can't be had: told as the error of a connection that goes on. */
export const badList = (step, error, asked) => ({
  on: { 'tools/list': step },
  after: async ({ hasError, row, ...rest }) => {
    await hasError(error);
    assert.equal((await row()).toolCount, null);
    await stillHears(rest);
  },
  asked: { initialize: 1, GET: 1, 'tools/list': asked ?? [1, 2] }, // the change has it fetched again
});
export const tooMany = Array.from({ length: 10_001 }, (_, i) => ({ name: `tool-${i}` }));
const listAs = (type) => (x) => x.send(200, type, JSON.stringify(result(x, oneTool)));

export default {
  'cursors that go round': badList((x) => x.result(page('a', 'again')), /cursors go round/, 2),
  'pages without end': badList((x, n) => x.result(page(`tool-${n}`, `cursor-${n}`)), /more than --max-list-pages/, 100),
  'more items than there may be': badList((x) => x.result({ tools: tooMany }), /--max-list-items/),
  'a list that is none': badList((x) => x.result({ tools: {} }), /not a list of items/),
  'items without names': badList((x) => x.result({ tools: [{ title: 'x' }] }), /not a list of items/),
  'a cursor that is a number': badList((x) => x.result(page('a', 5)), /not a list of items/),
  'a list in the wrong type of content': badList(listAs({ 'Content-Type': 'text/plain' }), /neither JSON nor an event stream/),
  'JSON said to be an event stream': badList(listAs(streamType), /ended without an answer/),
  'an event stream said to be JSON': badList((x) => x.send(200, jsonType, event(result(x, oneTool))), /no JSON/),
  'a list refused with 400, which is about the request': badList((x) => x.error(-32602, { status: 400 }), /HTTP 400, error -32602/),
  'a list that fails with 500': badList((x) => x.send(500), /tools\/list: HTTP 500/),
  'a list that is cut': badList(async (x) => {
    x.open().write('data: {"jsonrpc');
    await turn();
    x.cut();
  }, /tools\/list: /),
  'a page that fails leaves the list that was known': {
    on: { 'tools/list': (x, n) => (n === 1 ? x.well() : x.message.params?.cursor ? x.send(500) : x.result(page('new', 'next'))) },
    after: async ({ server, row, heard, hasError }) => {
      const before = await until('the list', async () => { const now = await row(); return now.toolCount === 2 && now; });
      server.change();
      await heard(1);
      await hasError(/tools\/list: HTTP 500/);
      const after = await row();
      assert.deepEqual([after.state, after.toolCount, after.toolsHash], ['listening', 2, before.toolsHash]);
    },
    asked: { initialize: 1, GET: 1, 'tools/list': 3 },
  },
  'a cursor that is forgotten between two pages': {
    on: {
      'tools/list': (x, n) => (x.message.params?.cursor ? x.error(-32602) : x.result(n === 1 ? page('a', 'old') : oneTool)),
    },
    after: async ({ row }) => {
      await until('the list', async () => (await row()).toolCount === 1);
    },
    asked: { 'tools/list': 3 },
  },
  'a cursor that is always forgotten': {
    ...badList((x) => (x.message.params?.cursor ? x.error(-32602) : x.result(page('a', 'old'))), /error -32602/, 4),
  },
  'a list that changes while it is fetched': {
    on: {
      'tools/list': (x, n) => {
        if (n > 1) return x.well();
        x.server.change();
        return x.result(oneTool);
      },
    },
    after: async ({ row, heard }) => {
      await heard(1);
      await until('the newer list', async () => (await row()).toolCount === 2);
    },
    asked: { 'tools/list': 2 },
  },
  'a change told on the stream of the list itself': {
    on: { 'tools/list': once((x) => x.open().say(request('on-post', 'ping'), changed, result(x, oneTool)).end()) },
    after: async ({ server, row, heard }) => {
      await heard(1);
      await until('the list again', async () => (await row()).toolCount === 2);
      await until('the answer', () => server.count('reply') === 1);
    },
    asked: { 'tools/list': 2, GET: 1 },
  },
  'a change told with every list, for ever': {
    on: { 'tools/list': (x) => x.open().say(changed, result(x, oneTool)).end() },
    after: async ({ server, row }) => {
      await until('some lists', () => server.count('tools/list') >= 4);
      const [first, , , fourth] = server.times('tools/list');
      assert.ok(fourth - first > 2500, `4 lists in ${fourth - first} ms`);
      assert.equal((await row()).state, 'listening');
    },
  },
  'a list in a batch': {
    on: {
      'tools/list': (x) =>
        x.json([{ jsonrpc: '2.0', method: 'notifications/message' }, result({ id: 'other' }, {}), result(x, oneTool)]),
    },
    after: async ({ row }) => {
      await until('the list', async () => (await row()).toolCount === 1);
    },
    asked: { 'tools/list': 1 },
  },
  'a list on a stream that is left open': {
    on: { 'tools/list': (x) => x.open().say(result(x, oneTool)) },
    after: async ({ row }) => {
      await until('the list', async () => (await row()).toolCount === 1);
    },
    asked: { 'tools/list': 1 },
  },
  'a list on a stream that is closed early, to be resumed': {
    on: {
      'tools/list': (x) => { x.server.wanted = x.id; return x.open().write(event('', { id: 'p1', retry: 100 })).end(); },
      GET: (x) => (x.lastEventId === 'p1' ? x.open().say(result({ id: x.server.wanted }, oneTool)).end() : x.well()),
    },
    after: async ({ row }) => {
      await until('the list', async () => (await row()).toolCount === 1);
    },
    asked: { 'tools/list': 1, GET: 2, initialize: 1 },
  },
};
