// One full run of what is shipped under valgrind: supervisor, hub and two workers, real MCP servers of both eras and one on
// stdio, Redis, a local subscriber; servers are connected and disconnected, lists change, and the broker stops. No process
// may have read or written where it should not, or have lost memory.
import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { bin, startBroker } from '../integration/lib/broker.mjs';
import { run } from '../integration/lib/process.mjs';
import { stdioServer } from '../integration/lib/programs.mjs';
import { startRedis } from '../integration/lib/redis.mjs';
import { startSessionServer, startStatelessServer } from '../integration/lib/servers.mjs';
import { until } from '../integration/lib/wait.mjs';

/** Processes of the broker, the keeper of the stdio server among them. */
const processes = 5;
const patience = 60_000;

test('a full run under valgrind: no errors, nothing lost', async (t) => {
  const reports = await mkdtemp(join(tmpdir(), 'mcp-broker-valgrind-'));
  t.after(() => rm(reports, { recursive: true, force: true }));
  const redis = await startRedis(t);
  const session = await startSessionServer(t);
  const stateless = await startStatelessServer(t);
  const messages = await redis.subscribe('mcp:tools_changed');
  const { stdout: help } = await run(join(bin, 'mcp-broker'), ['--help']);
  // valgrind itself needs system calls that the sandbox refuses
  const sandbox = help.includes('--sandbox') ? ['--sandbox', 'off'] : [];
  const broker = await startBroker(t, {
    under: ['valgrind', '--quiet', '--trace-children=yes', '--trace-children-skip=*/node', '--child-silent-after-fork=yes',
      '--leak-check=full', '--show-leak-kinds=definite', '--errors-for-leak-kinds=definite', '--num-callers=30',
      `--log-file=${join(reports, '%p')}`],
    servers: {
      session: { url: session.url, workspaceId: 'w' },
      stdio: { command: process.execPath, args: [stdioServer] },
    },
    args: ['--redis', redis.url, '--workers', '2', '--connect-timeout', '60s', '--allow-net', '127.0.0.0/8', ...sandbox],
  });
  const watch = await broker.watch();
  await broker.untilState('session', 'listening', patience);
  await broker.untilState('stdio', 'listening', patience);
  const { server, message } = await broker.connect('stateless', stateless.url, '--wait', '60s');
  assert.equal(server?.state, 'listening', message);

  session.addTool('two');
  stateless.addTool('two');
  await until('both events', () => messages.length > 1 && watch.events().length > 1, patience);
  await broker.ask('status');
  await broker.ask('workers');
  await broker.ask('reconnect', 'session');
  assert.equal((await broker.ctl(['disconnect', 'stateless'])).code, 0);
  session.cutStreams();
  await broker.untilState('session', 'listening', patience);
  assert.equal((await broker.ctl(['reload'])).code, 0);
  assert.deepEqual(await broker.stop(), { code: 0, signal: null });

  const files = await readdir(reports);
  const texts = await Promise.all(files.map((name) => readFile(join(reports, name), 'utf8')));
  assert.deepEqual(texts.filter(Boolean), []);
  assert.ok(files.length >= processes, `reports of ${files.length} processes`);
});
