// `mcp-brokerctl probe`: one look at a server, without a broker. What it finds is what a worker would find.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { startAuthorizationServer } from './lib/authorization.mjs';
import { bin, reports, startBroker } from './lib/broker.mjs';
import { startHostileServer } from './lib/hostile.mjs';
import { run, start } from './lib/process.mjs';
import { stdioScript, stdioServer } from './lib/programs.mjs';
import { startSessionServer, startStatelessServer } from './lib/servers.mjs';
import { until } from './lib/wait.mjs';

const ctl = join(bin, 'mcp-brokerctl');

/** What was found; `input` is a definition for standard input, `warns` what is said on standard error. */
async function probe(args, { input, expected = 0, warns = /^$/ } = {}) {
  const text = input && JSON.stringify(input);
  const { code, stdout, stderr } = await run(ctl, ['--json', 'probe', ...(input ? ['-'] : []), ...args], { input: text });
  assert.equal(code, expected, `${stdout}${stderr}`);
  assert.match(stderr, warns);
  return JSON.parse(stdout);
}

const starts = {
  session: startSessionServer,
  stateless: startStatelessServer,
  sse: (t) => startHostileServer(t, { era: 'sse' }),
};
const versions = { session: '2025-11-25', stateless: '2026-07-28', sse: '2024-11-05' };

for (const [era, startServer] of Object.entries(starts)) {
  test(`a server of the ${era} era is found to be what a broker finds`, async (t) => {
    const server = await startServer(t);
    const found = await probe([server.url, '--wait', '0s']);
    assert.equal(found.state, 'listening');
    assert.deepEqual([found.reachable, found.http, found.tls, found.connected], [true, 'HTTP/1.1', null, true]);
    assert.deepEqual([found.era, found.protocolVersion], [era, versions[era]]);
    assert.deepEqual([found.capabilities.tools, found.heard], [{ listChanged: true }, ['tools']]);
    assert.deepEqual(found.stream.changes, { tools: 0 });
    assert.ok(found.toolCount > 0);
    assert.deepEqual([found.promptCount, found.promptsHash, found.lastError], [null, null, null]);

    const broker = await startBroker(t, { servers: { s: { url: server.url } }, args: ['--workers', '1'] });
    await broker.untilState('s', 'listening');
    const shown = await until('the list', async () => {
      const row = await broker.ask('show', 's');
      return row.toolCount !== null && row;
    });
    const same = ['state', 'connected', 'era', 'protocolVersion', 'serverInfo', 'toolCount', 'toolsHash', 'supportsListChanged', 'transport', 'events', 'lastError'];
    for (const field of same) assert.deepEqual(found[field], shown[field], field);
  });
}

test('what comes on the stream is told, and the list is that after the last change', async (t) => {
  const server = await startSessionServer(t);
  const probing = start(ctl, ['--json', 'probe', server.url, '--wait', '3s']);
  await until('the stream', () => server.count('GET') > 0);
  await server.ping();
  server.addTool('two');
  const { code } = await probing.exit;
  assert.equal(code, 0, probing.stderr);
  const found = JSON.parse(probing.stdout);
  assert.deepEqual(found.stream.changes, { tools: 1 });
  assert.ok(found.stream.heldMs > 2500, `${found.stream.heldMs} ms`); // a timer's start is that of its turn of the loop
  assert.equal(found.toolCount, 2);
  assert.deepEqual([server.count('DELETE'), server.sessions.size], [1, 0], 'it says goodbye');
});

