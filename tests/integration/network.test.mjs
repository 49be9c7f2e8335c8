// The way to a server: TLS and its certificates, HTTP/2, IPv6, proxies, compressed bodies, names.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { bin, startBroker } from './lib/broker.mjs';
import { overHttp2, overTls, startAuthority } from './lib/certificates.mjs';
import { jsonType, startHostileServer } from './lib/hostile.mjs';
import { run } from './lib/process.mjs';
import { startProxyServer } from './lib/proxy.mjs';
import { until } from './lib/wait.mjs';

const quick = ['--workers', '1', '--max-attempts', '2', '--coalesce', '0'];
const toolsOf = (x) => ({ jsonrpc: '2.0', id: x.id, result: { tools: x.server.tools.map((name) => ({ name, inputSchema: { type: 'object' } })) } });

/** It is listened to, its list is known, and a change of it is heard. */
async function works(broker, id, server) {
  await broker.untilTools(id, 2);
  const { generation } = await broker.ask('show', id);
  server.change();
  await until('the change', async () => (await broker.ask('show', id)).generation > generation);
}

async function failsWith(broker, id, pattern, server) {
  const { lastError } = await broker.untilState(id, 'failed');
  assert.match(lastError, pattern);
  if (server) assert.deepEqual(server.requests, [], 'nothing was sent');
}

