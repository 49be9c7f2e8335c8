// What the processes may still do, as the kernel tells it: whose they are, how they are locked in, what of them can be
// read; and that what they are granted follows what there is to do. What the lock refuses is tried by unit.sandbox.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { chmod, chown, cp, lchown, mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';
import { bin, childrenOf, newSite, startBroker } from './lib/broker.mjs';
import { overTls, startAuthority } from './lib/certificates.mjs';
import { startHostileServer } from './lib/hostile.mjs';
import { run } from './lib/process.mjs';
import { stdioServer } from './lib/programs.mjs';
import { until } from './lib/wait.mjs';

const isRoot = process.getuid() === 0;
const one = ['--workers', '1'];
const stdio = { command: process.execPath, args: [stdioServer] };

/** A line of /proc/PID/status. */
const statusOf = (pid, key) => readFileSync(`/proc/${pid}/status`, 'utf8').match(new RegExp(`^${key}:\\s*(.*)$`, 'm'))[1];
const coreLimitOf = (pid) => readFileSync(`/proc/${pid}/limits`, 'utf8').match(/^Max core file size\s+(\S+)\s+(\S+)/m).slice(1);

/** Of a broker with one worker and one stdio server that is listened to. */
async function processesOf(broker) {
  const [hub, worker] = await Promise.all([broker.hubPid(), broker.workerPid(0)]);
  const [spawner] = childrenOf(worker);
  const [keeper] = childrenOf(spawner);
  const [server] = childrenOf(keeper);
  return { supervisor: broker.main.pid, hub, worker, spawner, keeper, server };
}

test('hub and workers are locked in, nobody gains rights, and nothing is dumped', async (t) => {
  const broker = await startBroker(t, { servers: { s: stdio }, args: one });
  await broker.untilState('s', 'listening');
  const processes = await processesOf(broker);
  for (const [name, pid] of Object.entries(processes)) {
    assert.equal(statusOf(pid, 'NoNewPrivs'), '1', name);
    assert.equal(statusOf(pid, 'Seccomp'), ['hub', 'worker'].includes(name) ? '2' : '0', name);
    assert.deepEqual(coreLimitOf(pid), ['0', '0'], name);
  }
  const { sandbox } = await broker.ask('status');
  assert.match(sandbox, /^seccomp(, landlock \d+)?$/);
  assert.match((await broker.ctl(['status'])).stdout, new RegExp(`sandbox +${sandbox}`));
});

test('--sandbox off and --debuggable lift that, and status says so', async (t) => {
  const broker = await startBroker(t, { servers: { s: stdio }, args: [...one, '--sandbox', 'off', '--debuggable'] });
  await broker.untilState('s', 'listening');
  const processes = await processesOf(broker);
  const own = coreLimitOf(process.pid);
  for (const [name, pid] of Object.entries(processes)) {
    assert.equal(statusOf(pid, 'Seccomp'), statusOf(process.pid, 'Seccomp'), name);
    assert.equal(statusOf(pid, 'NoNewPrivs'), statusOf(process.pid, 'NoNewPrivs'), name);
    assert.deepEqual(coreLimitOf(pid), own, name);
  }
  assert.equal((await broker.ask('status')).sandbox, 'off');
});

test('a file that is named later, or replaced, is opened by the workers that follow', async (t) => {
  const [before, after] = await Promise.all([startAuthority(t), startAuthority(t)]);
  const server = await startHostileServer(t, overTls(await after.issue()));
  const broker = await startBroker(t, { servers: {}, args: [...one, '--max-attempts', '1000'] });
  if (!/landlock/.test((await broker.ask('status')).sandbox)) return t.skip('this kernel has no Landlock');
  const caFile = join(broker.folder, 'ca.pem');
  await cp(before.caFile, caFile);
  const first = await broker.workerPid(0);
  await broker.writeServers({ s: { url: server.url, caFile } });
  await until('another worker', async () => (await broker.workerPid(0)) !== first);
  await until('the file to be read', async () => /no TLS .*(issuer|signature|self.signed)/.test((await broker.ask('show', 's')).lastError));
  const second = await broker.workerPid(0);
  await cp(after.caFile, `${caFile}.new`);
  await rename(`${caFile}.new`, caFile);
  await broker.untilState('s', 'listening');
  assert.notEqual(await broker.workerPid(0), second);
  assert.deepEqual(broker.log('opened_files.replaced').length, 1);
});

