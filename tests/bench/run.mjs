// Measures the broker and an in-process manager on the reference SDK, in turn, on the same simulated fleet and the same
// kind of Redis, and prints one table. See README.md for what each figure is.
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { control, family, memoryOf, processorOf, sleep, start } from './lib.mjs';

const { values: options } = parseArgs({
  options: {
    servers: { type: 'string', short: 'n', default: '1000' },
    which: { type: 'string', default: 'broker,manager' },
    era: { type: 'string', default: 'session' },
    workers: { type: 'string', default: String(cpus().length) },
    rounds: { type: 'string', default: '1' },
    flags: { type: 'string', default: '' },
    seconds: { type: 'string', default: '10' },
    bin: { type: 'string' },
  },
});
const count = Number(options.servers);
const seconds = Number(options.seconds);
const rates = [2000, 5000, 10000, 15000, 20000, 30000, 50000, 75000, 100000, 150000];

/** The broker, without servers at first: {pids(), connect(), stop()}. */
async function startBroker(site) {
  const file = join(site.folder, 'servers.json');
  writeFileSync(file, '{"mcpServers":{}}');
  const broker = start(join(options.bin, 'mcp-broker'), [
    '--workers', options.workers, '--servers', file, '--redis', `unix://${site.redis}`, '--run-dir', join(site.folder, 'run'),
    '--state-dir', join(site.folder, 'state'), '--coalesce', '0ms', '--max-connections', '19000', '--log-level', 'warn',
    '--log-format', 'text', ...options.flags.split(' ').filter(Boolean)]);
  await sleep(2000);
  return { pids: () => family(broker.pid), connect: () => renameSync(site.servers, file), stop: broker.stop };
}

async function startManager(site) {
  const manager = start(process.execPath, [new URL('manager.mjs', import.meta.url).pathname, site.servers, site.redis]);
  await manager.line();
  return { pids: () => [manager.pid], connect: () => void manager.ask('connect').catch(() => {}), stop: manager.stop };
}

const subjects = { broker: startBroker, manager: startManager };

/** Fleet, Redis and subscriber for one subject; `close` ends them. */
async function startSite() {
  const folder = mkdtempSync('/dev/shm/mcp-bench-');
  const site = { folder, servers: join(folder, 'fleet.json'), redis: join(folder, 'redis.sock') };
  const shared = join(folder, 'fleet.shared');
  const fleet = start(join(options.bin, 'mcp-fleet'),
    ['--servers', String(count), '--era', options.era, '--servers-file', site.servers, '--shared-file', shared]);
  site.fleet = await control(JSON.parse(await fleet.line()).control);
  const redis = start('redis-server', ['--port', '0', '--unixsocket', site.redis, '--save', '', '--loglevel', 'warning',
    '--client-output-buffer-limit', 'pubsub 0 0 0']);
  await sleep(500);
  site.tally = start(join(options.bin, 'mcp-bench-tally'), [site.redis, 'mcp:tools_changed', shared]);
  site.close = async () => {
    site.fleet.close();
    await Promise.all([fleet, redis, site.tally].map(({ stop }) => stop('SIGKILL')));
    rmSync(folder, { recursive: true, force: true });
  };
  return site;
}

/** All listening and listed: seconds since `began`. */
async function allConnected(site, began) {
  for (;;) {
    const now = await site.fleet.ask('report');
    if (now.streamsOpened - now.streamsClosed >= count && now.lists >= count) return (Date.now() - began) / 1000;
    if (Date.now() - began > 600000) throw new Error(`not all connected: ${JSON.stringify(now)}`);
    await sleep(20);
  }
}

/** Changes at a rate for a while, until what was sent is there or does not come any more. */
async function changes(site, perSecond, forSeconds) {
  const before = await site.fleet.ask('report');
  await site.tally.ask('reset');
  await site.fleet.ask(`change all ${perSecond} ${forSeconds}`);
  await sleep(forSeconds * 1000 + 300);
  const sent = async () => (await site.fleet.ask('report')).notifications - before.notifications;
  let heard = await site.tally.ask('report');
  for (let last = -1; heard.received < (await sent()) && heard.received !== last;) {
    last = heard.received;
    await sleep(2000);
    heard = await site.tally.ask('report');
  }
  await site.fleet.ask('quiet');
  const all = await sent();
  return { ...heard, sent: all, isWhole: heard.received >= all && all >= 0.98 * perSecond * forSeconds };
}

/** The highest of the rates at which nothing is lost, and nothing waits: p99 under 50 ms. Two that fail are the end. */
async function highestRate(site) {
  let best = { rate: 0, p99: NaN };
  let failures = 0;
  for (const rate of rates) {
    const got = await changes(site, rate, seconds / 2);
    if (process.env.MCP_BENCH_VERBOSE) console.error(rate, got);
    const holds = got.isWhole && got.p99 <= 50000;
    failures = holds ? 0 : failures + 1;
    if (holds) best = { rate, p99: got.p99 };
    if (failures === 2) break;
  }
  return best;
}

async function measure(which) {
  const site = await startSite();
  const subject = await subjects[which](site);
  try {
    const empty = memoryOf(subject.pids());
    const began = Date.now();
    subject.connect();
    const took = await allConnected(site, began);
    await sleep(5000);
    const memory = (memoryOf(subject.pids()) - empty) / count;
    const processor = processorOf(subject.pids());
    await sleep(seconds * 1000);
    const idle = ((processorOf(subject.pids()) - processor) / seconds) * 100;
    const at1000 = await changes(site, 1000, seconds);
    const most = await highestRate(site);
    return { memory, connects: count / took, idle, p50: at1000.p50, p99: at1000.p99, p999: at1000.p999,
      lost: at1000.sent - at1000.received, most: most.rate, mostP99: most.p99 };
  } finally {
    await subject.stop();
    await site.close();
  }
}

const rows = [
  ['memory a connection, KB', 'memory', (x) => (x / 1024).toFixed(1)],
  ['connects a second', 'connects', (x) => x.toFixed(0)],
  ['processor, idle, % of a core', 'idle', (x) => x.toFixed(1)],
  ['latency at 1,000/s, p50, us', 'p50', String],
  ['latency at 1,000/s, p99, us', 'p99', String],
  ['latency at 1,000/s, p99.9, us', 'p999', String],
  ['lost at 1,000/s', 'lost', String],
  ['highest rate without loss and p99 < 50 ms, events/s', 'most', String],
  ['p99 at that rate, us', 'mostP99', String],
];

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];

/** The median, and from the lowest to the highest when there were several rounds. */
function cell(results, key, format) {
  const values = results.map((result) => result[key]);
  const spread = values.length > 1 ? ` (${format(Math.min(...values))}-${format(Math.max(...values))})` : '';
  return format(median(values)) + spread;
}

const names = options.which.split(',');
const results = Object.fromEntries(names.map((name) => [name, []]));
for (let round = 0; round < Number(options.rounds); round++)
  for (const name of names) results[name].push(await measure(name));
console.log(`${count} servers of the ${options.era} era, ${cpus().length} cores (${cpus()[0].model.trim()}), ${options.workers} workers\n`);
console.log(`| | ${names.join(' | ')} |\n| --- |${names.map(() => ' --- |').join('')}`);
for (const [title, key, format] of rows) console.log(`| ${title} | ${names.map((name) => cell(results[name], key, format)).join(' | ')} |`);
