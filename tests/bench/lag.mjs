// How long the worst servers keep a worker from its loop. Each has a broker of its own, beside one that behaves. See
// README.md for what the figures are.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { gzipSync } from 'node:zlib';
import { changed, event, jsonType, startHostileServer } from '../integration/lib/hostile.mjs';
import { sleep } from './lib.mjs';

const { values: options } = parseArgs({
  options: { seconds: { type: 'string', default: '8' }, case: { type: 'string', default: '' }, bin: { type: 'string' } },
});
const ends = [];
const scope = { after: (end) => ends.push(end) };

const megabyte = 1 << 20;
const junk = (size) => ({ ...changed, params: { junk: 'x'.repeat(size) } });
const answerOf = (x, list) => `{"jsonrpc":"2.0","id":${x.id},"result":{"tools":[${list}]}}`;
const list = (make) => ({ 'tools/list': (x) => x.send(200, jsonType, make(x)) });
const filled = (text, size) => text.repeat(Math.floor(size / text.length));
/** Says it again and again, as fast as it is taken. */
const flood = (bytes) => ({ GET: (x) => {
  const more = () => { while (x.isOpen && x.response.write(bytes)); };
  x.well().response.on('drain', more);
  more();
} });
const tool = (i) => `{"name":"tool-${i}","description":"${'x'.repeat(1500)}","inputSchema":{"type":"object"}}`;
const longList = Array.from({ length: 10_000 }, (_, i) => tool(i)).join(',');
const longNames = (round) => Array.from({ length: 10_000 }, (_, i) => `{"name":"${round}-${i}-${'x'.repeat(1500)}"}`).join(',');
const errorOf = (x, data) => `{"jsonrpc":"2.0","id":${x.id},"error":{"code":-32000,"message":"no","data":[${data}]}}`;
const emptyObjects = filled('{},', 1_490_000) + '{}'; // as many values as there may be
/** Says it on the bare connection, again and again, as fast as it is taken. */
const rawFlood = (bytes) => ({ GET: (x) => {
  const { socket } = x.well().request;
  const more = () => { while (!socket.destroyed && socket.write(bytes)); };
  socket.on('drain', more);
  more();
} });
const headWithoutEnd = (x) => {
  const more = () => { while (x.isOpen && x.request.socket.write('HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n'.repeat(1000))); };
  x.request.socket.on('drain', more);
  more();
};
const challenge = (x) => x.send(401, { 'WWW-Authenticate': [
  ...Array(29).fill(`Basic realm="${'\\"'.repeat(900)}"`),
  `Bearer resource_metadata="http://${x.headers.host}/.well-known/oauth-protected-resource"`,
] });
const metadata = (x) => (x.path.startsWith('/.well-known')
  ? x.send(200, jsonType, `{"resource":"http://${x.headers.host}/mcp","authorization_servers":[${filled('"http://127.0.0.1:1/",', 60_000)}""]}`)
  : challenge(x));
const bomb = gzipSync(Buffer.alloc(64 * megabyte, ' '));

/** A program that answers the handshake, and then writes what the text of JavaScript says. */
const program = (then) => ({
  command: process.execPath,
  args: ['-e', `
    const say = (message) => process.stdout.write(JSON.stringify({ jsonrpc: '2.0', ...message }) + '\\n');
    const flood = (text) => { while (process.stdout.write(text)); process.stdout.once('drain', () => flood(text)); };
    require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
      const { id, method } = JSON.parse(line);
      if (method === 'initialize') say({ id, result: { protocolVersion: '2025-11-25', capabilities: { tools: { listChanged: true } }, serverInfo: { name: 's', version: '1' } } });
      else if (method === 'tools/list') say({ id, result: { tools: [] } });
      else if (id !== undefined) say({ id, error: { code: -32601, message: 'no' } });
      if (method === 'notifications/initialized') { ${then} }
    });`],
});

