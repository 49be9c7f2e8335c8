// Processes, lines and figures of /proc, for run.mjs.
import { spawn } from 'node:child_process';
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { once } from 'node:events';

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const children = new Set();
process.on('exit', () => children.forEach((child) => child.kill('SIGKILL')));
process.on('SIGINT', () => process.listenerCount('SIGINT') === 1 && process.exit(130));

/** Starts a program that speaks lines, out of reach of the terminal's ^C. {pid, ask(line), line(), stop()}; its stderr goes to ours. */
export function start(program, args, options = {}) {
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'], detached: true, ...options });
  children.add(child.once('close', () => children.delete(child)));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ended = once(child, 'close'); // its own children, too, have let go of its output, and so of their ports
  const line = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error(`${program} has ended`);
    return value;
  };
  const ask = async (text) => {
    child.stdin.write(`${text}\n`);
    return JSON.parse(await line());
  };
  const stop = async (signal = 'SIGTERM') => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    await ended;
  };
  return { pid: child.pid, line, ask, stop };
}

/** A fleet's control port: ask(line) gives its answer. */
export async function control(port) {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  const lines = createInterface({ input: socket })[Symbol.asyncIterator]();
  return {
    ask: async (text) => {
      socket.write(`${text}\n`);
      const { value } = await lines.next();
      if (!value || value.startsWith('error')) throw new Error(`fleet: ${text}: ${value}`);
      return value === 'ok' ? value : JSON.parse(value);
    },
    close: () => socket.destroy(),
  };
}

const statOf = (pid) => readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1).split(' ');

/** True when no file of a folder has been written for so long. */
export const hasRested = (folder, ms) => readdirSync(folder).every((name) => Date.now() - statSync(join(folder, name)).mtimeMs > ms);

export const nameOf = (pid) => readFileSync(`/proc/${pid}/comm`, 'utf8').trim();

/** A process and all that it started. */
export function family(pid) {
  const all = readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number);
  const children = all.filter((each) => {
    try {
      return Number(statOf(each)[1]) === pid;
    } catch {
      return false;
    }
  });
  return [pid, ...children.flatMap(family)];
}

/** Proportional memory of all of them, in bytes. */
export const memoryOf = (pids) =>
  1024 * pids.reduce((sum, pid) => sum + Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))[1]), 0);

/** Seconds of processor time of all of them; 100 ticks a second on every Linux. */
export const processorOf = (pids) => pids.reduce((sum, pid) => sum + Number(statOf(pid)[11]) + Number(statOf(pid)[12]), 0) / 100;
