// What machines look at: /metrics, /healthz and /readyz, who may, and that dashboard and alerts ask for what there is.
// And what an operator changes at run time: the level of the log, and the record of it.
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, request } from 'node:http';
import { connect } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import test from 'node:test';
import { bin, newSite, startBroker } from './lib/broker.mjs';
import { run } from './lib/process.mjs';
import { startRedis } from './lib/redis.mjs';
import { startSessionServer } from './lib/servers.mjs';
import { until } from './lib/wait.mjs';

const monitoring = resolve('../../scripts/monitoring');
const token = 'a-token-of-this-test-0123456789';

/** {status, headers, body} of one request. */
const get = (port, path, { host = '127.0.0.1', method = 'GET', headers } = {}) =>
  new Promise((done, failed) => {
    const asked = request({ host, port, path, method, headers, agent: false }, (answer) => {
      let body = '';
      answer.setEncoding('utf8').on('data', (text) => (body += text));
      answer.on('end', () => done({ status: answer.statusCode, headers: answer.headers, body }));
    });
    asked.on('error', failed);
    asked.setTimeout(20_000, () => asked.destroy(new Error('no answer')));
    asked.end();
  });

/** The port that the broker tells in its log. */
const portOf = (broker) => Number(broker.log('http.open').at(-1).address.match(/:(\d+)$/)[1]);

/** The metrics as {'name{labels}': number}. */
async function scrape(port, options) {
  const { status, headers, body } = await get(port, '/metrics', options);
  assert.equal(status, 200, body);
  assert.match(headers['content-type'], /^text\/plain; version=0\.0\.4/);
  const lines = body.split('\n').filter((line) => line && !line.startsWith('#'));
  return { text: body, values: Object.fromEntries(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))])) };
}

