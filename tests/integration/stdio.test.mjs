// Servers that are programs: both eras over their pipes, their lives, their deaths, and what they see of the world.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { childrenOf, isAlive, startBroker } from './lib/broker.mjs';
import { stdioServer, stdioStateless, stdioScript, everything } from './lib/programs.mjs';
import { until } from './lib/wait.mjs';

const node = process.execPath;
/** Of the scripted servers; it goes when they have gone. */
const folders = mkdtempSync(join(tmpdir(), 'mcp-broker-stdio-'));
after(() => rm(folders, { recursive: true, force: true }));

/** A folder for a scripted server: {definition, read(name), write(name, value), heard()}. */
function newScript(behaviour = [], more = {}) {
  const cwd = mkdtempSync(join(folders, 'server-'));
  return {
    cwd,
    definition: { command: node, args: [stdioScript, ...behaviour], cwd, ...more },
    read: (name) => readFileSync(join(cwd, name), 'utf8'),
    write: (name, value) => writeFileSync(join(cwd, name), JSON.stringify(value)),
    heard: () => readFileSync(join(cwd, 'heard.jsonl'), 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line)),
  };
}

/** The pids of a server so far, oldest first. */
const pidsOf = (broker, id) => broker.log('stdio.started').filter((each) => each.server === id).map((each) => each.server_pid);
const pidOf = (broker, id) => pidsOf(broker, id).at(-1);
const endsOf = (broker, id) => broker.log('stdio.ended').filter((each) => each.server === id).map((each) => each.how);
const statOf = (pid) => readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1).split(' ');
const parentOf = (pid) => Number(statOf(pid)[1]);
const groupOf = (pid) => Number(statOf(pid)[2]);
const reach = (broker, id, error) =>
  until(`${id} to fail`, async () => {
    const server = await broker.ask('show', id);
    return error.test(server.lastError) ? server : Promise.reject(new Error(JSON.stringify(server)));
  });

const real = {
  'server-everything': { args: [everything, 'stdio'], era: 'session', version: '2025-11-25', tools: 10 },
  'the SDK 1.x': { args: [stdioServer], era: 'session', version: '2025-11-25', tools: 1, changes: true },
  'the SDK 2.x': { args: [stdioStateless], era: 'stateless', version: '2026-07-28', tools: 1, changes: true },
  'the SDK 2.x, stateless only': { args: [stdioStateless, 'stateless'], era: 'stateless', version: '2026-07-28', tools: 1, changes: true },
};

test('servers from npm are listened to over stdio', async (t) => {
  const ids = Object.keys(real);
  const broker = await startBroker(t, {
    servers: Object.fromEntries(ids.map((id) => [id, { command: node, args: real[id].args }])),
    args: ['--workers', '1', '--enrich'],
  });
  const watch = await broker.watch();
  await Promise.all(ids.map((id) => t.test(id, async () => {
    const { era, version, tools, changes } = real[id];
    const shown = await broker.untilState(id, 'listening');
    assert.equal(shown.era, era);
    assert.equal(shown.protocolVersion, version);
    assert.equal(shown.transport, 'stdio');
    assert.equal(shown.reconnectAttempts, 0);
    await until(`${tools} tools`, async () => (await broker.ask('show', id)).toolCount >= tools);
    if (!changes) return;
    process.kill(pidOf(broker, id), 'SIGUSR2');
    const event = await until('the event', () => watch.events().find((each) => each.serverId === id));
    assert.equal(event.reason, 'notification');
    assert.deepEqual(event.added, ['tool-2']);
  })));
});

test('a killed server is started again, and what it changed meanwhile is told', async (t) => {
  const script = newScript();
  const broker = await startBroker(t, { servers: { s: script.definition }, args: ['--workers', '1'] });
  const watch = await broker.watch();
  await broker.untilState('s', 'listening');
  await until('the list to be known', async () => (await broker.ask('show', 's')).toolCount === 1);
  const pid = pidOf(broker, 's');
  script.write('tools.json', ['one', 'two']);
  process.kill(pid, 'SIGKILL');
  const event = await until('the event', () => watch.events().find((each) => each.serverId === 's'));
  assert.equal(event.reason, 'reconnect');
  assert.equal(event.toolCount, 2);
  assert.notEqual(pidOf(broker, 's'), pid);
  assert.ok(broker.log('conn.state').some((each) => each.from === 'listening' && each.error === 'killed by SIGKILL'));
  assert.equal(script.heard().filter((each) => each.method === 'server/discover').length, 1, 'the era is remembered');
});

