// Megabytes, and what becomes of them: large messages are read beside the loop, in their order; what is too large ends.
import assert from 'node:assert/strict';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import { changed, event, jsonType } from '../lib/hostile.mjs';
import { until } from '../lib/wait.mjs';
import { once, stillHears, tries } from './case.mjs';
import { badList, tooMany } from './lists.mjs';

const megabyte = Buffer.alloc(1 << 20, 'x');
const large = { ...changed, params: { junk: 'x'.repeat(100_000) } };
const gzipBomb = gzipSync(Buffer.alloc(64 << 20, ' '));
const brotliBomb = brotliCompressSync(Buffer.alloc(64 << 20, ' '), { params: { [constants.BROTLI_PARAM_QUALITY]: 3 } });
const packed = (coding, body) => (x) => x.send(200, { ...jsonType, 'Content-Encoding': coding }, body);

export default {
  'a gigabyte of one event': {
    on: {
      GET: (x) => {
        const more = () => { while (x.isOpen && x.response.write(megabyte)); };
        x.open().write('data: ').response.on('drain', more);
        more();
      },
    },
    state: 'failed', error: /an event is larger than --max-event/, asked: { initialize: tries, GET: tries },
  },
  '100,000 events in one packet': {
    on: { GET: (x) => x.well().write(event(changed).repeat(100_000)) },
    state: 'backoff', error: /more than 60000 notifications in a minute/, asked: { initialize: 1, GET: 1 },
  },
  'changes before, between and after large events': {
    on: { GET: (x) => x.well().say(changed, large, changed, large, large, changed, changed) },
    after: async ({ server, heard }) => {
      await heard(7);
      server.change();
      await heard(8);
    },
    asked: { GET: 1 },
  },
  'a large event, and the end right behind it': {
    on: { GET: once((x) => x.open().write(event(large, { id: 'last' })).end()) },
    after: async ({ server, heard }) => {
      await until('another stream', () => server.count('GET') === 2 && server.open().length === 1);
      assert.equal(server.requests.filter(({ step }) => step === 'GET').at(-1).headers['last-event-id'], 'last');
      await heard(2); // its list was not settled when the stream ended
    },
  },
  'a body that unpacks to more than there may be': badList(packed('gzip', gzipBomb), /unpacks to more than 200 times/),
  'a body that unpacks to more than it may at once': badList(packed('br', brotliBomb), /unpacks to more than 200 times/),
  'as many items as there may be, in nearly 16 MiB': {
    on: { 'tools/list': (x) => x.result({ tools: tooMany.slice(1).map((tool) => ({ ...tool, description: 'x'.repeat(1500) })) }) },
    after: async ({ row, ...rest }) => {
      await until('the list', async () => (await row()).toolCount === 10_000);
      await stillHears(rest);
    },
    asked: { 'tools/list': [1, 3] },
  },
};