async function tokenFile(t, text = `${token}\n`) {
  const folder = await mkdtemp(join(tmpdir(), 'mcp-broker-token-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  await writeFile(join(folder, 'token'), text, { mode: 0o600 });
  return join(folder, 'token');
}

test('metrics tell what happened, and promtool has nothing to say against them', async (t) => {
  const redis = await startRedis(t);
  const server = await startSessionServer(t);
  const broker = await startBroker(t, {
    servers: { s: { url: server.url }, dead: { url: 'http://127.0.0.1:9/mcp' } },
    args: ['--redis', redis.url, '--workers', '1', '--http', '127.0.0.1:0'],
  });
  const port = portOf(broker);
  await broker.untilState('s', 'listening');
  server.addTool('two');
  await until('the event to be published', async () => (await broker.ask('show', 's')).published === 1);
  const { text, values } = await until('the rows to be counted anew', async () => {
    const scraped = await scrape(port);
    const counted = scraped.values['mcp_broker_received_bytes_total{worker="0"}'] > 0; // told once a second
    return counted && scraped.values['mcp_broker_connections{worker="0",era="session",state="listening"}'] === 1 ? scraped : false;
  });
  assert.equal(values['mcp_broker_servers{state="listening"}'], 1);
  assert.equal(values['mcp_broker_servers{state="refused"}'], 0);
  assert.equal(values['mcp_broker_events_published_total{reason="notification"}'], 1);
  assert.equal(values['mcp_broker_publish_latency_seconds_count'], 1);
  assert.equal(values['mcp_broker_publish_latency_seconds_bucket{le="+Inf"}'], 1);
  assert.ok(values['mcp_broker_publish_latency_seconds_sum'] < 5);
  assert.equal(values['mcp_broker_notifications_total{worker="0"}'], 1);
  assert.ok(values['mcp_broker_list_fetches_total{worker="0"}'] >= 1);
  assert.equal(values['mcp_broker_redis_state{state="up"}'], 1);
  assert.equal(values['mcp_broker_workers_running'], 1);
  assert.equal(values['mcp_broker_process_starts_total{process="hub"}'], 1);
  assert.equal(values['mcp_broker_servers_file_good'], 1);

  const checked = await run('promtool', ['check', 'metrics'], { input: text });
  assert.equal(checked.code, 0, checked.stdout + checked.stderr);
  assert.equal(checked.stderr, '');

  server.cutStreams();
  await until('the stream to be opened again', async () => {
    const now = (await scrape(port)).values;
    return now['mcp_broker_reconnects_total{worker="0"}'] >= 1 &&
      now['mcp_broker_closes_total{worker="0",reason="stream_ended"}'] >= 1;
  });
  process.kill(await broker.workerPid(0), 'SIGKILL');
  await until('the replacement to be counted', async () =>
    (await scrape(port)).values['mcp_broker_process_starts_total{process="worker-0"}'] === 2);
});

test('every metric that dashboards may rely on is there, of its type, with its labels', async (t) => {
  const server = await startSessionServer(t);
  const broker = await startBroker(t, { servers: { s: { url: server.url } }, args: ['--workers', '1', '--http', '127.0.0.1:0'] });
  await broker.untilState('s', 'listening');
  const promised = {
    gauge: ['build_info{version=', 'connections{worker=,era=,state=', 'loop_lag_seconds{process=', 'redis_state{state=', 'servers{state=',
      'events_unpublished'],
    counter: ['connects_total{worker=', 'closes_total{worker=,reason=', 'reconnects_total{worker=', 'notifications_total{worker=',
      'events_published_total{reason=', 'notifications_suppressed_total{worker=', 'notifications_coalesced_total{worker=', 'nng_gaps_total',
      'nng_repairs_total', 'list_fetches_total{worker=', 'received_bytes_total{worker=', 'process_starts_total{process='],
    histogram: ['publish_latency_seconds', 'verification_age_seconds'],
  };
  const { text } = await until('the connection to be counted', async () => {
    const scraped = await scrape(portOf(broker));
    return /mcp_broker_connections\{.*"listening"\} 1/.test(scraped.text) && scraped;
  });
  for (const [type, series] of Object.entries(promised)) {
    for (const each of series) {
      const [name, labels = ''] = each.split('{');
      assert.match(text, new RegExp(`^# TYPE mcp_broker_${name} ${type}$`, 'm'), each);
      const wanted = labels ? `\\{${labels.split(',').map((label) => `${label}"[^"]*"`).join(',')}\\}` : type === 'histogram' ? '_bucket\\{le="[^"]*"\\}' : '';
      assert.match(text, new RegExp(`^mcp_broker_${name}${wanted} [0-9.e+-]+$`, 'm'), each);
    }
  }
});

test('dashboard and alerts are right, and ask only for metrics that there are', async (t) => {
  const checked = await run('promtool', ['check', 'rules', join(monitoring, 'alerts.yml')]);
  assert.equal(checked.code, 0, checked.stdout + checked.stderr);
  const broker = await startBroker(t, { servers: {}, args: ['--workers', '1', '--http', '127.0.0.1:0'] });
  const { text } = await scrape(portOf(broker));
  const names = new Set([...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name));
  const dashboard = await readFile(join(monitoring, 'dashboard.json'), 'utf8');
  const asked = JSON.parse(dashboard).panels.flatMap((panel) => panel.targets.map((target) => target.expr));
  for (const [name] of `${asked.join('\n')}\n${await readFile(join(monitoring, 'alerts.yml'), 'utf8')}`.matchAll(/mcp_broker_\w+/g)) {
    assert.ok(names.has(name.replace(/_(bucket|count|sum)$/, '')) || names.has(name), `there is no ${name}`);
  }
});

test('readyz says what is missing', async (t) => {
  const redis = await startRedis(t);
  const broker = await startBroker(t, { args: ['--redis', redis.url, '--workers', '1', '--http', 'localhost:0'] });
  const port = portOf(broker);
  const alive = await get(port, '/healthz');
  assert.equal(alive.status, 200);
  assert.equal(JSON.parse(alive.body).ok, true);
  await until('it to be ready', async () => (await get(port, '/readyz')).status === 200);
  const { checks } = JSON.parse((await get(port, '/readyz')).body);
  assert.deepEqual(Object.keys(checks), ['hub', 'workers', 'registry', 'redis']);
  for (const check of Object.values(checks)) assert.ok(check.ok && check.reason);
  await redis.stop();
  const down = await until('it not to be ready', async () => {
    const answer = await get(port, '/readyz');
    return answer.status === 503 ? JSON.parse(answer.body) : false;
  });
  assert.equal(down.ready, false);
  assert.equal(down.checks.redis.ok, false);
  assert.equal(down.checks.workers.ok, true);
  assert.equal((await get(port, '/healthz')).status, 200);
  await redis.start();
  await until('it to be ready again', async () => (await get(port, '/readyz')).status === 200);
});

test('only GET, only three paths, only by a name of this machine', async (t) => {
  const broker = await startBroker(t, { args: ['--workers', '1', '--http', '127.0.0.1:0'] });
  const port = portOf(broker);
  for (const method of ['POST', 'PUT', 'DELETE', 'HEAD', 'OPTIONS']) {
    const { status, headers } = await get(port, '/metrics', { method });
    assert.equal(status, 405, method);
    assert.equal(headers.allow, 'GET');
  }
  for (const path of ['/', '/metrics/', '/metrics/../readyz', '/servers']) {
    assert.equal((await get(port, path)).status, 404, path);
  }
  for (const host of [`localhost:${port}`, `LOCALHOST:${port}`, `127.0.0.1:${port}`, `[::1]:${port}`]) {
    assert.equal((await get(port, '/healthz', { headers: { host } })).status, 200, host);
  }
  for (const host of ['evil.example', `evil.example:${port}`, 'localhost', `localhost:${port + 1}`, `localhost:${port}x`, `localhost.evil.example:${port}`]) {
    assert.equal((await get(port, '/healthz', { headers: { host } })).status, 421, host);
  }
  const nameless = connect(port, '127.0.0.1').setEncoding('utf8').end('GET /healthz HTTP/1.0\r\n\r\n');
  let said = '';
  for await (const text of nameless) said += text;
  assert.match(said, /^HTTP\/1\.\d 421 /);
});

test('a crowd of silent connections does not keep others out for ever, nor the hub from its work', async (t) => {
  const broker = await startBroker(t, { args: ['--workers', '1', '--http', '127.0.0.1:0'] });
  const port = portOf(broker);
  const crowd = Array.from({ length: 100 }, () => connect(port, '127.0.0.1').on('error', () => {}));
  t.after(() => crowd.forEach((socket) => socket.destroy()));
  crowd[0].write(`GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nX: ${'x'.repeat(100_000)}`);
  assert.equal((await broker.ctl(['ping'])).code, 0);
  await until('the time of the crowd to be over', async () => (await get(port, '/healthz')).status === 200, 30_000);
});

test('where a token is wanted, nothing goes without it', async (t) => {
  const file = await tokenFile(t);
  const broker = await startBroker(t, { args: ['--workers', '1', '--http', '0.0.0.0:0', '--http-token-file', file] });
  const port = portOf(broker);
  const outside = Object.values(networkInterfaces()).flat().find((each) => each.family === 'IPv4' && !each.internal);
  const host = outside?.address ?? '127.0.0.1';
  for (const authorization of [undefined, '', 'Bearer', 'Bearer ', `Bearer ${token}x`, `Bearer ${token.slice(1)}`, `Basic ${token}`, token]) {
    const { status, headers } = await get(port, '/metrics', { host, headers: authorization === undefined ? {} : { authorization } });
    assert.equal(status, 401, String(authorization));
    assert.equal(headers['www-authenticate'], 'Bearer');
  }
  await scrape(port, { host, headers: { authorization: `Bearer ${token}` } });

  await writeFile(file, 'another-token-of-this-test\n');
  assert.equal((await broker.ctl(['reload'])).code, 0);
  await until('the new token to be good', async () =>
    (await get(port, '/healthz', { headers: { authorization: 'Bearer another-token-of-this-test' } })).status === 200);
  assert.equal((await get(port, '/healthz', { headers: { authorization: `Bearer ${token}` } })).status, 401);
  assert.doesNotMatch(broker.main.stderr, /token-of-this-test/);
});

test('an address that is wrong, open to others, or taken is refused before anything starts', async (t) => {
  const taken = createServer().listen(0, '127.0.0.1');
  await new Promise((listening) => taken.once('listening', listening));
  t.after(() => taken.close());
  for (const [flags, pattern] of [
    [['--http', '9464'], /--http:.*ADDR:PORT/],
    [['--http', 'example.com:9464'], /--http:.*ADDR:PORT/],
    [['--http', '0.0.0.0:0'], /--http:.*--http-token-file/],
    [['--http', '[::]:0'], /--http:.*--http-token-file/],
    [['--http', '127.0.0.1:0', '--http-token-file', '/no/such/file'], /--http-token-file:.*No such file/],
    [['--http', '127.0.0.1:0', '--http-token-file', await tokenFile(t, 'short')], /--http-token-file:.*16/],
    [['--http', `127.0.0.1:${taken.address().port}`], /--http:.*in use/],
    [['--http', '192.0.2.1:9464', '--http-token-file', await tokenFile(t)], /--http:.*assign/],
  ]) {
    const site = await newSite(t);
    const ended = await run(join(bin, 'mcp-broker'), [...site.flags, ...flags], { env: { ...process.env, REDIS_URL: '' } });
    assert.equal(ended.code, 78, `${flags.join(' ')}: ${ended.stderr}`);
    assert.match(ended.stderr, pattern);
    assert.doesNotMatch(ended.stderr, /child\./, 'nothing was started');
  }
});

test('a hub that finds its address taken works on without it, until it is free', async (t) => {
  const thief = createServer();
  const take = (port) => new Promise((done) => {
    thief.once('error', () => done(false)).listen(port, '127.0.0.1', () => done(true));
  });
  const give = () => new Promise((done) => thief.close(done));
  await take(0);
  const { port } = thief.address();
  await give();
  const broker = await startBroker(t, { args: ['--workers', '1', '--http', `127.0.0.1:${port}`] });
  const hub = await broker.hubPid();
  t.after(give);
  broker.main.kill('SIGSTOP'); // no other hub before the address is taken
  try {
    process.kill(hub, 'SIGKILL');
    await until('the address to be taken', () => take(port)); // once the last thread of the hub is gone
  } finally {
    broker.main.kill('SIGCONT');
  }
  await until('the new hub to find it taken', () => broker.log('http.closed').length > 0);
  assert.equal((await broker.ctl(['ping'])).code, 0);
  await give();
  await until('it to listen there', () => broker.log('http.open').length === 2, 30_000);
  assert.equal((await get(port, '/healthz')).status, 200);
});

test('the level of the log changes in every process, and stays for those that are started later', async (t) => {
  const server = await startSessionServer(t);
  const broker = await startBroker(t, { servers: { s: { url: server.url } }, args: ['--workers', '1', '--log-level', 'info'] });
  await broker.untilState('s', 'listening');
  assert.equal((await broker.ctl(['log-level', 'loud'])).code, 1);
  const reopen = async () => {
    const { connects } = await broker.ask('show', 's');
    await broker.ctl(['reconnect', 's']);
    await until('another stream', async () => (await broker.ask('show', 's')).connects > connects);
  };
  const setLevel = async (level) => {
    assert.equal((await broker.ctl(['log-level', level])).code, 0);
    await until('the level to be in force', async () =>
      ((await broker.ask('status')).configuration.settings['log-level'] ?? 'info') === level);
  };

  await setLevel('error');
  process.kill(await broker.workerPid(0), 'SIGKILL');
  await until('another worker', async () => (await broker.ask('workers')).workers[0].starts === 2);
  await broker.untilState('s', 'listening');
  await reopen();
  const quiet = broker.log().filter((line) => line.level === 'info').length;
  await broker.ctl(['scale', '2']);
  await reopen();
  assert.equal(broker.log().filter((line) => line.level === 'info').length, quiet);

  await setLevel('info');
  await broker.ctl(['scale', '1']);
  await reopen();
  await until('all of them to write again', () =>
    ['supervisor', 'hub', 'worker-0'].every((role) =>
      broker.log().filter((line) => line.level === 'info').slice(quiet).some((line) => line.role === role)));
});

test('audit lines tell who asked for what, and what came of it', async (t) => {
  const broker = await startBroker(t, { args: ['--workers', '1', '--audit', 'basic'] });
  await broker.ctl(['log-level', 'error']); // audit lines are of no level
  await broker.ctl(['connect', '--id', 'x', '--url', 'http://127.0.0.1:9/mcp?key=planted-secret', '--header', 'Authorization: Bearer planted-secret']);
  await broker.ctl(['scale', '2']);
  await broker.ctl(['disconnect', 'nobody']);
  await broker.ctl(['show', 'x']);
  await broker.ctl(['touch', 'x']);
  const lines = await until('the lines', () => (broker.log('audit').length >= 5 ? broker.log('audit') : false));
  assert.deepEqual(lines.map(({ command, server, value, outcome }) => [command, server, value, outcome]), [
    ['log-level', undefined, 'error', 'ok'],
    ['connect', 'x', undefined, 'waits for a verdict'],
    ['connect', 'x', undefined, 'refused'],
    ['scale', undefined, '2', 'ok'],
    ['disconnect', 'nobody', undefined, 'not_found'],
  ]);
  for (const line of lines) {
    assert.equal(line.level, 'audit');
    assert.equal(line.uid, process.getuid());
    assert.ok(line.pid > 0);
  }
  assert.doesNotMatch(broker.main.stderr, /planted-secret/);
});

for (const [mode, expected] of [['none', []], ['detailed', ['status', 'reload']]]) {
  test(`--audit ${mode} logs ${expected.length ? 'who looks, too' : 'nothing'}`, async (t) => {
    const broker = await startBroker(t, { args: ['--workers', '1', '--audit', mode] });
    await broker.ctl(['status']);
    await broker.ctl(['reload']);
    await until('the reload', () => broker.log('config.reloaded').length > 0);
    assert.deepEqual(broker.log('audit').map((line) => line.command), expected);
  });
}

test('status tells the configuration in force, and when it was read', async (t) => {
  const site = await newSite(t);
  const file = join(site.folder, 'config.json');
  await writeFile(file, JSON.stringify({ 'connect-timeout': '20s', redis: 'redis://user:planted-secret@127.0.0.1:9/3' }));
  const broker = await startBroker(t, { args: ['--workers', '1', '--config', file] });
  const { readAt, settings } = (await broker.ask('status')).configuration;
  assert.ok(Math.abs(Date.now() - readAt) < 60_000);
  assert.equal(settings.workers, 1);
  assert.equal(settings['connect-timeout'], '20s');
  assert.equal(settings.redis, 'redis://127.0.0.1:9/3');
  assert.equal(settings.capacity, undefined);
  await writeFile(file, JSON.stringify({ 'connect-timeout': '25s', redis: 'redis://user:planted-secret@127.0.0.1:9/3' }));
  assert.equal((await broker.ctl(['reload'])).code, 0);
  await until('the new value', async () => {
    const now = (await broker.ask('status')).configuration;
    return now.settings['connect-timeout'] === '25s' && now.readAt > readAt;
  });
  const { stdout } = await broker.ctl(['status']);
  assert.match(stdout, /settings +read .*\n +workers 1\n/);
  assert.doesNotMatch(stdout + broker.main.stderr, /planted-secret/);
});

test('connections that never say what they want hold nobody up once their time is over', async (t) => {
  const broker = await startBroker(t, { args: ['--workers', '1', '--http', '127.0.0.1:0'] });
  const port = portOf(broker);
  const more = 10; // than there may be
  const slow = Array.from({ length: 64 + more }, () => connect(port, '127.0.0.1', function begin() { this.write('GET /healthz HTTP/1.1\r\nHost: '); }).on('error', () => {}));
  t.after(() => slow.forEach((socket) => socket.destroy()));
  await Promise.all(slow.slice(0, 64).map((socket) => new Promise((done) => socket.on('close', done).resume())));
  const { status } = await get(port, '/healthz');
  assert.equal(status, 200);
});
