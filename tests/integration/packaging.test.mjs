// `cmake --install` into a folder: everything is where it belongs, and what is there runs.
import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';
import { cached, install } from './lib/install.mjs';
import { run, start } from './lib/process.mjs';
import { until } from './lib/wait.mjs';

const inLib = (path) => `${cached('CMAKE_INSTALL_LIBDIR')}/${path}`;

test('the installed tree is complete', async (t) => {
  const { at } = await install(t);
  for (const path of ['sbin/mcp-broker', 'bin/mcp-brokerctl', 'libexec/mcp-broker/mcp-broker-hub',
    'libexec/mcp-broker/mcp-broker-worker', 'libexec/mcp-broker/mcp-broker-keeper']) {
    assert.equal(statSync(at(path)).mode & 0o777, 0o755, path);
  }
  for (const path of [
    'share/man/man8/mcp-broker.8.gz', 'share/man/man1/mcp-brokerctl.1.gz', 'share/man/man5/mcp-broker-servers.5.gz',
    'share/bash-completion/completions/mcp-broker', 'share/bash-completion/completions/mcp-brokerctl',
    `${cached('MCP_BROKER_ZSH_DIR')}/_mcp-broker`, 'lib/systemd/system/mcp-broker.service', 'lib/sysusers.d/mcp-broker.conf',
    'share/mcp-broker/monitoring/alerts.yml', 'share/mcp-broker/monitoring/dashboard.json', 'include/mcp-broker.h',
    ...['libmcp-broker.a', 'libmcp-broker.so.0', 'pkgconfig/mcp-broker.pc', 'cmake/mcp-broker/mcp-broker-config.cmake'].map(inLib),
  ]) {
    assert.equal(statSync(at(path)).mode & 0o777, 0o644, path);
  }
});

test('the unit names the places of the installed tree', async (t) => {
  const { root, at } = await install(t);
  const unit = await readFile(at('lib/systemd/system/mcp-broker.service'), 'utf8');
  const [, program, servers] = unit.match(/^ExecStart=(\S+) --servers (\S+) /m);
  assert.ok(statSync(join(root, program)).isFile());
  assert.deepEqual(JSON.parse(await readFile(join(root, servers), 'utf8')), { mcpServers: {} });
});

test("the operator's servers file survives another installation", async (t) => {
  const { root, at, again } = await install(t);
  const unit = await readFile(at('lib/systemd/system/mcp-broker.service'), 'utf8');
  const servers = join(root, unit.match(/--servers (\S+) /)[1]);
  await writeFile(servers, '{"mcpServers": {"mine": {"url": "http://h/mcp"}}}');
  await again();
  assert.match(await readFile(servers, 'utf8'), /mine/);
});

test('the installed programs find each other', async (t) => {
  const { at, flags, runDir } = await install(t);
  const broker = start(at('sbin/mcp-broker'), [...flags, '--workers', '1'], { env: { ...process.env, REDIS_URL: '' } });
  t.after(async () => {
    broker.kill();
    await broker.exit;
  });
  await until('the broker to be ready', () => {
    if (broker.ended) throw new Error(broker.stderr);
    return broker.stderr.includes('broker.ready');
  });
  const { code, stderr } = await run(at('bin/mcp-brokerctl'), ['--run-dir', runDir, 'ping']);
  assert.equal(code, 0, stderr);
});
