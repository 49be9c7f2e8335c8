// Measures the broker and an in-process manager on the reference SDK, in turn, on the same simulated fleet and the same
// kind of Redis, and prints a table for each size of the fleet; or the broker and libcurl alone. See README.md for what each
// figure is.
import { mkdtempSync, rmSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { control, memoryOf, nameOf, processorOf, sleep, start } from './lib.mjs';
import { subjects } from './subjects.mjs';
import { print } from './report.mjs';

const { values: options } = parseArgs({
  options: {
    servers: { type: 'string', short: 'n', default: '1000' },
    which: { type: 'string', default: 'broker,manager' },
    measure: { type: 'string', default: 'idle,latency,rates,storm,leave' },
    era: { type: 'string', default: 'session' },
    https: { type: 'boolean', default: false },
    workers: { type: 'string' },
    rounds: { type: 'string', default: '1' },
    rates: { type: 'string', default: '5000,10000,20000,50000,75000,100000' },
    seconds: { type: 'string', default: '10' },
    minutes: { type: 'string', default: '60' },
    'soak-rate': { type: 'string', default: '500' },
    flags: { type: 'string', default: '' },
    bin: { type: 'string' },
  },
});
const seconds = Number(options.seconds);
const rates = options.rates.split(',').map(Number);
const wants = (what) => options.measure.split(',').includes(what);
const workersFor = (servers) => Number(options.workers ?? Math.max(cpus().length, Math.ceil(servers / 18000)));
const tell = (...what) => process.env.MCP_BENCH_VERBOSE && console.error(...what);

/** Fleet, Redis and subscriber for one subject; `close` ends them. */
async function startSite(servers) {
  const folder = mkdtempSync('/dev/shm/mcp-bench-');
  const certificate = options.https ? join(folder, 'ca.pem') : undefined;
  const site = { folder, certificate, servers: join(folder, 'fleet.json'), redis: join(folder, 'redis.sock') };
  const shared = join(folder, 'fleet.shared');
  const fleet = start(join(options.bin, 'mcp-fleet'), ['--servers', String(servers), '--era', options.era,
    '--servers-file', site.servers, '--shared-file', shared, ...(certificate ? ['--tls', certificate] : [])]);
  site.fleet = await control(JSON.parse(await fleet.line()).control);
  const redis = start('redis-server', ['--port', '0', '--unixsocket', site.redis, '--save', '',
    '--client-output-buffer-limit', 'pubsub 0 0 0']);
  while (!(await redis.line()).includes('eady to accept connections'));
  site.tally = start(join(options.bin, 'mcp-bench-tally'), [site.redis, 'mcp:tools_changed', shared]);
  site.close = async () => {
    site.fleet.close();
    await Promise.all([fleet, redis, site.tally].map(({ stop }) => stop('SIGKILL')));
    rmSync(folder, { recursive: true, force: true });
  };
  return site;
}

/** Seconds from `began` until the fleet's report is as wanted; NaN when that does not come within `patience` seconds. */
async function until(site, began, patience, isSo) {
  for (;;) {
    const now = await site.fleet.ask('report');
    const took = (Date.now() - began) / 1000;
    if (isSo(now)) return took;
    if (took > patience) {
      tell('not so far', now);
      return NaN;
    }
    await sleep(20);
  }
}

/** Changes at a rate for a while, or as long as `meanwhile` takes, until what was sent is there or does not come any more. */
async function changes(site, perSecond, forSeconds, meanwhile = () => sleep(forSeconds * 1000)) {
  const before = await site.fleet.ask('report');
  await site.tally.ask('reset');
  await site.fleet.ask(`change all ${perSecond} ${forSeconds}`);
  await meanwhile();
  await site.fleet.ask('quiet');
  await sleep(300);
  const sent = async () => (await site.fleet.ask('report')).notifications - before.notifications;
  let heard = await site.tally.ask('report');
  for (let last = -1; heard.received < (await sent()) && heard.received !== last;) {
    last = heard.received;
    await sleep(2000);
    heard = await site.tally.ask('report');
  }
  const all = await sent();
  const got = { ...heard, sent: all, isWhole: heard.received >= all && all >= 0.98 * perSecond * forSeconds };
  tell(perSecond, got);
  return got;
}

/** Latency at each rate, as long as nothing is lost and nothing waits: p99 under 50 ms. Two that fail are the end. */
async function climb(site) {
  const figures = { most: 0 };
  let failures = 0;
  for (const rate of rates) {
    const got = await changes(site, rate, seconds);
    const holds = got.isWhole && got.p99 <= 50000;
    failures = holds ? 0 : failures + 1;
    if (holds) Object.assign(figures, { most: rate, [`p50at${rate}`]: got.p50, [`p99at${rate}`]: got.p99 });
    if (failures === 2) break;
  }
  return figures;
}

/** Changes of all servers in turn for many minutes: what memory is after each. SIGINT ends it early, with what there is by then. */
async function soak(site, subject, memory) {
  const minutes = Number(options.minutes);
  const after = [];
  let stop;
  const stopped = new Promise((resolve) => (stop = () => resolve(true)));
  process.on('SIGINT', stop);
  const began = Date.now();
  const sample = async () => {
    for (let minute = 1; minute <= minutes; minute++) {
      if (await Promise.race([stopped, sleep(began + minute * 60000 - Date.now())])) break;
      after.push(memory());
      tell(minute, after.at(-1), subject.pids().map((pid) => `${nameOf(pid)} ${memoryOf([pid])}`).join(', '));
    }
  };
  const { sent, received, p50, p99, max } = await changes(site, Number(options['soak-rate']), minutes * 60, sample);
  process.off('SIGINT', stop);
  if (after.length === 0) throw new Error('ended within the first minute');
  const first = Math.min(5, Math.ceil(after.length / 2)); // by then all have sent, at a fit rate
  const settled = after[first - 1];
  return { soakMinutes: after.length, soakFrom: first, soakSettled: settled, soakMiddle: after[Math.ceil(after.length / 2) - 1],
    soakEnd: after.at(-1), soakMost: Math.max(...after), soakGrowth: (after.at(-1) / settled - 1) * 100,
    soakSent: sent, soakReceived: received, soakMissing: sent - received, soakP50: p50, soakP99: p99, soakWorst: max };
}

/** All streams dropped at once: how long until all are there again, and what memory has become by then. */
async function storm(site, subject, servers, memory) {
  const before = await site.fleet.ask('report');
  const began = Date.now();
  await site.fleet.ask('drop all');
  const back = await until(site, began, 120, (now) =>
    now.streamsOpened - now.streamsClosed >= servers && now.streamsOpened >= before.streamsOpened + servers);
  await sleep(5000);
  return { back, memoryAfterStorm: memory() };
}

async function measure(which, servers) {
  const site = await startSite(servers);
  const subject = await subjects[which](site, { bin: options.bin, flags: options.flags, servers, workers: workersFor(servers) });
  try {
    const empty = memoryOf(subject.pids());
    const memory = () => (memoryOf(subject.pids()) - empty) / servers;
    const began = Date.now();
    subject.connect();
    const took = await until(site, began, 900, (now) => now.streamsOpened - now.streamsClosed >= servers && now.lists >= servers);
    await sleep(5000);
    const { accepted, closed, requests } = await site.fleet.ask('report');
    const figures = { connects: servers / took, memory: memory(), sockets: (accepted - closed) / servers, requests: requests / servers };
    tell(figures);
    if (wants('idle')) {
      while (subject.isQuiet && !subject.isQuiet()) await sleep(500);
      const processor = processorOf(subject.pids());
      await sleep(seconds * 1000);
      figures.idle = ((processorOf(subject.pids()) - processor) / seconds) * 100;
    }
    if (wants('latency')) {
      const { p50, p99, p999, sent, received } = await changes(site, 1000, seconds);
      Object.assign(figures, { p50, p99, p999, lost: sent - received });
    }
    if (wants('rates')) Object.assign(figures, await climb(site), { memoryAfterEvents: memory() });
    if (wants('soak')) Object.assign(figures, await soak(site, subject, memory));
    if (wants('storm')) Object.assign(figures, await storm(site, subject, servers, memory));
    if (wants('leave') && subject.leave) {
      const leaving = Date.now();
      subject.leave();
      await until(site, leaving, 120, (now) => now.accepted === now.closed);
      await sleep(5000);
      figures.memoryLeft = memory();
    }
    tell(figures);
    return figures;
  } finally {
    await subject.stop();
    await site.close();
  }
}

const names = options.which.split(',');
for (const servers of options.servers.split(',').map(Number)) {
  const results = Object.fromEntries(names.map((name) => [name, []]));
  for (let round = 0; round < Number(options.rounds); round++)
    for (const name of names) results[name].push(await measure(name, servers));
  const processor = cpus()[0].model.trim();
  print(`${servers} ${options.https ? 'https' : 'http'} servers of the ${options.era} era, ${workersFor(servers)} workers, ` +
    `${options.rounds} rounds of ${seconds} s; ${cpus().length} cores (${processor}), shared with fleet, Redis and subscriber`, results, rates);
}
