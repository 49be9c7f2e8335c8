// Counts the instructions of hub and of one worker (valgrind's callgrind) for one connect and for one event, with few
// connections held and with many. Unlike times, they are the same on a machine that others use. Where the limit of open files
// asks for several workers, the others run as they are; and callgrind counts only what is to be counted, since all else
// would take ten times as long.
import { chmodSync, copyFileSync, mkdtempSync, readFileSync, renameSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { control, family, hasRested, sleep, start } from './lib.mjs';

const { values: options } = parseArgs({
  options: {
    sizes: { type: 'string', short: 'n', default: '1000,10000' },
    era: { type: 'string', default: 'stateless' },
    bin: { type: 'string' },
  },
});
const sizes = options.sizes.split(',').map(Number);
const wave = 200; // connects that are counted, before each size
const workers = Math.ceil(Math.max(...sizes) / 18000);
const rate = 300 * workers; // events a second, for SECONDS: callgrind must keep up, and passes over all rows weigh little
const seconds = 50;
const span = seconds + 10; // a multiple of what such passes come round in, so there are as many with events as without

const folder = mkdtempSync('/dev/shm/mcp-scale-');
const at = (name) => join(folder, name);

/** The broker's programs, of which the hub and the first worker run in callgrind. */
function makePrograms() {
  for (const name of ['mcp-broker', 'mcp-broker-keeper']) copyFileSync(join(options.bin, name), at(name));
  for (const name of ['mcp-broker-hub', 'mcp-broker-worker']) {
    const program = join(options.bin, name);
    const counted = `exec valgrind -q --tool=callgrind --instr-atstart=no --callgrind-out-file=${at(`${name}.%p`)} ${program} "$@"`;
    writeFileSync(at(name), `#!/bin/sh\nmkdir ${at(`${name}.counted`)} 2>/dev/null || exec ${program} "$@"\n${counted} 2>/dev/null\n`);
    chmodSync(at(name), 0o755);
  }
}

function commandOf(pid) {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  } catch {
    return []; // it has ended
  }
}

/** {hub: pid, worker: pid} of those that are counted, once both are there. */
async function counted(broker) {
  for (;;) {
    const found = {};
    for (const pid of family(broker.pid)) {
      const command = commandOf(pid);
      if (!command.some((word) => word.includes('callgrind'))) continue;
      for (const name of ['hub', 'worker']) if (command.some((word) => word.endsWith(`/mcp-broker-${name}`))) found[name] = pid;
    }
    if (found.hub && found.worker) return found;
    await sleep(100);
  }
}

const dumps = {};

/** Instructions of a process since this was last asked. */
function instructions(name, pid) {
  order(pid, '-d');
  dumps[pid] = (dumps[pid] ?? 0) + 1;
  const file = at(`mcp-broker-${name}.${pid}.${dumps[pid]}`);
  const total = Number(/^(?:summary|totals): (\d+)/m.exec(readFileSync(file, 'utf8'))[1]);
  unlinkSync(file);
  return total;
}

const order = (pid, ...args) => execFileSync('callgrind_control', [...args, String(pid)], { stdio: 'ignore' });

/** How often something has happened, by process: the counted worker's counter, and for the hub that of all. */
function happened(pids, counter) {
  const ask = [join(options.bin, 'mcp-brokerctl'), '--run-dir', at('run'), '--json', 'workers'];
  const all = JSON.parse(execFileSync(ask[0], ask.slice(1), { encoding: 'utf8' })).workers;
  return { hub: all.reduce((sum, worker) => sum + worker.counters[counter], 0), worker: all.find(({ pid }) => pid === pids.worker).counters[counter] };
}

/** Instructions that `work` costs each process, and how often it had something to do, as a counter says. */
async function count(pids, counter, work) {
  const before = happened(pids, counter);
  for (const [name, pid] of Object.entries(pids)) {
    order(pid, '-i', 'on');
    instructions(name, pid);
  }
  await work();
  const spent = Object.entries(pids).map(([name, pid]) => [name, instructions(name, pid)]);
  for (const pid of Object.values(pids)) order(pid, '-i', 'off');
  const after = happened(pids, counter);
  return Object.fromEntries(spent.map(([name, all]) => [name, { all, times: after[name] - before[name] }]));
}

/** What was learned by connecting is put away at a pace; done when nothing has been written for some seconds. */
async function quiet() {
  for (await sleep(5000); !hasRested(at('state'), 5000); await sleep(500));
}

makePrograms();
const most = Math.max(...sizes);
const fleet = start(join(options.bin, 'mcp-fleet'), ['--servers', String(most), '--era', options.era,
  '--servers-file', at('fleet.json'), '--shared-file', at('fleet.shared')]);
const site = await control(JSON.parse(await fleet.line()).control);
const redis = start('redis-server', ['--port', '0', '--unixsocket', at('redis.sock'), '--save', '', '--loglevel', 'warning']);
const all = Object.entries(JSON.parse(readFileSync(at('fleet.json'), 'utf8')).mcpServers);
const configure = (servers) => {
  writeFileSync(at('new.json'), JSON.stringify({ mcpServers: Object.fromEntries(all.slice(0, servers)) }));
  renameSync(at('new.json'), at('servers.json'));
};
configure(0);
const broker = start(at('mcp-broker'), ['--workers', String(workers), '--servers', at('servers.json'), '--redis', `unix://${at('redis.sock')}`,
  '--run-dir', at('run'), '--state-dir', at('state'), '--sandbox', 'off', '--coalesce', '0ms', '--verify', '0', '--connect-timeout', '120s',
  '--max-connections', '19000', '--log-level', 'error', '--log-format', 'text']);
const results = {};
try {
  const pids = await counted(broker);
  await sleep(8000);
  const connectTo = async (servers) => {
    configure(servers);
    for (;;) {
      const now = await site.ask('report');
      if (now.streamsOpened - now.streamsClosed >= servers && now.lists >= servers) return;
      await sleep(200);
    }
  };
  for (const size of sizes) {
    await connectTo(size - wave);
    await quiet();
    const connect = await count(pids, 'listens', () => connectTo(size));
    await quiet();
    const idle = await count(pids, 'notifications', () => sleep(span * 1000));
    // Always the same servers: their lists are fetched once changes have settled, which is counted, too.
    const event = await count(pids, 'notifications', async () => {
      await site.ask(`change 0-${wave - 1} ${rate} ${seconds}`);
      await sleep(span * 1000);
    });
    results[size] = { connect, idle, event };
  }
} finally {
  site.close();
  await Promise.all([broker, fleet, redis].map(({ stop }) => stop('SIGTERM')));
  rmSync(folder, { recursive: true, force: true });
}

const columns = [
  ['connect', ({ connect }, name) => connect[name].all / connect[name].times],
  ['event', ({ event, idle }, name) => (event[name].all - idle[name].all) / event[name].times],
  ['a second of nothing', ({ idle }, name) => idle[name].all / span],
].flatMap(([text, figure]) => ['worker', 'hub'].map((name) => [`${text}, ${name}`, (result) => Math.round(figure(result, name))]));
console.log(`Instructions, ${options.era} era, ${workers} workers\n\n| held | ${columns.map(([text]) => text).join(' | ')} |\n| ---${' | ---'.repeat(columns.length)} |`);
for (const [size, result] of Object.entries(results)) console.log(`| ${size} | ${columns.map(([, figure]) => figure(result)).join(' | ')} |`);