test('TLS: certificates are verified, and what is wrong with one is told', async (t) => {
  const [authority, stranger] = await Promise.all([startAuthority(t), startAuthority(t)]);
  const { caFile } = authority;
  const startTls = async (options, overIt = overTls) => startHostileServer(t, overIt(await authority.issue(options)));
  const [good, other, expired, fast] = await Promise.all([
    startTls(), startTls({ names: 'DNS:example.com,IP:127.0.0.2' }), startTls({ days: -1 }), startTls({}, overHttp2),
  ]);
  const fastStateless = await startHostileServer(t, { era: 'stateless', ...overHttp2(await authority.issue()) });
  const noTls = await startHostileServer(t);
  const broker = await startBroker(t, {
    servers: {
      good: { url: good.url, caFile },
      unknown: { url: good.url.replace('/mcp', '/other') },
      'another-authority': { url: good.url.replace('/mcp', '/other'), caFile: stranger.caFile },
      'wrong-host': { url: other.url, caFile },
      expired: { url: expired.url, caFile },
      'no-tls': { url: noTls.url.replace('http:', 'https:'), caFile },
      fast: { url: fast.url, caFile },
      'fast-stateless': { url: fastStateless.url, caFile },
    },
    args: quick,
  });

  await t.test('a server whose authority is in caFile', () => works(broker, 'good', good));
  await t.test('an authority that the system does not know', () =>
    failsWith(broker, 'unknown', /no TLS with 127\.0\.0\.1:\d+: .*issuer certificate/));
  await t.test('an authority that is not in caFile', () =>
    failsWith(broker, 'another-authority', /no TLS with 127\.0\.0\.1:\d+: .*(issuer certificate|self.signed|signature)/));
  await t.test('a certificate of another host', () =>
    failsWith(broker, 'wrong-host', /no TLS with 127\.0\.0\.1:\d+: .*no alternative certificate subject name matches/, other));
  await t.test('a certificate that has expired', () =>
    failsWith(broker, 'expired', /no TLS with 127\.0\.0\.1:\d+: .*expired/, expired));
  await t.test('a server without TLS', () => failsWith(broker, 'no-tls', /no TLS with 127\.0\.0\.1:\d+: /, noTls));
  await t.test('nothing was sent to a server that was not verified', () =>
    assert.ok(good.requests.every(({ path }) => path === '/mcp')));
  for (const [id, server] of [['fast', fast], ['fast-stateless', fastStateless]]) {
    await t.test(`HTTP/2 where it is offered: ${id}`, async () => {
      await works(broker, id, server);
      assert.ok(server.requests.every(({ headers }) => headers[':path'] === '/mcp'));
    });
  }
  const found = async (definition) => {
    const { stdout } = await run(join(bin, 'mcp-brokerctl'), ['--json', 'probe', '-', '--wait', '0s'], { input: JSON.stringify(definition) });
    const { reachable, http, tls, tlsVersion, tlsCipher } = JSON.parse(stdout);
    return [reachable, http, tls, tlsVersion, tlsCipher];
  };
  await t.test('a probe tells of both, and what was agreed upon', async () => {
    const old = await startTls({}, (keys) => overTls({ ...keys, maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' }));
    assert.deepEqual(await found({ url: fast.url, caFile }), [true, 'HTTP/2', 'verified', 'TLSv1.3', 'TLS_AES_256_GCM_SHA384']);
    assert.deepEqual(await found({ url: old.url, caFile }), [true, 'HTTP/1.1', 'verified', 'TLSv1.2', 'ECDHE-ECDSA-AES128-GCM-SHA256']);
  });
  await t.test('a probe tells TLS that was not verified from TLS that failed, and from none', async () => {
    for (const url of [good.url, other.url, expired.url]) {
      assert.deepEqual(await found({ url }), [true, null, 'not verified', null, null], url);
    }
    assert.deepEqual(await found({ url: noTls.url.replace('http:', 'https:') }), [true, null, 'failed', null, null]);
    assert.deepEqual(await found({ url: 'https://127.0.0.1:1/mcp' }), [false, null, null, null, null]);
  });
});

/** Whether a process holds streams outside of libcurl. Both have sets of their own within that of the loop; libcurl's sockets stand in
 * theirs by number, parked ones by where they belong to. */
function parks(pid) {
  const sets = readdirSync(`/proc/${pid}/fd`).filter((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`).includes('[eventpoll]'));
  const entries = new Map(sets.map((set) => [set,
    [...readFileSync(`/proc/${pid}/fdinfo/${set}`, 'utf8').matchAll(/^tfd:\s*(\d+) .*data:\s*([0-9a-f]+)/gm)]]));
  const inner = [...entries.values()].flat().map(([, fd]) => fd).filter((fd) => entries.has(fd));
  return inner.flatMap((set) => entries.get(set)).some(([, fd, data]) => parseInt(data, 16) !== Number(fd));
}

test('streams over TLS are parked, and no event is lost, with and without', async (t) => {
  const authority = await startAuthority(t);
  const { caFile } = authority;
  for (const overIt of [overTls, overHttp2]) {
    for (const flags of [[], ['--no-park']]) {
      await t.test(`${overIt.name} ${flags}`, async (t) => {
        const keys = await authority.issue();
        const servers = { session: await startHostileServer(t, overIt(keys)), stateless: await startHostileServer(t, { era: 'stateless', ...overIt(keys) }) };
        const definitions = Object.fromEntries(Object.entries(servers).map(([id, { url }]) => [id, { url, caFile }]));
        const broker = await startBroker(t, { servers: definitions, args: [...quick, '--debuggable', ...flags] });
        for (const [id, server] of Object.entries(servers)) await works(broker, id, server);
        for (let i = 0; i < 5; i++) {
          for (const [id, server] of Object.entries(servers)) await works(broker, id, server);
        }
        await sleep(1300); // what is silent for a second is folded, and can't tell
        for (const [id, server] of Object.entries(servers)) await works(broker, id, server);
        const [{ pid }] = (await broker.ask('workers')).workers;
        assert.equal(parks(pid), overIt === overTls && flags.length === 0);
      });
    }
  }
});

const hasIpv6 = Object.values(networkInterfaces()).flat().some(({ address }) => address === '::1');
test('IPv6', { skip: !hasIpv6 && 'this machine has none' }, async (t) => {
  const server = await startHostileServer(t, { host: '::1' });
  const broker = await startBroker(t, { servers: { s: { url: server.url } }, args: quick });
  await works(broker, 's', server);
});

test('names: one that does not resolve, and localhost', async (t) => {
  const server = await startHostileServer(t);
  const broker = await startBroker(t, {
    servers: { nowhere: { url: 'http://no-such-host.invalid/mcp' }, local: { url: server.url.replace('127.0.0.1', 'localhost') } },
    args: quick,
  });
  await works(broker, 'local', server);
  // without any resolver to ask, it is the time that runs out
  await failsWith(broker, 'nowhere', /no address for the host of no-such-host\.invalid/);
});

test('names: slow ones, one that is never answered, one that is answered too late', async (t) => {
  const servers = Object.fromEntries(await Promise.all(
    ['well', 'slow', 'never', 'late'].map(async (id) => [id, await startHostileServer(t)])));
  const urls = { well: '127.0.0.1', slow: 'after-700.test', never: 'never.test', late: 'after-6000.test' };
  const broker = await startBroker(t, {
    servers: Object.fromEntries(Object.entries(urls).map(([id, host]) => [id, { url: servers[id].url.replace('127.0.0.1', host), timeout: 3000 }])),
    args: quick,
    env: {
      LD_PRELOAD: join(bin, 'libslow_resolver.so'),
      ASAN_OPTIONS: 'verify_asan_link_order=0', // a sanitizer wants to come before what is preloaded
    },
  });
  await works(broker, 'slow', servers.slow); // for each of its requests
  for (const id of ['never', 'late']) {
    await failsWith(broker, id, /^subscriptions\/listen: no address for the host of \S+\.test:\d+ within 3s$/, servers[id]);
  }
  await broker.ask('reconnect', 'never');
  await broker.untilState('never', 'connecting');
  await works(broker, 'well', servers.well); // whatever the others wait for
  for (const { loopLagUs } of (await broker.ask('workers')).workers) assert.ok(loopLagUs < 600_000, `${loopLagUs} us`);
  const stopping = performance.now();
  await broker.stop();
  assert.ok(performance.now() - stopping < 8000, 'nobody waits for the name server at the end');
});

test('compressed bodies are read, streams are not asked to be compressed', async (t) => {
  const zip = (x, text) => x.send(200, { ...jsonType, 'Content-Encoding': 'gzip' }, gzipSync(text));
  const server = await startHostileServer(t, { on: { 'tools/list': (x) => zip(x, JSON.stringify(toolsOf(x))) } });
  const bomb = await startHostileServer(t, { on: { 'tools/list': (x) => zip(x, ' '.repeat(64 * 1024 * 1024)) } });
  const broker = await startBroker(t, { servers: { s: { url: server.url }, bomb: { url: bomb.url } }, args: quick });
  await works(broker, 's', server);
  for (const { step, headers } of server.requests) {
    const accepted = headers['accept-encoding'];
    if (step === 'GET' || step === 'subscriptions/listen') assert.equal(accepted, undefined);
    else assert.match(accepted, /gzip/, step);
  }
  const shown = await until('the error', async () => {
    const row = await broker.ask('show', 'bomb');
    return row.lastError && row;
  });
  assert.match(shown.lastError, /tools\/list: the answer from .* unpacks to more than 200 times/);
  assert.deepEqual([shown.state, shown.toolCount], ['listening', null]);
});

test('a proxy from the servers file', async (t) => {
  const [authority, proxy, refusing] = await Promise.all([startAuthority(t), startProxyServer(t), startProxyServer(t)]);
  const plain = await startHostileServer(t);
  const secure = await startHostileServer(t, overTls(await authority.issue()));
  refusing.refuse = 403;
  const broker = await startBroker(t, {
    servers: {
      plain: { url: plain.url, proxy: proxy.url },
      secure: { url: secure.url, caFile: authority.caFile, proxy: proxy.url },
      refused: { url: secure.url, caFile: authority.caFile, proxy: refusing.url },
      gone: { url: plain.url, proxy: 'http://127.0.0.1:1' },
    },
    args: quick,
  });
  await works(broker, 'plain', plain);
  await works(broker, 'secure', secure);
  const { host } = new URL(secure.url);
  const isAbsolute = ({ method, target }) => method !== 'CONNECT' && target === plain.url;
  assert.ok(proxy.requests.every((each) => isAbsolute(each) || (each.method === 'CONNECT' && each.target === host)));
  assert.ok(proxy.requests.some(isAbsolute) && proxy.requests.some(({ method }) => method === 'CONNECT'));
  assert.ok(proxy.requests.filter(({ method }) => method === 'CONNECT').every(({ headers }) => !headers['mcp-method']));
  await failsWith(broker, 'refused', /proxy does not connect to 127\.0\.0\.1:\d+: status 403/);
  await failsWith(broker, 'gone', /connection refused by the proxy for 127\.0\.0\.1:/);
});

test('a proxy from the environment; a definition can do without it', async (t) => {
  const proxy = await startProxyServer(t);
  const [server, direct] = await Promise.all([startHostileServer(t), startHostileServer(t)]);
  const broker = await startBroker(t, {
    servers: { s: { url: server.url }, direct: { url: direct.url, proxy: '' } },
    args: quick, env: { http_proxy: proxy.url, no_proxy: '' },
  });
  await works(broker, 's', server);
  await works(broker, 'direct', direct);
  assert.ok(proxy.requests.length > 0);
  assert.ok(proxy.requests.every(({ target }) => target === server.url));
});
