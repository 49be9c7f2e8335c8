// A broker of the test's own: its folders, its servers file, its command line. At the end of the test it is stopped, and
// the test fails if a process is left, or if any process wrote a sanitizer's report or a failed assertion.
import assert from 'node:assert/strict';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { run, start } from './process.mjs';
import { until } from './wait.mjs';

export const bin = resolve(process.env.MCP_BROKER_BIN ?? '../../.build/debug/bin');
/** On tmpfs the table is a file in the run directory itself, and goes with it. */
const shm = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
export const reports = /(ERROR: (Address|Leak|Undefined|Thread)Sanitizer|runtime error:|Assertion .* failed)/;

process.env.LSAN_OPTIONS = `suppressions=${resolve('../lsan.supp')}:print_suppressions=0`;

/** MCP_BROKER_FLAGS='--no-park' runs the same tests with other settings. */
const everywhere = (process.env.MCP_BROKER_FLAGS ?? '').split(' ').filter(Boolean);
/** Fast timing for tests; a test's own flags come after it and win. */
const quick = ['--backoff-base', '100ms', '--backoff-max', '1s', '--log-level', 'debug', '--log-format', 'json', ...everywhere];

/** Pids of the processes whose parent is `pid`. */
export function childrenOf(pid) {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((each) => {
      try {
        return Number(readFileSync(`/proc/${each}/stat`, 'utf8').split(') ').at(-1).split(' ')[1]) === pid;
      } catch {
        return false; // gone in between
      }
    });
}

export const isAlive = (pid) => {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)[0] !== 'Z';
  } catch {
    return false;
  }
};

/** Folders and the command line, without a broker: for tests that start it themselves, or not at all. */
export async function newSite(t) {
  const folder = await mkdtemp(join(shm, 'mcp-broker-test-'));
  const site = {
    folder,
    runDir: join(folder, 'run'),
    stateDir: join(folder, 'state'),
    serversFile: join(folder, 'servers.json'),
  };
  site.flags = ['--run-dir', site.runDir, '--state-dir', site.stateDir];
  site.writeServers = async (servers) => {
    const text = typeof servers === 'string' ? servers : JSON.stringify({ mcpServers: servers }, null, 2);
    await writeFile(`${site.serversFile}.new`, text);
    await rename(`${site.serversFile}.new`, site.serversFile);
  };
  /** Runs mcp-brokerctl: {code, stdout, stderr}. */
  site.ctl = (args, options) => run(join(bin, 'mcp-brokerctl'), ['--run-dir', site.runDir, ...args], options);
  /** Runs it with --json, expects exit code 0, gives the data. */
  site.ask = async (...args) => {
    const { code, stdout, stderr } = await site.ctl(['--json', ...args]);
    assert.equal(code, 0, `mcp-brokerctl ${args.join(' ')}: ${stderr}`);
    return JSON.parse(stdout);
  };
  site.states = async (...args) => (await site.ask('states', ...args)).servers;
  site.untilState = (id, state, ms) =>
    until(`${id} to be ${state}`, async () => {
      const server = await site.ask('show', id);
      return server.state === state ? server : Promise.reject(new Error(JSON.stringify(server)));
    }, ms);
  /** Waits until there are `count` servers and all of them are in this state; gives them by id. */
  site.untilAll = (state, count, ms) =>
    until(`${count} servers to be ${state}`, async () => {
      const servers = await site.states();
      if (servers.length === count && servers.every((each) => each.state === state)) {
        return Object.fromEntries(servers.map((each) => [each.serverId, each]));
      }
      throw new Error(JSON.stringify(servers.map(({ serverId, state: now, lastError }) => [serverId, now, lastError])));
    }, ms);
  site.untilTools = (id, count) =>
    until(`${id} to be listening, with ${count} tools`, async () => {
      const server = await site.ask('show', id);
      return server.state === 'listening' && server.toolCount === count ? server : Promise.reject(new Error(JSON.stringify(server)));
    });
  /** Connects a server: {server} or, when there is none, {code, message} as the broker said them. */
  site.connect = async (id, url, ...flags) => {
    const { code, stdout, stderr } = await site.ctl(['--json', 'connect', '--id', id, '--url', url, ...flags]);
    if (code === 0) return { server: JSON.parse(stdout) };
    const [, message, name] = stderr.match(/^mcp-brokerctl: (.*) \((\w+)\)$/m) ?? [];
    assert.ok(name, `connect ${id}: ${code} ${stderr}`);
    return { code: name, message };
  };
  site.mainBroker = (args, { under = [], ...options } = {}) => {
    const [program, ...rest] = [...under, join(bin, 'mcp-broker'), ...site.flags, ...quick, ...args];
    return start(program, rest, options);
  };
  t.after(() => rm(folder, { recursive: true, force: true }));
  return site;
}

/** A running broker. `servers` is the content of `mcpServers`; `args` are more flags; `under` is a command that starts it. */
export async function startBroker(t, { servers, args = [], env, under } = {}) {
  const site = await newSite(t);
  const flags = [...args];
  if (servers) {
    await site.writeServers(servers);
    flags.push('--servers', site.serversFile);
  }
  const broker = Object.assign(site, { main: null });
  broker.start = async () => {
    broker.main = site.mainBroker(flags, { under, env: { ...process.env, REDIS_URL: '', ...env } });
    await until('the broker to be ready', () => {
      if (broker.main.ended) throw new Error(broker.main.stderr);
      return broker.main.stderr.includes('broker.ready');
    });
  };
  broker.stop = async (signal = 'SIGTERM') => {
    const children = childrenOf(broker.main.pid);
    broker.main.kill(signal);
    const ended = await broker.main.exit;
    await until('the children to be gone', () => children.every((pid) => !isAlive(pid)), 15_000);
    return ended;
  };
  broker.workerPid = async (slot) => (await site.ask('workers')).workers.find((each) => each.worker === slot).pid;
  broker.hubPid = async () => (await site.ask('workers')).hub.pid;
  /** Events as a local subscriber sees them: an array that grows. */
  broker.watch = async (...flags) => {
    const watcher = start(join(bin, 'mcp-brokerctl'), ['--run-dir', site.runDir, '--json', 'watch', ...flags]);
    t.after(() => watcher.kill());
    await until('watch to be subscribed', () => watcher.stderr.includes('watching'));
    return { events: () => watcher.lines().map((line) => JSON.parse(line)), process: watcher };
  };
  broker.log = (event) => broker.main.lines('stderr').flatMap((line) => {
    try {
      const entry = JSON.parse(line);
      return !event || entry.event === event ? [entry] : [];
    } catch {
      return [];
    }
  });
  t.after(async () => {
    if (!broker.main.ended) await broker.stop();
    const log = broker.main.stderr;
    assert.doesNotMatch(log, reports, 'a process of the broker reported an error');
    if (t.passed === false || process.env.MCP_BROKER_SHOW_LOG) process.stderr.write(log);
  });
  await broker.start();
  return broker;
}

