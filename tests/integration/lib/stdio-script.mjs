// A scripted stdio server of the session era. It behaves well but for what its arguments say. Its tools are the names in
// tools.json of its folder, read again at SIGUSR2; what it is told, and what it sees of the world, it writes to files
// there.
import { appendFileSync, closeSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

const is = (word) => process.argv.includes(word);
const readTools = () => (existsSync('tools.json') ? JSON.parse(readFileSync('tools.json')) : ['one']);
const send = (message) => process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}${is('crlf') ? '\r\n' : '\n'}`);
let tools = readTools();

const answers = {
  initialize: () => ({
    protocolVersion: '2025-06-18', capabilities: { tools: { listChanged: true } }, serverInfo: { name: 'script', version: '1' },
  }),
  'tools/list': () => ({ tools: tools.map((name) => ({ name, inputSchema: { type: 'object' } })) }),
};

/** The answer, padded to a line of `size` bytes. */
function writeLine({ id, method }, size) {
  process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', id, result: answers[method]() }).padEnd(size)}\n`);
}

/** From now on it only asks. */
function stopReading() {
  process.stdin.pause();
  const ask = () => process.stdout.write('{"jsonrpc":"2.0","id":"a rather long id for a ping","method":"ping"}\n'.repeat(100));
  setInterval(ask, 1);
}

function onProbe({ id }) {
  if (is('exit-on-probe')) process.exit(3);
  if (is('silent-on-probe')) return;
  send({ id: is('no-id-on-probe') ? null : id, error: { code: -32601, message: 'no' } });
}

function onLine(line) {
  const message = JSON.parse(line);
  appendFileSync('heard.jsonl', `${line}\n`);
  if (message.method === 'server/discover') return onProbe(message);
  if (message.method === 'initialize' && is('exit')) process.exit(7);
  if (message.method === 'initialize' && is('crash')) process.kill(process.pid, 'SIGSEGV');
  if (message.method === 'initialize' && is('long-line')) process.stdout.write('x'.repeat(11 * 1024 * 1024));
  if (message.method === 'tools/list' && is('line')) return writeLine(message, Number(process.argv.at(-1)));
  if (message.method === 'initialize' && is('close')) return closeSync(1);
  if (message.method === 'notifications/initialized' && is('deaf')) return stopReading();
  if (message.method in answers) send({ id: message.id, result: answers[message.method]() });
  if (message.method === 'notifications/initialized' && is('ping')) {
    send({ id: 'ping-1', method: 'ping' });
    send({ id: 0, method: 'roots/list' });
  }
}

if (is('report')) writeFileSync('world.json', JSON.stringify({ env: process.env, args: process.argv.slice(2), cwd: process.cwd() }));
if (is('junk')) process.stdout.write('starting …\n\n{"level":"info"}\n[]\n"text"\n{"jsonrpc":"2.0","id":1}\n\xff\xfe\n');
if (is('errors')) for (let i = 0; i < 100; i++) process.stderr.write(`line ${i} \x1b[31m${process.env.SECRET ?? ''} ${process.argv.at(-1)}\n`);
if (is('last-words')) process.stderr.write('goodbye');
if (is('flood')) setInterval(() => process.stdout.write('junk\n'.repeat(2000)), 1);
if (is('stubborn')) {
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.on(signal, () => appendFileSync('signals', `${signal}\n`));
  setInterval(() => {}, 1000);
}
process.on('SIGUSR2', () => {
  tools = readTools();
  send({ method: 'notifications/tools/list_changed' });
});
createInterface({ input: process.stdin }).on('line', onLine);