const cases = {
  'a server without a stream': { on: { GET: (x) => x.send(405) }, state: 'unsupported', error: /GET: HTTP 405/, code: 0, toolCount: 2 },
  'a server that is to be polled': { on: { GET: (x) => x.send(405) }, definition: { poll: '5m' }, state: 'polling', code: 0, toolCount: 2 },
  'a list that fails': { on: { 'tools/list': (x) => x.send(500) }, state: 'listening', error: /tools\/list: HTTP 500/, code: 0, toolCount: null },
  'a server without a stream nor a list': {
    on: { GET: (x) => x.send(405), 'tools/list': (x) => x.send(500) }, state: 'unsupported', error: /tools\/list: HTTP 500/, code: 1, toolCount: null,
  },
  'a server that wants credentials': { on: { 'server/discover': (x) => x.send(401) }, state: 'unauthorized', error: /HTTP 401/, code: 1 },
  'a server that is no MCP server': {
    on: Object.fromEntries(['server/discover', 'initialize', 'GET'].map((step) => [step, (x) => x.send(404)])),
    state: 'backoff', error: /no revision of MCP/, code: 1,
  },
  'a stream that ends': { on: { GET: (x) => x.open().end() }, state: 'backoff', error: /stream/, code: 1 },
  'a server that is too slow': { on: { 'server/discover': () => {} }, definition: { timeout: 200 }, state: 'backoff', error: /200ms/, code: 1, reachable: false },
};
for (const [what, { on, definition, state, error, code, toolCount, reachable = true }] of Object.entries(cases)) {
  test(`${what}: ${state}, exit code ${code}`, async (t) => {
    const server = await startHostileServer(t, { on });
    const found = await probe(['--wait', '200ms'], { input: { url: server.url, ...definition }, expected: code });
    assert.equal(found.state, state);
    assert.equal(found.reachable, reachable);
    if (error) assert.match(found.lastError, error);
    else assert.equal(found.lastError, null);
    if (toolCount !== undefined) assert.equal(found.toolCount, toolCount);
  });
}

test('nobody there', async () => {
  const found = await probe(['http://127.0.0.1:1/mcp'], { expected: 1 });
  assert.deepEqual([found.state, found.reachable, found.http, found.era, found.capabilities], ['backoff', false, null, 'unknown', null]);
  assert.match(found.lastError, /connection refused/);
});

test('a program instead of a URL', async () => {
  const found = await probe(['--wait', '0s'], { input: { command: process.execPath, args: [stdioServer] } });
  assert.deepEqual([found.state, found.transport, found.reachable, found.http, found.toolCount], ['listening', 'stdio', true, null, 1]);
});

test('a program that says something answers, whatever it says', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'mcp-broker-probe-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const says = (words) => ({ command: process.execPath, args: [stdioScript, ...words], cwd: folder, timeout: 1500 });
  const junk = await probe(['--wait', '0s'], { input: says(['flood', 'silent-on-probe']), expected: 1, warns: /stdio\.junk/ });
  assert.deepEqual([junk.state, junk.reachable], ['backoff', true]);
  const mute = await probe(['--wait', '0s'], { input: { command: 'sleep', args: ['60'], timeout: 500 }, expected: 1 });
  assert.deepEqual([mute.state, mute.reachable], ['backoff', false]);
  const words = await run(ctl, ['probe', '-', '--wait', '0s'], { input: JSON.stringify({ command: process.execPath, args: [stdioServer] }) });
  assert.match(words.stdout, /^server +\S*node\S*, answers$/m);
});

test('options of connect, and kinds of lists', async (t) => {
  const server = await startHostileServer(t);
  const found = await probe([server.url, '--header', 'X-Key: planted-5c1', '--events', 'tools,prompts', '--type', 'http', '--timeout', '5s', '--wait', '0s']);
  assert.deepEqual([found.events, found.heard, found.stream.changes], [['tools', 'prompts'], ['tools'], { tools: 0, prompts: 0 }]);
  assert.ok(server.requests.every(({ headers }) => headers['x-key'] === 'planted-5c1'));
  assert.ok(!JSON.stringify(found).includes('planted'));
});

test('a token is got first, and is not told', async (t) => {
  const as = await startAuthorizationServer(t);
  const server = await startSessionServer(t, { admit: (...args) => as.admit(...args) });
  const auth = { type: 'client_credentials', clientId: 'secret', clientSecret: as.secret };
  const found = await probe(['--wait', '0s'], { input: { url: `${server.url}?key=planted-5c1`, auth } });
  assert.equal(found.state, 'listening');
  const told = JSON.stringify(found);
  for (const secret of ['planted-5c1', as.secret, ...as.tokens.keys()]) assert.ok(!told.includes(secret));
  const refused = await probe([], { input: { url: server.url, auth: { ...auth, clientSecret: 'another' } }, expected: 1 });
  assert.equal(refused.state, 'unauthorized');
});