/** Steps of a server, or a definition with a command. */
const cases = {
  'none': {},
  'a gigabyte of one event': flood(Buffer.alloc(megabyte, 'x')),
  '100,000 events in one packet, again and again': flood(event(changed).repeat(100_000)),
  'events of 100 KB without end': flood(event(junk(100_000))),
  'events of 4 MB without end': flood(event(junk(4_000_000))),
  'events of 31 KB, which are parsed in the loop, without end': flood(event(junk(31_000)).repeat(32)),
  'a stream of nothing but line breaks': flood(Buffer.alloc(megabyte, '\n')),
  'a stream of ids and comments': flood(Buffer.from('id: 1\n:\n'.repeat(100_000))),
  'a stream of empty events of another type': flood(Buffer.from('event: a\ndata\n\n'.repeat(100_000))),
  'events of 450 messages without end': flood(event(JSON.stringify(Array(450).fill({ jsonrpc: '2.0', id: 'x', method: 'a' }))).repeat(32)),
  'chunks of one byte': rawFlood('1\r\n:\r\n'.repeat(100_000)),
  'heads without end': { GET: headWithoutEnd, initialize: headWithoutEnd },
  'challenges of 50 KB, metadata of 60 KB': { GET: metadata, 'subscriptions/listen': challenge, initialize: challenge },
  'a list of 10,000 tools in 16 MB': list((x) => answerOf(x, longList)),
  'a list of 2,000,000 empty objects': list((x) => answerOf(x, filled('{},', 8_000_000) + '{}')),
  'a list of 497,000 empty objects': list((x) => answerOf(x, emptyObjects)),
  'an error with 497,000 empty objects': list((x) => errorOf(x, emptyObjects)),
  'a list of 10,000 names of 1.5 KB, others each time': { 'tools/list': (x, n) => x.send(200, jsonType, answerOf(x, longNames(n))) },
  'arrays as deep as may be, 8,000 times': list((x) => answerOf(x, `{"name":"t","deep":[${filled(`${'['.repeat(58)}${']'.repeat(58)},`, 928_000)}0]}`)),
  'a number of 15 MB': list((x) => answerOf(x, `{"name":"t","number":${'1'.repeat(15_000_000)}}`)),
  'a text of 15 MB of escapes': list((x) => answerOf(x, `{"name":"t","text":"${filled('\\u00e4', 15_000_000)}"}`)),
  'a list of 100 pages': { 'tools/list': (x, n) => x.result({ tools: [{ name: `${n}` }], nextCursor: n % 100 ? `${n}` : undefined }) },
  'a list of one tool with a million members': list((x) => answerOf(x, `{"name":"t",${Array.from({ length: 1_000_000 }, (_, i) => `"k${i}":0`).join(',')}}`)),
  'a body of 64 MB, packed': { 'tools/list': (x) => x.send(200, { ...jsonType, 'Content-Encoding': 'gzip' }, bomb) },
  'a program that writes lines of 9 MB without end': program("flood(JSON.stringify({ jsonrpc: '2.0', method: 'x', params: { junk: Array(3000000).fill(1) } }) + '\\n')"),
  'a program that writes short lines without end': program("flood((JSON.stringify({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' }) + '\\n').repeat(10000))"),
  'a program that writes errors without end': program("const more = () => { while (process.stderr.write('x'.repeat(80) + '\\n')); process.stderr.once('drain', more); }; more()"),
};

/** The longest turn of the worker's loop in ms: the median of what each second told, and the longest. */
async function measure(servers) {
  const folder = mkdtempSync('/dev/shm/mcp-bench-');
  writeFileSync(join(folder, 'servers.json'), JSON.stringify({ mcpServers: servers }));
  const place = ['--run-dir', join(folder, 'run')];
  const ask = () => JSON.parse(execFileSync(join(options.bin, 'mcp-brokerctl'), [...place, '--json', 'workers'], { stdio: ['ignore', 'pipe', 'ignore'] }));
  const broker = spawn(join(options.bin, 'mcp-broker'), [...place, '--state-dir', join(folder, 'state'), '--servers', join(folder, 'servers.json'),
    '--workers', '1', '--log-level', 'error', '--backoff-max', '1s', '--verify', '1s'], { stdio: ['ignore', 'inherit', 'inherit'] });
  const beats = new Map();
  const over = performance.now() + Number(options.seconds) * 1000;
  while (performance.now() < over) {
    await sleep(250);
    try {
      const [{ heartbeat, loopLagUs }] = ask().workers;
      beats.set(heartbeat, loopLagUs / 1000);
    } catch {
      // it is not there yet
    }
  }
  broker.kill();
  await once(broker, 'exit');
  rmSync(folder, { recursive: true, force: true });
  const turns = [...beats.values()].sort((a, b) => a - b);
  return { median: turns[turns.length >> 1], longest: turns.at(-1) };
}

console.log(`${cpus().length} cores (${cpus()[0].model.trim()})\n\n| hostile server | median of seconds, ms | longest, ms |\n| --- | --- | --- |`);
const good = await startHostileServer(scope);
for (const [what, steps] of Object.entries(cases).filter(([what]) => what.includes(options.case))) {
  const servers = { good: { url: good.url }, hostile: steps };
  if (!steps.command) servers.hostile = { url: (await startHostileServer(scope, { on: steps })).url };
  const { median, longest } = await measure(servers);
  console.log(`| ${what} | ${median?.toFixed(1)} | ${longest?.toFixed(1)} |`);
}
process.exit();