/** A site that everybody may pass through, since the broker will be nobody. */
async function openSite(t) {
  const site = await newSite(t);
  await chmod(site.folder, 0o711);
  return site;
}

const nobody = isRoot ? Number(execFileSync('id', ['-u', 'nobody'], { encoding: 'utf8' })) : -1;
const reachable = isRoot && (() => {
  try {
    execFileSync('setpriv', ['--reuid=nobody', '--regid=nogroup', '--clear-groups', join(bin, 'mcp-broker'), '--version']);
    return true;
  } catch {
    return false;
  }
})();
const asRoot = { skip: reachable ? false : 'wants root, and programs that nobody can execute' };

async function startAs(t, site, flags) {
  site.main = site.mainBroker([...one, ...flags], { env: { ...process.env, REDIS_URL: '' } });
  t.after(async () => {
    site.main.kill('SIGTERM');
    await site.main.exit;
  });
  return until('the broker to be ready', () => site.main.ended || site.main.stderr.includes('broker.ready'));
}

test('--user: root makes the directories, and is root no more', asRoot, async (t) => {
  const site = await openSite(t);
  const server = await startHostileServer(t);
  await site.writeServers({ s: { url: server.url }, p: stdio });
  await chmod(site.serversFile, 0o644);
  await startAs(t, site, ['--user', 'nobody', '--servers', site.serversFile]);
  assert.equal(site.main.ended, null, site.main.stderr);
  await site.untilState('s', 'listening');
  await site.untilState('p', 'listening');
  site.hubPid = async () => (await site.ask('workers')).hub.pid;
  site.workerPid = async () => (await site.ask('workers')).workers[0].pid;
  for (const [name, pid] of Object.entries(await processesOf(site))) {
    for (const key of ['Uid', 'Gid']) assert.deepEqual([...new Set(statusOf(pid, key).split('\t'))].length, 1, `${name}: ${key}`);
    assert.equal(Number(statusOf(pid, 'Uid').split('\t')[0]), nobody, name);
    assert.doesNotMatch(` ${statusOf(pid, 'Groups')} `, / 0 /, name);
    for (const set of ['CapEff', 'CapPrm', 'CapInh', 'CapAmb']) assert.match(statusOf(pid, set), /^0+$/, `${name}: ${set}`);
    // Not dumpable: not even its own user may look into it. What is executed anew is, without our memory.
    if (['supervisor', 'hub', 'worker'].includes(name)) assert.equal(statSync(`/proc/${pid}/environ`).uid, 0, name);
  }
  for (const path of [site.runDir, site.stateDir, join(site.stateDir, 'registry.db')]) assert.equal(statSync(path).uid, nobody, path);
  assert.equal(statSync(site.stateDir).mode & 0o777, 0o700);
  // The configuration is read again as the user, and nothing has moved for that.
  site.main.kill('SIGHUP');
  await until('the reload', () => site.main.stderr.includes('config.reloaded'));
  assert.doesNotMatch(site.main.stderr, /config.needs_restart/);
  assert.equal((await site.ctl(['reload'])).code, 0, 'root may still change things');
});

test('--user: what root left behind is taken over, and nothing else', asRoot, async (t) => {
  const site = await openSite(t);
  await startAs(t, site, []);
  site.main.kill('SIGTERM');
  await site.main.exit;
  assert.equal(statSync(join(site.stateDir, 'registry.db')).uid, 0);
  await startAs(t, site, ['--user', 'nobody']);
  assert.equal(site.main.ended, null, site.main.stderr);
  assert.equal(statSync(join(site.stateDir, 'registry.db')).uid, nobody);
  site.main.kill('SIGTERM');
  await site.main.exit;

  const other = await openSite(t);
  await mkdir(other.stateDir);
  await writeFile(join(other.stateDir, 'letters'), 'not a broker\'s');
  await startAs(t, other, ['--user', 'nobody']);
  assert.equal((await other.main.exit).code, 78);
  assert.match(other.main.stderr, /--state-dir: .*belongs to another user/);
  assert.equal(statSync(other.stateDir).uid, 0);
});