test('a server dies with its worker, with all that it has started', async (t) => {
  const script = newScript(['stubborn']);
  const family = { command: 'sh', args: ['-c', `sleep 1000 & exec "$0" "$@"`, node, stdioScript, 'stubborn'], cwd: script.cwd };
  const broker = await startBroker(t, { servers: { s: family }, args: ['--workers', '1'] });
  await broker.untilState('s', 'listening');
  const pid = pidOf(broker, 's');
  const [sleep] = childrenOf(pid);
  assert.ok(sleep);
  process.kill(await broker.workerPid(0), 'SIGKILL');
  await until('server and grandchild to be gone', () => !isAlive(pid) && !isAlive(sleep));
  const next = await until('another server', () => pidsOf(broker, 's')[1]);
  await broker.untilState('s', 'listening');
  assert.ok(isAlive(next));
});

test('a server dies with its keeper, and is started again', async (t) => {
  const script = newScript(['stubborn']);
  const broker = await startBroker(t, { servers: { s: script.definition }, args: ['--workers', '1'] });
  await broker.untilState('s', 'listening');
  const pid = pidOf(broker, 's');
  const keeper = parentOf(pid);
  assert.equal(parentOf(parentOf(keeper)), await broker.workerPid(0), 'worker, spawner, keeper, server');
  process.kill(keeper, 'SIGKILL');
  await until('the server to be gone', () => !isAlive(pid));
  await until('another server', () => pidsOf(broker, 's')[1]);
  await broker.untilState('s', 'listening');
});

test('a spawner that dies takes its worker along, in order, and both come back', async (t) => {
  const script = newScript();
  const broker = await startBroker(t, { servers: { s: script.definition }, args: ['--workers', '1'] });
  await broker.untilState('s', 'listening');
  const pid = pidOf(broker, 's');
  const worker = await broker.workerPid(0);
  const [spawner] = childrenOf(worker);
  assert.equal(parentOf(parentOf(pid)), spawner);
  process.kill(spawner, 'SIGKILL');
  await until('another worker', async () => (await broker.workerPid(0)) !== worker && pidsOf(broker, 's').length === 2);
  await broker.untilState('s', 'listening');
  assert.equal(isAlive(pid), false);
  assert.deepEqual(endsOf(broker, 's'), ['exited with code 0']);
});

test('stopping ends the whole process group, politely first', async (t) => {
  const [good, stubborn] = [newScript(), newScript(['stubborn'])];
  const family = { ...good.definition, command: 'sh', args: ['-c', 'sleep 1000 & exec "$0" "$@"', node, stdioScript] };
  const servers = { family, good: good.definition, stubborn: stubborn.definition, modern: { command: node, args: [stdioStateless] } };
  const broker = await startBroker(t, { servers, args: ['--workers', '1'] });
  for (const id of Object.keys(servers)) await broker.untilState(id, 'listening');
  const pids = Object.keys(servers).map((id) => pidOf(broker, id));
  const [sleep] = childrenOf(pids[0]);
  assert.equal(groupOf(sleep), pids[0]);
  assert.deepEqual(await broker.stop(), { code: 0, signal: null });
  assert.deepEqual([...pids, sleep].filter(isAlive), []);
  assert.deepEqual(endsOf(broker, 'good'), ['exited with code 0']);
  assert.deepEqual(endsOf(broker, 'modern'), ['exited with code 0']);
  assert.deepEqual(endsOf(broker, 'stubborn'), ['killed by SIGKILL']);
  assert.equal(stubborn.read('signals'), 'SIGTERM\n');
  assert.deepEqual(broker.log('stdio.keeper_died'), []);
});

test('a server that is no longer wanted leaves, the others stay', async (t) => {
  const [kept, gone] = [newScript(), newScript()];
  const broker = await startBroker(t, { servers: { kept: kept.definition, gone: gone.definition }, args: ['--workers', '1'] });
  await broker.untilState('kept', 'listening');
  await broker.untilState('gone', 'listening');
  await broker.writeServers({ kept: kept.definition });
  await until('it to leave', () => endsOf(broker, 'gone').length === 1);
  assert.equal(pidsOf(broker, 'kept').length, 1);
  assert.ok(isAlive(pidOf(broker, 'kept')));
});

