// The configuration while the broker runs: read again when its file changes, by HUP and by `reload`; what takes hold, what
// waits for a restart, and what `status` says of it.
import assert from 'node:assert/strict';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';
import { bin, newSite, startBroker } from './lib/broker.mjs';
import { run } from './lib/process.mjs';
import { until } from './lib/wait.mjs';

/** A broker with a configuration file: `write(keys)` replaces it as editors do, `configuration()` is what `status` tells. */
async function startConfigured(t, keys, args = []) {
  const { folder } = await newSite(t);
  const path = join(folder, 'config.json');
  const write = async (value) => {
    await writeFile(`${path}.new`, typeof value === 'string' ? value : JSON.stringify(value, null, 1));
    await rename(`${path}.new`, path);
  };
  await write(keys);
  const broker = await startBroker(t, { args: ['--config', path, ...args] });
  const configuration = async () => (await broker.ask('status')).configuration;
  return { broker, path, write, configuration };
}

test('the file is read when it changes; settings take hold and are told', async (t) => {
  const { broker, path, write, configuration } = await startConfigured(t, { workers: 1, poll: '5m' });
  const before = await configuration();
  assert.equal(before.path, path);
  assert.deepEqual([before.error, before.waiting], [null, []]);
  assert.deepEqual([before.settings.workers, before.settings.poll], [1, '5m']);

  await write({ workers: 2, poll: '7m', enrich: true });
  const after = await until('the settings to be in force', async () => {
    const now = await configuration();
    return now.settings.enrich && now.readAt > before.readAt && now;
  });
  assert.deepEqual([after.settings.workers, after.settings.poll], [2, '7m']);
  await until('two workers', async () => (await broker.ask('status')).workers.running === 2);
});

test('HUP and reload read it, too', async (t) => {
  const { broker, configuration } = await startConfigured(t, { workers: 1 });
  for (const again of [() => broker.main.kill('SIGHUP'), () => broker.ask('reload')]) {
    const { readAt } = await configuration();
    await again();
    await until('it to be read', async () => (await configuration()).readAt > readAt);
  }
});

test('what waits for a restart is named in the log and by status, and the rest takes hold', async (t) => {
  const { broker, write, configuration } = await startConfigured(t, { workers: 1, 'channel-prefix': 'a:' });
  await write({ workers: 1, 'channel-prefix': 'b:', capacity: 1000, 'log-format': 'text', ping: '1m' });
  const waiting = ['--capacity', '--channel-prefix'];
  await until('ping to be in force', async () => (await configuration()).settings.ping === '1m');
  assert.deepEqual((await configuration()).waiting.sort(), waiting, 'a flag wins: --log-format is as it was');
  assert.equal((await configuration()).settings['channel-prefix'], 'a:');
  assert.deepEqual(broker.log('config.needs_restart').map((line) => line.flag).sort(), waiting);
  const { stdout } = await broker.ctl(['status']);
  assert.match(stdout, /--capacity has changed: waits for a restart/);

  await write({ workers: 1, 'channel-prefix': 'a:', ping: '2m' });
  await until('ping to be in force', async () => (await configuration()).settings.ping === '2m');
  assert.deepEqual((await configuration()).waiting, []);
});

test('--help names every setting that waits for a restart, and no other', async () => {
  const { stdout } = await run(join(bin, 'mcp-broker'), ['--help']);
  const told = [...stdout.replace(/\n {10,}/g, ' ').matchAll(/^ +(?:-\w, )?--([a-z-]+).*a change waits for a restart/gm)].map(([, flag]) => flag);
  const list = await readFile('../../common/settings.def', 'utf8');
  const fixed = [...list.matchAll(/^SETTING_FIXED\((\w+)\)/gm)].map(([, field]) => field.replaceAll('_', '-'));
  assert.ok(fixed.includes('redis') && fixed.length > 10, String(fixed));
  assert.deepEqual(told.sort(), fixed.sort());
});

test('a file with errors changes nothing, and each error is told', async (t) => {
  const { broker, path, write, configuration } = await startConfigured(t, { workers: 1, ping: '1m' });
  await write('{\n "ping": "2m",\n "poll": "often",\n "nope": 1\n}');
  const { error, settings } = await until('the errors', async () => {
    const now = await configuration();
    return now.error && now;
  });
  assert.match(error, new RegExp(`^${path}:3: "poll": .* \\(and 1 more\\)$`));
  assert.equal(settings.ping, '1m');
  const told = broker.log('config.rejected').map((line) => line.problem);
  assert.equal(told.length, 2, String(told));
  assert.match(told[1], /:4: "nope": no such setting/);
  const { stdout } = await broker.ctl(['status']);
  assert.match(stdout, /the last change is not in force: .*:3: "poll"/);
  await write({ workers: 1, ping: '3m' });
  await until('it to be mended', async () => {
    const now = await configuration();
    return now.error === null && now.settings.ping === '3m';
  });
});

test('--check tells all that is wrong at once: flags, configuration file, servers file, and how they fit', async (t) => {
  const site = await newSite(t);
  const path = join(site.folder, 'config.json');
  await writeFile(path, '{\n "workers": "two",\n "nope": 1,\n "backoff-base": "2m",\n "allow-net": ["10.0.0.0/33"]\n}');
  await site.writeServers('{ "mcpServers": {\n  "a": { "url": "ftp://h/" },\n  "b": { "url": "http://h/mcp", "timeout": "x" } } }');
  const { code, stderr } = await run(join(bin, 'mcp-broker'), [...site.flags, '--check', '--config', path, '--servers', site.serversFile,
    '--nonsense', '--verify', '5x', '--http', '0.0.0.0:9464']);
  assert.equal(code, 78);
  for (const problem of [/--nonsense: unknown flag/, /--verify: /, /config\.json:2: "workers"/, /config\.json:3: "nope"/, /--allow-net: .*10\.0\.0\.0\/33/,
    /--backoff-base: is longer than --backoff-max/, /--http: other machines can reach/, /servers\.json:2: mcpServers\.a\.url: /, /servers\.json:3: .*timeout/]) {
    assert.match(stderr, problem);
  }
  assert.ok(stderr.split('\n').filter(Boolean).length >= 9, stderr);
});