test('--user: what cannot be is told', async (t) => {
  const site = await newSite(t);
  const refused = async (flags, pattern) => {
    const broker = site.mainBroker(flags);
    assert.equal((await broker.exit).code, 78);
    assert.match(broker.stderr, pattern);
    assert.ok(!existsSync(site.runDir) || isRoot);
  };
  await refused(['--user', 'no-such-user'], /--user: no-such-user: there is no such user/);
  if (!isRoot) await refused(['--user', 'root'], /--user: only root can become root/);
});

test('who may reach the sockets: the group may ask, the broker may change things', async (t) => {
  const broker = await startBroker(t, { args: one });
  const modeOf = (name) => (statSync(join(broker.runDir, name)).mode & 0o777).toString(8);
  assert.equal(modeOf(''), '750');
  const wanted = { 'diag.sock': '660', 'events.sock': '660', 'bells.sock': '600', 'assignments.sock': '600', 'tokens.sock': '600' };
  const found = Object.fromEntries(readdirSync(broker.runDir).filter((name) => name.endsWith('.sock')).map((name) => [name, modeOf(name)]));
  assert.deepEqual(found, wanted);
  assert.equal(statSync(broker.stateDir).mode & 0o777, 0o700);
  for (const name of readdirSync(broker.stateDir)) assert.equal(statSync(join(broker.stateDir, name)).mode & 0o777, 0o600, name);
});

test('a change is refused to whoever is neither the broker\'s user nor root', asRoot, async (t) => {
  const broker = await startBroker(t, { args: one });
  await chmod(broker.folder, 0o711);
  await chmod(broker.runDir, 0o755);
  await chmod(join(broker.runDir, 'diag.sock'), 0o666);
  const asNobody = (...args) => run('setpriv', ['--reuid=nobody', '--regid=nogroup', '--clear-groups', join(bin, 'mcp-brokerctl'), '--run-dir', broker.runDir, ...args]);
  assert.equal((await asNobody('ping')).code, 0, 'it may ask');
  for (const change of [['connect', '--id', 'x', '--url', 'https://example.com/'], ['disconnect', 'x'], ['reconnect', 'x'], ['reload'], ['roll'], ['scale', '2'], ['log-level', 'debug']]) {
    const { code, stderr } = await asNobody(...change);
    assert.equal(code, 1, change[0]);
    assert.match(stderr, /forbidden|not allowed|user/i, change[0]);
  }
  assert.deepEqual(await broker.states(), []);
});

test('directories that others could write to, or lead elsewhere, are refused', async (t) => {
  const site = await newSite(t);
  const refused = async (pattern) => {
    const broker = site.mainBroker(one);
    assert.equal((await broker.exit).code, 78);
    assert.match(broker.stderr, pattern);
  };
  await mkdir(site.runDir);
  await chmod(site.runDir, 0o777);
  await refused(/--run-dir: .*may be written to by everybody/);
  await rm(site.runDir, { recursive: true });
  await writeFile(site.runDir, '');
  await refused(/--run-dir: .*(is no directory|File exists)/);
  await rm(site.runDir);
  await mkdir(site.stateDir, { recursive: true });
  await chmod(site.stateDir, 0o777);
  await refused(/--state-dir: .*may be written to by everybody/);
  await chmod(site.stateDir, 0o700);
  if (!isRoot) return;
  await rm(site.runDir, { recursive: true });
  await mkdir(join(site.folder, 'theirs'));
  await symlink(join(site.folder, 'theirs'), site.runDir);
  await lchown(site.runDir, nobody, nobody);
  await refused(/--run-dir: .*another user's symbolic link/);
  await rm(site.runDir);
  await mkdir(site.runDir);
  await chown(site.runDir, nobody, nobody);
  await refused(/--run-dir: .*belongs to another user/);
});