test('a server sees a clean environment, its own folder, and no descriptor that is not its own', async (t) => {
  const script = newScript();
  const shell = {
    command: 'sh', args: ['-c', '(exec ls /proc/$$/fd > descriptors); ulimit -n > files; exec "$@"', 'sh', node, stdioScript, 'report', 'two words', ''],
    env: { TOKEN: '${TEST_TOKEN}', LC_TIME: 'C' }, cwd: script.cwd,
  };
  const broker = await startBroker(t, {
    servers: { s: shell }, args: ['--workers', '1'],
    env: { TEST_TOKEN: 'a-secret-token', LC_TIME: 'de_DE', LC_ALL: 'C.UTF-8', LD_LIBRARY_PATH: '/nowhere', NODE_OPTIONS: '' },
  });
  await broker.untilState('s', 'listening');
  const { env, args, cwd } = JSON.parse(script.read('world.json'));
  const allowed = ['PATH', 'HOME', 'USER', 'LOGNAME', 'SHELL', 'TMPDIR', 'TZ', 'LANG', 'LC_ALL'];
  const shells = ['PWD', 'OLDPWD', 'SHLVL', '_'];
  assert.deepEqual(Object.keys(env).filter((name) => ![...allowed, ...shells, 'TOKEN', 'LC_TIME'].includes(name)), []);
  assert.equal(env.TOKEN, 'a-secret-token');
  assert.equal(env.LC_TIME, 'C');
  assert.equal(env.LC_ALL, 'C.UTF-8');
  assert.equal(env.PATH, process.env.PATH);
  assert.deepEqual(args, ['report', 'two words', '']);
  assert.equal(cwd, script.cwd);
  assert.deepEqual(script.read('descriptors').split('\n').filter(Boolean), ['0', '1', '2']);
  assert.ok(Number(script.read('files')) <= 1024);
  assert.doesNotMatch(broker.main.stderr, /a-secret-token/);
});

test('its standard error is in the log, with its id, and not too much of it', async (t) => {
  const script = newScript(['errors', 'last-words', 'exit'], { env: { SECRET: 'said-by-itself' } });
  script.definition.args.push('--token=argument-7d41e09b');
  const broker = await startBroker(t, { servers: { s: script.definition }, args: ['--workers', '1', '--max-attempts', '1'] });
  await broker.untilState('s', 'failed');
  const lines = broker.log('stdio.stderr');
  assert.ok(lines.length >= 20 && lines.length % 20 === 0);
  assert.equal(lines[0].server, 's');
  assert.match(lines[0].text, /^line 0 .*\*{14} .*--token=\*{17}/);
  assert.doesNotMatch(broker.main.stderr, /said-by-itself|argument-7d41e09b/);
  await until('the number left out', () => broker.log('stdio.stderr_left_out').length > 0);
  assert.equal(broker.log('stdio.stderr_left_out')[0].lines, 81);
});

/** Answers a list with one write of long and short lines, each of which asks something, and notes the order of the replies. */
const wordy = `
  const { appendFileSync } = require('node:fs');
  const say = (...messages) => process.stdout.write(messages.map((each) => JSON.stringify({ jsonrpc: '2.0', ...each }) + '\\n').join(''));
  const padding = 'x'.repeat(200000), capabilities = { tools: { listChanged: true } };
  const ping = (id, size) => ({ id, method: 'ping', params: { padding: padding.slice(0, size) } });
  let lists = 0;
  require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
    const { id, method, result } = JSON.parse(line);
    if (result) return appendFileSync('replies', id + ' ');
    if (method === 'initialize') return say({ id, result: { protocolVersion: '2025-11-25', capabilities, serverInfo: { name: 's', version: '1' } } });
    if (method !== 'tools/list') return id === undefined || say({ id, error: { code: -32601, message: 'no such method' } });
    const tools = Array.from({ length: ++lists }, (_, i) => ({ name: 'tool-' + i, description: padding, inputSchema: { type: 'object' } }));
    if (lists > 1) return say({ id, result: { tools } });
    say(ping(1, 0), { id, result: { tools } }, ping(2, 0), ping(3, 34000), ping(4, 0), ping(5, 33000), ping(6, 0), ping(7, 200000),
      { method: 'notifications/tools/list_changed' });
  });`;

test('long lines, which are parsed beside the loop, are heard in their order with the short ones', async (t) => {
  const script = newScript();
  const definition = { command: node, args: ['-e', wordy], cwd: script.cwd };
  const broker = await startBroker(t, { servers: { s: definition }, args: ['--workers', '1', '--coalesce', '0'] });
  await until('the list after the last line', async () => (await broker.ask('show', 's')).toolCount === 2);
  await until('all replies', () => script.read('replies').split(' ').length === 8);
  assert.equal(script.read('replies'), '1 2 3 4 5 6 7 ');
  assert.deepEqual(broker.log('stdio.junk'), []);
});

const patient = { timeout: 10_000 };
const odd = {
  'junk on standard output': { behaviour: ['junk'] },
  'CRLF': { behaviour: ['crlf'] },
  'an exit on the probe': { behaviour: ['exit-on-probe'], starts: 2 },
  'silence on the probe': { behaviour: ['silent-on-probe'], more: { timeout: 3000 } },
  'an error without an id on the probe': { behaviour: ['no-id-on-probe'] },
  'requests of its own': { behaviour: ['ping'] },
};

