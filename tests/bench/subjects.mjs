// The programs that are measured. Each starts without servers: {pids(), connect(), leave(), isQuiet(), stop()}; `leave` has it
// give up all connections, and `isQuiet` tells whether it has put away what it learned by connecting, where that is something.
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { family, hasRested, sleep, start } from './lib.mjs';

const none = '{"mcpServers":{}}';

/** The daemon, coalescing off so that each change counts. */
async function broker(site, { bin, workers, flags }) {
  const file = join(site.folder, 'servers.json');
  const run = join(site.folder, 'run');
  const state = join(site.folder, 'state');
  writeFileSync(file, none);
  const daemon = start(join(bin, 'mcp-broker'), [
    '--workers', String(workers), '--servers', file, '--redis', `unix://${site.redis}`, '--run-dir', run,
    '--state-dir', state, '--coalesce', '0ms', '--max-connections', '19000', '--log-level', 'warn',
    '--log-format', 'text', ...flags.split(' ').filter(Boolean)]);
  await sleep(2000);
  return {
    pids: () => family(daemon.pid),
    connect: () => renameSync(site.servers, file),
    leave: () => {
      writeFileSync(`${file}.new`, none);
      renameSync(`${file}.new`, file);
    },
    isQuiet: () => hasRested(state, 3000),
    stop: daemon.stop,
  };
}

/** As many in-process managers as the limit of open files asks for, each with its share. */
async function manager(site, { servers }) {
  const each = 8000; // the SDK keeps a second connection beside each stream
  const count = Math.ceil(servers / each);
  const program = new URL('manager.mjs', import.meta.url).pathname;
  const env = { ...process.env, ...(site.certificate && { NODE_EXTRA_CA_CERTS: site.certificate }) };
  const all = Array.from({ length: count }, (_, index) =>
    start(process.execPath, ['--max-old-space-size=12288', program, site.servers, site.redis, String(index), String(count)], { env }));
  await Promise.all(all.map(({ line }) => line()));
  return {
    pids: () => all.map(({ pid }) => pid),
    connect: () => all.forEach(({ ask }) => void ask('connect').catch(() => {})),
    stop: () => Promise.all(all.map(({ stop }) => stop())),
  };
}

/** libcurl alone, a process for each worker: connects and holds, and that is all. */
async function curl(site, { bin, workers }) {
  const { pid, ask, stop } = start(join(bin, 'mcp-bench-curl'), [site.servers, String(workers)]);
  return { pids: () => family(pid), connect: () => void ask('connect').catch(() => {}), stop };
}

export const subjects = { broker, manager, curl };
