// How long it takes to look at a table with many servers, and how long the hub's loop is kept by it. The servers are
// switched off: a row is a row. See README.md for what each figure is.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { sleep } from './lib.mjs';

const { values: options } = parseArgs({ options: { servers: { type: 'string', short: 'n', default: '100000' }, bin: { type: 'string' } } });
const count = Number(options.servers);
const rounds = 5;
const folder = mkdtempSync('/dev/shm/mcp-bench-');
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
const place = ['--run-dir', join(folder, 'run')];
const ctl = [join(options.bin, 'mcp-brokerctl'), ...place];
const ask = (command) => JSON.parse(execFileSync(ctl[0], [...ctl.slice(1), '--json', command], { stdio: ['ignore', 'pipe', 'ignore'] }));

async function startBroker() {
  const servers = {};
  for (let i = 0; i < count; i++) {
    servers[`server-${(i * 7919) % count}`] = { url: 'http://127.0.0.1:9/mcp', enabled: false, workspaceId: `workspace-${i % 100}`, name: `Server ${i}` };
  }
  writeFileSync(join(folder, 'servers.json'), JSON.stringify({ mcpServers: servers }));
  const broker = spawn(join(options.bin, 'mcp-broker'), [...place, '--state-dir', join(folder, 'state'), '--servers', join(folder, 'servers.json'),
    '--workers', '1', '--capacity', String(Math.ceil(count * 1.3)), '--log-level', 'warn'], { stdio: ['ignore', 'inherit', 'inherit'] });
  for (let total = 0; total < count; await sleep(200)) {
    try {
      ({ total } = ask('status'));
    } catch {
      // it is not there yet
    }
  }
  return broker;
}

/** Seconds of a run, by the clock and of the processor; the median of some. */
function measure(args) {
  const script = 'TIMEFORMAT="%R %U %S"; time "$@" >/dev/null';
  const runs = Array.from({ length: rounds }, () => {
    const [clock, user, system] = execFileSync('bash', ['-c', `{ ${script}; } 2>&1`, 'bash', ...ctl, ...args], { encoding: 'utf8' }).split(' ').map(Number);
    return { clock, processor: user + system };
  });
  const median = (key) => runs.map((run) => run[key]).sort((a, b) => a - b)[Math.floor(rounds / 2)].toFixed(2);
  return { clock: median('clock'), processor: median('processor') };
}

/** The longest turn of the hub's loop, in ms, over some seconds. */
async function longestTurn() {
  let longest = 0;
  for (let i = 0; i < 12; i++, await sleep(500)) longest = Math.max(longest, ask('workers').hub.loopLagUs / 1000);
  return longest.toFixed(1);
}

/** The same while `top` refreshes, on a terminal that nobody looks at. */
async function longestTurnUnderTop() {
  const top = spawn('script', ['-qec', `stty cols 200 rows 60; exec ${[...ctl, 'top'].join(' ')}`, '/dev/null'],
    { stdio: 'ignore', env: { ...process.env, TERM: 'xterm' } });
  await sleep(2000);
  const longest = await longestTurn();
  top.kill();
  await once(top, 'exit');
  return longest;
}

const broker = await startBroker();
await sleep(2000);
console.log(`${count} servers, ${cpus().length} cores (${cpus()[0].model.trim()})\n\n| mcp-brokerctl | seconds | of the processor |\n| --- | --- | --- |`);
for (const line of ['states', 'states --sort id', 'states --sort changes', 'states --sort heard --workspace workspace-7', '--json states', 'show server-1', 'status']) {
  const { clock, processor } = measure(line.split(' '));
  console.log(`| ${line} | ${clock} | ${processor} |`);
}
console.log(`\nlongest turn of the hub's loop: ${await longestTurn()} ms, with top ${await longestTurnUnderTop()} ms`);
broker.kill();
await once(broker, 'exit');