test('servers that take liberties are listened to', async (t) => {
  const ids = Object.keys(odd);
  const scripts = ids.map((id) => newScript(odd[id].behaviour, odd[id].more ?? patient));
  const broker = await startBroker(t, {
    servers: Object.fromEntries(ids.map((id, i) => [id, scripts[i].definition])), args: ['--workers', '1'],
  });
  await Promise.all(ids.map((id, i) => t.test(id, async () => {
    const shown = await broker.untilState(id, 'listening');
    assert.equal(shown.era, 'session');
    assert.equal(shown.protocolVersion, '2025-06-18');
    assert.equal(shown.reconnectAttempts, 0);
    assert.equal(pidsOf(broker, id).length, odd[id].starts ?? 1);
    await until('its list', async () => (await broker.ask('show', id)).toolCount === 1);
    const { generation } = await broker.ask('show', id);
    scripts[i].write('tools.json', ['one', 'two']);
    process.kill(pidOf(broker, id), 'SIGUSR2');
    await until('the change', async () => (await broker.ask('show', id)).generation > generation);
  })));
  const answers = scripts[ids.indexOf('requests of its own')].heard().filter((each) => !each.method);
  assert.deepEqual(answers.find((each) => each.id === 'ping-1').result, {});
  assert.equal(answers.find((each) => each.id === 0).error.code, -32601);
  assert.equal(broker.log('stdio.junk').length, 1);
});

const bad = {
  'no such command': { definition: { command: 'no-such-command' }, error: /^command no-such-command: No such file/ },
  'no program': { definition: { command: '/etc/passwd' }, error: /^command passwd: Permission denied/ },
  'no such folder': { definition: { command: node, cwd: '/no/such/folder' }, error: /^cwd: No such file/ },
  'a program that ends': { definition: { command: 'sh', args: ['-c', 'exit 5'] }, error: /^exited with code 5/ },
  'a program that is none': { definition: { command: 'sleep', args: ['1000'], timeout: 600 }, error: /^initialize: timed out after 600ms/ },
  'an exit': { behaviour: ['exit'], error: /^exited with code 7/ },
  'a crash': { behaviour: ['crash'], error: /^killed by SIGSEGV/ },
  'a line without end': { behaviour: ['long-line'], error: /longer than --max-line/ },
  'a flood of junk': { behaviour: ['flood'], error: /not that of an MCP server/ },
  'a server that does not read': { behaviour: ['deaf'], error: /^it does not read its standard input/ },
  'a closed output': { behaviour: ['close', 'stubborn'], error: /^it closed its standard output/ },
};

test('servers that are none get a clear error, and are asked again', async (t) => {
  const ids = Object.keys(bad);
  const definitions = ids.map((id) => bad[id].definition ?? newScript(bad[id].behaviour, patient).definition);
  const broker = await startBroker(t, {
    servers: Object.fromEntries(ids.map((id, i) => [id, definitions[i]])),
    args: ['--workers', '1', '--max-attempts', '2', '--max-requests', '1000000'],
  });
  await Promise.all(ids.map((id) => t.test(id, async () => {
    await reach(broker, id, bad[id].error);
    await broker.untilState(id, 'failed', 40_000);
  })));
  const starts = pidsOf(broker, 'a program that ends').length;
  assert.ok(starts <= 4, `two attempts of two starts at most, not ${starts}`);
  await until('nobody to be left', () => broker.log('stdio.started').every((each) => !isAlive(each.server_pid)));
});

test('a server that tells of no changes is polled', async (t) => {
  const definition = { command: node, args: [stdioStateless, 'mute'] };
  const broker = await startBroker(t, {
    servers: { mute: definition, polled: { ...newScript().definition, ...definition, poll: '1s' } }, args: ['--workers', '1'],
  });
  const mute = await broker.untilState('mute', 'unsupported');
  assert.match(mute.lastError, /honours none/);
  await broker.untilState('polled', 'polling');
  await until('its list', async () => (await broker.ask('show', 'polled')).toolCount === 1);
  await until('a second poll', () => endsOf(broker, 'polled').length >= 2);
  assert.deepEqual([...new Set(endsOf(broker, 'polled'))], ['exited with code 0']);
  assert.equal((await broker.ask('show', 'polled')).lastError, null);
});

test('a server cannot be started at run time', async (t) => {
  const broker = await startBroker(t, { args: ['--workers', '1'] });
  const { code, stderr } = await broker.ctl(['connect', '-'], { input: JSON.stringify({ serverId: 's', command: 'sh' }) });
  assert.notEqual(code, 0);
  assert.match(stderr, /servers file only/);
});