const calling = (step) => ({ 'tools/call': step });
const callCases = {
  'a result': { era: 'session', on: calling((x) => x.result({ content: [{ type: 'text', text: x.message.params.arguments.a }] })), text: 'å' },
  'a result of the stateless era, with its name beside it': {
    era: 'stateless',
    on: calling((x) => x.result({ resultType: 'complete', content: [{ type: 'text', text: x.headers['mcp-name'] }] })), text: 'one',
  },
  'a result that comes on the stream': { era: 'sse', on: calling((x) => x.result({ content: [{ type: 'text', text: 'there' }] })), text: 'there' },
  'a refusal': { era: 'session', on: calling((x) => x.error(-32602)), error: /error -32602/ },
  'an outage': { era: 'stateless', on: calling((x) => x.send(503)), error: /HTTP 503/ },
  'an incomplete result': { era: 'stateless', on: calling((x) => x.result({ resultType: 'input_required' })), error: /incomplete/ },
  'a session that is lost': { era: 'session', on: calling((x) => x.send(404)), error: /session lost/ },
  'a server that has no stream': {
    era: 'session', on: { GET: (x) => x.send(405), ...calling((x) => x.result({ content: [{ type: 'text', text: 'all the same' }] })) }, text: 'all the same',
  },
  'a server that is not there': { era: 'session', on: { 'server/discover': (x) => x.send(500) }, error: /did not come to that/, calls: 0 },
};
for (const [what, { era, on, text, error, calls = 1 }] of Object.entries(callCases)) {
  test(`a call of a tool: ${what}`, async (t) => {
    const server = await startHostileServer(t, { era, on });
    const found = await probe(['--wait', '0s', '--call', 'one={"a":"å"}', server.url], { expected: text ? 0 : 1 });
    assert.equal(server.count('tools/call'), calls);
    assert.equal(found.call.tool, 'one');
    assert.equal(found.call.result?.content[0].text, text);
    if (error) assert.match(found.call.error, error);
    else assert.equal(found.call.error, null);
  });
}

test('a call of a program\'s tool, and what is in its list', async () => {
  const input = { command: process.execPath, args: [stdioServer] };
  const found = await probe(['--wait', '0s', '--lists'], { input });
  assert.equal(found.tools.length, found.toolCount);
  const called = await probe(['--wait', '0s', '--call', found.tools[0].name], { input });
  assert.deepEqual(called.call.result, { content: [] });
  assert.equal(called.tools, undefined);
});

test('what a person reads', async (t) => {
  const server = await startHostileServer(t);
  const good = await run(ctl, ['probe', server.url, '--wait', '0s']);
  assert.equal(good.code, 0, good.stderr);
  assert.match(good.stdout, /^state +listening\nwhy +the stream is open/);
  assert.match(good.stdout, /^era +session, revision 2025-11-25$/m);
  assert.match(good.stdout, /^tools +2, hash [0-9a-f]{32}$/m);
  assert.match(good.stdout, /^stream +open after \S+, held for \S+, changes told: tools 0$/m);
  const bad = await run(ctl, ['probe', 'http://127.0.0.1:1/mcp']);
  assert.equal(bad.code, 1);
  assert.match(bad.stdout, /^state +backoff\nwhy +server\/discover: connection refused by 127\.0\.0\.1:1$/m);
  const called = await run(ctl, ['probe', server.url, '--wait', '0s', '--lists', '--call', 'one']);
  assert.match(called.stdout, /^tools +2, hash \S+\n +one\n +two$/m);
  assert.match(called.stdout, /^call +one failed: session lost: HTTP 404$/m);
  for (const each of [good, bad, called]) assert.doesNotMatch(each.stderr, reports);
});

test('wrong usage', async () => {
  for (const args of [[], ['nowhere'], ['http://h/mcp', '--wait', 'x'], ['http://h/mcp', '--id', 'x'], ['a', 'b'], ['ftp://h/mcp'],
    ...['', '=', '=x', 'one=', 'one=[]', 'a b', 'ä', 'one={"a":1,"a":2}'].map((call) => ['http://h/mcp', '--call', call])]) {
    const { code, stdout } = await run(ctl, ['probe', ...args]);
    assert.deepEqual([code, stdout], [2, ''], args.join(' '));
  }
  for (const input of ['', '[]', '{"url":5}', '{"url":"http://h/mcp","nope":1}']) {
    assert.equal((await run(ctl, ['probe', '-'], { input })).code, 2, input);
  }
});
