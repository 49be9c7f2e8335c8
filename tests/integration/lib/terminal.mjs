// A terminal of the test's own: a tmux server with one window, in which a shell runs. What a program draws there is read as
// a person would see it.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import assert from 'node:assert/strict';
import { run } from './process.mjs';
import { until } from './wait.mjs';

/** {type(...keys), screen(), untilScreen(pattern), resize(width, height), settings()}; keys as tmux names them. */
export async function startTerminal(t, { width = 80, height = 24 } = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'mcp-terminal-'));
  const tmux = async (...args) => {
    const { code, stdout, stderr } = await run('tmux', ['-S', join(folder, 'socket'), '-f', '/dev/null', ...args]);
    assert.equal(code, 0, stderr);
    return stdout;
  };
  await tmux('new-session', '-d', '-x', String(width), '-y', String(height), 'env PS1="ready> " LC_ALL=C.UTF-8 sh');
  t.after(async () => {
    await tmux('kill-server');
    await rm(folder, { recursive: true, force: true });
  });
  const terminal = {
    type: (...keys) => tmux('send-keys', ...keys),
    text: (text) => tmux('send-keys', '-l', text),
    screen: async () => (await tmux('capture-pane', '-p')).split('\n').slice(0, -1),
    resize: (columns, lines) => tmux('resize-window', '-x', String(columns), '-y', String(lines)),
    untilScreen: (pattern, ms) =>
      until(`${pattern} on the screen`, async () => {
        const lines = await terminal.screen();
        return pattern.test(lines.join('\n')) ? lines : Promise.reject(new Error(`\n${lines.join('\n')}`));
      }, ms),
  };
  /** Types a command into the shell. */
  terminal.command = async (line) => {
    await terminal.text(line);
    await terminal.type('Enter');
  };
  /** The pid of the program that was started last. */
  terminal.pid = async () => {
    const shell = (await tmux('list-panes', '-F', '#{pane_pid}')).trim();
    const { stdout } = await run('sh', ['-c', `cat /proc/${shell}/task/${shell}/children`]);
    return Number(stdout.trim().split(' ').at(-1));
  };
  await terminal.untilScreen(/ready>/);
  return terminal;
}
