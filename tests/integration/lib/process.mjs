// Child processes of the tests: started with their output kept, ended by their pid, never left behind.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** Starts a program. The object has `pid`, `stdout` and `stderr` so far, `lines(stream)`, `exit` (a promise of
 * {code, signal}) and `kill(signal)`. */
export function start(command, args, { env = process.env, stdin = 'ignore', cwd } = {}) {
  const child = spawn(command, args, { env, cwd, stdio: [stdin, 'pipe', 'pipe'] });
  const started = {
    pid: child.pid,
    stdin: child.stdin,
    stdout: '',
    stderr: '',
    ended: null,
    kill: (signal = 'SIGTERM') => child.kill(signal),
    lines: (stream = 'stdout') => started[stream].split('\n').filter(Boolean),
  };
  child.stdout.setEncoding('utf8').on('data', (text) => (started.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text) => (started.stderr += text));
  started.exit = new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve((started.ended = { code, signal })));
  });
  return started;
}

/** Runs a program to its end: {code, signal, stdout, stderr}. `input` goes to its standard input. */
export async function run(command, args, { input, ...options } = {}) {
  const started = start(command, args, { stdin: input === undefined ? 'ignore' : 'pipe', ...options });
  if (input !== undefined) started.stdin.end(input);
  const { code, signal } = await started.exit;
  return { code, signal, stdout: started.stdout, stderr: started.stderr };
}

export const residentKb = (pid) => Number(readFileSync(`/proc/${pid}/status`, 'utf8').match(/^VmRSS:\s+(\d+)/m)[1]);

/** Sanitizers take their time, and memory. */
export const isSanitized = (pid) => /lib[at]san/.test(readFileSync(`/proc/${pid}/maps`, 'utf8'));

/** How much more a process of so many KB may hold: what a sanitizer keeps of freed memory is no growth. */
export const toleranceKb = (pid, kb) => (isSanitized(pid) ? 8192 + kb / 4 : 1024 + kb / 50);
