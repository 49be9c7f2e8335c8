// Counts the instructions of hub and worker (valgrind's callgrind) for one connect and for one event, with few
// connections held and with many. Unlike times, they are the same on a machine that others use.
import { chmodSync, copyFileSync, mkdtempSync, readFileSync, renameSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { control, family, sleep, start } from './lib.mjs';

const { values: options } = parseArgs({
  options: {
    sizes: { type: 'string', short: 'n', default: '1000,10000' },
    era: { type: 'string', default: 'stateless' },
    bin: { type: 'string' },
  },
});
const sizes = options.sizes.split(',').map(Number);
const wave = 200; // connects that are counted, before each size
const rate = 500; // events a second, for SECONDS
const seconds = 4;

const folder = mkdtempSync('/dev/shm/mcp-scale-');
const at = (name) => join(folder, name);

/** The broker's programs, of which hub and worker run in callgrind. */
function makePrograms() {
  for (const name of ['mcp-broker', 'mcp-broker-keeper']) copyFileSync(join(options.bin, name), at(name));
  for (const name of ['mcp-broker-hub', 'mcp-broker-worker']) {
    const counted = `exec valgrind -q --tool=callgrind --callgrind-out-file=${at(`${name}.%p`)} ${join(options.bin, name)} "$@"`;
    writeFileSync(at(name), `#!/bin/sh\n${counted} 2>/dev/null\n`);
    chmodSync(at(name), 0o755);
  }
}

const commandOf = (pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');

/** {hub: pid, worker: pid}, once both are there. */
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
  execFileSync('callgrind_control', ['-d', String(pid)], { stdio: 'ignore' });
  dumps[pid] = (dumps[pid] ?? 0) + 1;
  const file = at(`mcp-broker-${name}.${pid}.${dumps[pid]}`);
  const total = Number(/^(?:summary|totals): (\d+)/m.exec(readFileSync(file, 'utf8'))[1]);
  unlinkSync(file);
  return total;
}

/** What happens in `work`, which gives how often: instructions for each, by process. */
async function count(pids, work) {
  for (const [name, pid] of Object.entries(pids)) instructions(name, pid);
  const times = await work();
  return Object.fromEntries(Object.entries(pids).map(([name, pid]) => [name, Math.round(instructions(name, pid) / times)]));
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
const broker = start(at('mcp-broker'), ['--workers', '1', '--servers', at('servers.json'), '--redis', `unix://${at('redis.sock')}`,
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
    await sleep(3000);
    const connect = await count(pids, async () => {
      await connectTo(size);
      return wave;
    });
    await sleep(3000);
    // Always the same servers: their lists are fetched once changes have settled, which is counted, too.
    const event = await count(pids, async () => {
      const before = (await site.ask('report')).notifications;
      await site.ask(`change 0-${wave - 1} ${rate} ${seconds}`);
      await sleep((seconds + 4) * 1000);
      return (await site.ask('report')).notifications - before;
    });
    results[size] = { connect, event };
  }
} finally {
  site.close();
  await Promise.all([broker, fleet, redis].map(({ stop }) => stop('SIGTERM')));
  rmSync(folder, { recursive: true, force: true });
}

console.log(`Instructions, ${options.era} era\n\n| held | connect, worker | connect, hub (reads the whole servers file again) | event, worker | event, hub |\n| --- | --- | --- | --- | --- |`);
for (const [size, { connect, event }] of Object.entries(results))
  console.log(`| ${size} | ${connect.worker} | ${connect.hub} | ${event.worker} | ${event.hub} |`);
