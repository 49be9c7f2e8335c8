// Bad input: one clear line that says what, where and what to do, before any child starts.
import assert from 'node:assert/strict';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';
import { bin, newSite, startBroker } from './lib/broker.mjs';
import { run } from './lib/process.mjs';

async function refused(t, { servers, flags = [], env = {} }, pattern) {
  const site = await newSite(t);
  const args = [...site.flags];
  if (servers !== undefined) {
    await site.writeServers(servers);
    args.push('--servers', site.serversFile);
  }
  const ended = await run(join(bin, 'mcp-broker'), [...args, ...flags], { env: { ...process.env, REDIS_URL: '', ...env } });
  assert.equal(ended.code, 78, ended.stderr);
  assert.match(ended.stderr, pattern);
  assert.doesNotMatch(ended.stderr, /child|spawn|started/, 'nothing was started');
}

const file = String.raw`servers\.json`;
const cases = {
  'no JSON': ['{"mcpServers": {\n  "a": {"url": }', new RegExp(`${file}:2`)],
  'no mcpServers': ['{"servers": {}}', /mcpServers/],
  'an unknown key': ['{"mcpServers": {\n "a": {"url": "http://h/mcp",\n  "heders": {}}}}', new RegExp(`${file}:3: mcpServers\\.a\\.heders`)],
  'a wrong type': ['{"mcpServers": {\n "a": {\n  "url": 5}}}', new RegExp(`${file}:3: mcpServers\\.a\\.url`)],
  'a missing variable': ['{"mcpServers": {\n "a": {"url": "http://h/mcp", "headers": {\n  "X-Key": "${NO_SUCH_VARIABLE}"}}}}', new RegExp(`${file}:3: mcpServers\\.a\\.headers\\.X-Key.*NO_SUCH_VARIABLE`)],
  'a duplicate id': ['{"mcpServers": {\n "a": {"url": "http://h/mcp"},\n "a": {"url": "http://h/mcp"}}}', new RegExp(`${file}:3.*"a"`)],
  'an URL that is none': ['{"mcpServers": {\n "a": {"url": "example.com/mcp"}}}', new RegExp(`${file}:2: mcpServers\\.a\\.url`)],
  'no URL': ['{"mcpServers": {\n "a": {}}}', new RegExp(`${file}:2: mcpServers\\.a`)],
};
for (const [what, [servers, pattern]] of Object.entries(cases)) {
  test(`a servers file with ${what} is refused`, (t) => refused(t, { servers }, pattern));
}

test('everything that is wrong with a file is told at once', (t) =>
  refused(t, { servers: '{"mcpServers": {\n "a": {"url": 5},\n "b": {"url": "ftp://h/"},\n "c": {"nope": 1}}}' },
    new RegExp(`${file}:2: mcpServers\\.a\\.url[^]*${file}:3: mcpServers\\.b\\.url[^]*${file}:4: mcpServers\\.c\\.nope`)));

for (const value of ['0', '-1', 'x', '', '1.5', '257']) {
  test(`--workers ${value || '(nothing)'} is refused`, (t) => refused(t, { flags: ['--workers', value] }, /--workers.*1 to 256/));
}
for (const [flags, pattern] of [
  [['--connect-timeout', '15'], /--connect-timeout.*"15".*15s/],
  [['--redis', 'http://localhost'], /--redis.*redis:\/\//],
  [['--log-level', 'loud'], /--log-level.*error.*debug/],
  [['--allow-net', '10.0.0.0/33'], /--allow-net.*10\.0\.0\.0\/33/],
  [['--no-such-flag'], /--no-such-flag.*--help/],
  [['--servers', '/no/such/file.json'], /\/no\/such\/file\.json.*No such file/],
]) {
  test(`${flags.join(' ')} is refused`, (t) => refused(t, { flags }, pattern));
}

test('--check says what is wrong, or that all is well', async (t) => {
  const site = await newSite(t);
  await site.writeServers({ a: { url: 'http://example.com/mcp' } });
  const good = await run(join(bin, 'mcp-broker'), [...site.flags, '--servers', site.serversFile, '--check']);
  assert.equal(good.code, 0, good.stderr);
  await site.writeServers({ a: { url: 'nowhere' } });
  const bad = await run(join(bin, 'mcp-broker'), [...site.flags, '--servers', site.serversFile, '--check', '--workers', '0']);
  assert.equal(bad.code, 78);
  assert.match(bad.stderr, /--workers[^]*mcpServers\.a\.url/);
});

test('a second broker on the same run directory is refused', async (t) => {
  const broker = await startBroker(t, { args: ['--workers', '1'] });
  const second = await run(join(bin, 'mcp-broker'), ['--run-dir', broker.runDir, '--state-dir', join(broker.folder, 'state2')]);
  assert.equal(second.code, 78);
  assert.match(second.stderr, new RegExp(`--run-dir.*${broker.main.pid}`));
  assert.equal((await broker.ctl(['ping'])).code, 0);
});

test('directories that are none, or not ours, are refused', async (t) => {
  const site = await newSite(t);
  const notADirectory = join(site.folder, 'file');
  await writeFile(notADirectory, '');
  for (const [flag, path] of [['--run-dir', notADirectory], ['--state-dir', notADirectory]]) {
    const ended = await run(join(bin, 'mcp-broker'), [...site.flags, flag, path]);
    assert.equal(ended.code, 78, `${flag} ${path}`);
    assert.match(ended.stderr, new RegExp(flag));
  }
  const open = join(site.folder, 'open');
  await mkdir(open);
  await chmod(open, 0o777);
  const ended = await run(join(bin, 'mcp-broker'), [...site.flags, '--run-dir', open]);
  assert.equal(ended.code, 78);
  assert.match(ended.stderr, /--run-dir/);
});

test('the command line tells wrong usage, no broker and a no apart', async (t) => {
  const site = await newSite(t);
  assert.equal((await site.ctl(['ping'])).code, 3);
  assert.equal((await site.ctl(['no-such-command'])).code, 2);
  assert.equal((await site.ctl(['show'])).code, 2);
  assert.equal((await site.ctl([])).code, 2);
  assert.equal((await site.ctl(['--help'])).code, 0);
});

test('a definition that is wrong is refused at run time, and the reason names the key', async (t) => {
  const broker = await startBroker(t, { servers: { mine: { url: 'http://127.0.0.1:1/mcp' } }, args: ['--workers', '1'] });
  const bad = await broker.ctl(['connect', '--id', 'x', '--url', 'nowhere']);
  assert.equal(bad.code, 1);
  assert.match(bad.stderr, /url.*\(invalid\)/);
  const stdio = await broker.ctl(['connect', '-'], { input: '{"serverId":"x","command":"sh"}' });
  assert.equal(stdio.code, 1);
  const taken = await broker.ctl(['connect', '--id', 'mine', '--url', 'http://example.com/mcp']);
  assert.equal(taken.code, 1);
  assert.match(taken.stderr, /\(conflict\)/);
});
