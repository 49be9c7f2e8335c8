// Where connections may go. Whoever adds a server at run time writes an address in whatever form there is, or has a name,
// a redirect or somebody else's metadata lead there; nothing of it reaches what it must not. Loopback stands for that.
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { bin, startBroker } from './lib/broker.mjs';
import { startHostileServer } from './lib/hostile.mjs';
import { until } from './lib/wait.mjs';

const one = ['--workers', '1', '--max-attempts', '2'];

/** Counts the connections that reach it, on all addresses of the machine. */
async function startTrap(t) {
  const trap = { connections: 0 };
  const server = createServer((socket) => {
    trap.connections++;
    socket.destroy();
  });
  await new Promise((resolve) => server.listen(0, '::', resolve));
  t.after(() => new Promise((resolve) => server.close(resolve)));
  trap.port = server.address().port;
  return trap;
}

const forms = {
  'dotted': '127.0.0.1', 'short': '127.1', 'decimal': '2130706433', 'octal': '0177.0.0.1', 'octal, long': '017700000001',
  'hexadecimal': '0x7f000001', 'hexadecimal parts': '0x7f.0.0.0x1', 'another of the block': '127.9.8.7',
  'unspecified': '0.0.0.0', 'unspecified, short': '0', 'a name': 'localhost', 'a name with a dot': 'localhost.',
  'IPv6': '[::1]', 'IPv6 unspecified': '[::]', 'mapped': '[::ffff:127.0.0.1]', 'mapped, hexadecimal': '[::ffff:7f00:1]',
  'NAT64': '[64:ff9b::7f00:1]', 'compatible': '[::127.0.0.1]', 'zone': '[fe80::1%25lo]', 'private': '10.0.0.1',
  'full width': '１２７.0.0.1', 'percent': '%31%32%37.0.0.1',
};
const metadata = {
  'EC2': '169.254.169.254', 'EC2, decimal': '2852039166', 'EC2, hexadecimal': '0xa9fea9fe', 'EC2, mapped': '[::ffff:169.254.169.254]',
  'EC2, IPv6': '[fd00:ec2::254]', 'ECS': '169.254.170.2', 'Alibaba': '100.100.100.200', 'Azure': '168.63.129.16', 'Oracle': '192.0.0.192',
  'Google, IPv6': '[fd20:ce::254]',
};

test('a server that is added at run time reaches no address of the inside, however it is written', async (t) => {
  const trap = await startTrap(t);
  const broker = await startBroker(t, { args: one });
  for (const [form, host] of Object.entries({ ...forms, ...metadata })) {
    const answer = await broker.connect('s', `http://${host}:${trap.port}/mcp`);
    const shown = (await broker.states()).find(({ serverId }) => serverId === 's');
    if (shown && shown.state !== 'refused') {
      // It is no address at all to who looks it up.
      assert.match(shown.lastError, /no address for the host|bad|URL|unreachable|not resolved/, `${form}: ${JSON.stringify(shown)}`);
    } else if (shown) {
      assert.match(shown.lastError, /address \S+ is .*; --allow-net \S+ would allow it/, form);
      assert.equal(answer.code, 'refused', form);
    } else {
      assert.ok(answer.code, form); // the URL was refused
    }
    if (shown) await broker.ask('disconnect', 's');
  }
  assert.equal(trap.connections, 0);
});

test('metadata services must be named, a wider network does not do', async (t) => {
  const broker = await startBroker(t, { args: [...one, '--allow-net', '0.0.0.0/0', '--allow-net', '::/0'] });
  for (const [form, host] of Object.entries(metadata)) {
    assert.equal((await broker.connect(form.replace(/\W+/g, '-'), `http://${host}:1/mcp`)).code, 'refused', form);
  }
});

test('--deny-net wins over --allow-net, for servers of the file and of run time', async (t) => {
  const server = await startHostileServer(t);
  const broker = await startBroker(t, {
    servers: { file: { url: server.url } }, args: [...one, '--allow-net', '127.0.0.0/8', '--deny-net', '127.0.0.1'],
  });
  assert.match((await broker.untilState('file', 'refused')).lastError, /address 127\.0\.0\.1 is forbidden by --deny-net 127\.0\.0\.1/);
  const { code } = await broker.connect('late', server.url.replace('127.0.0.1', '[::ffff:127.0.0.1]'));
  assert.equal(code, 'refused');
  assert.deepEqual(server.requests, []);
});

test('a reconnect asks again: an address that was good is refused once it is not', async (t) => {
  const server = await startHostileServer(t);
  const folder = await mkdtemp(join(tmpdir(), 'mcp-broker-ssrf-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const config = join(folder, 'config.json');
  await writeFile(config, JSON.stringify({ 'allow-net': ['127.0.0.1'] }));
  const broker = await startBroker(t, { args: [...one, '--config', config] });
  assert.equal((await broker.connect('s', server.url)).server.state, 'listening');
  await writeFile(config, JSON.stringify({ 'allow-net': [] }));
  broker.main.kill('SIGHUP');
  await until('the reload', () => broker.log('config.reloaded').length > 0);
  const asked = server.requests.length;
  server.cut();
  assert.match((await broker.untilState('s', 'refused')).lastError, /address 127\.0\.0\.1 is loopback; --allow-net/);
  assert.equal(server.requests.slice(asked).filter(({ step }) => step !== 'DELETE').length, 0);
});

/** Answers who looks up its name, `asks-PORT.test`, with its `address` of the moment. */
async function startNameServer(t, address) {
  const names = { address, asked: 0 };
  const server = createServer((socket) => {
    names.asked++;
    socket.on('error', () => {});
    socket.end(names.address);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => new Promise((resolve) => server.close(resolve)));
  names.host = `asks-${server.address().port}.test`;
  return names;
}

test('a name that was good leads nowhere once it has another address (DNS rebinding)', async (t) => {
  const [server, names] = await Promise.all([startHostileServer(t), startNameServer(t, '127.0.0.1')]);
  const inside = createServer((socket) => socket.destroy());
  await new Promise((resolve) => inside.listen(Number(new URL(server.url).port), '127.0.0.2', resolve));
  t.after(() => new Promise((resolve) => inside.close(resolve)));
  inside.on('connection', () => assert.fail('the broker came in'));
  const broker = await startBroker(t, {
    args: [...one, '--allow-net', '127.0.0.1/32'],
    env: { LD_PRELOAD: join(bin, 'libslow_resolver.so'), ASAN_OPTIONS: 'verify_asan_link_order=0' },
  });
  assert.equal((await broker.connect('s', server.url.replace('127.0.0.1', names.host))).server.state, 'listening');
  const [asked, requests] = [names.asked, server.requests.length];
  assert.ok(asked > 0);
  names.address = '127.0.0.2';
  server.cut();
  const { lastError } = await broker.untilState('s', 'refused');
  assert.match(lastError, /address 127\.0\.0\.2 is loopback; --allow-net 127\.0\.0\.0\/8 would allow it/);
  assert.ok(names.asked > asked, 'the name is looked up for each connection');
  assert.equal(server.requests.slice(requests).filter(({ step }) => step !== 'DELETE').length, 0);
});

test('redirects, metadata of authorization and token requests lead nowhere either', async (t) => {
  const trap = await startTrap(t);
  const inside = `http://127.0.0.2:${trap.port}`;
  const json = (x, value) => x.json(value);
  const challenge = (url) => (x) => x.send(401, { 'WWW-Authenticate': `Bearer resource_metadata="${url}"` });
  const redirecting = await startHostileServer(t, { on: { 'server/discover': (x) => x.send(307, { Location: `${inside}/mcp` }), initialize: (x) => x.send(307, { Location: `${inside}/mcp` }) } });
  const pointing = await startHostileServer(t, { on: { 'server/discover': challenge(`${inside}/meta`), initialize: challenge(`${inside}/meta`), GET: (x) => x.send(404) } });
  const naming = await startHostileServer(t, {
    on: {
      'server/discover': (x) => x.send(401, { 'WWW-Authenticate': 'Bearer' }), initialize: (x) => x.send(401, { 'WWW-Authenticate': 'Bearer' }),
      GET: (x) => (x.path.startsWith('/.well-known/oauth-protected-resource')
        ? json(x, { resource: naming.url, authorization_servers: [inside] }) : x.send(404)),
    },
  });
  const broker = await startBroker(t, { args: [...one, '--allow-net', '127.0.0.1/32'] });
  const auth = { type: 'client_credentials', clientId: 'c', clientSecret: 'client-secret' };
  const connect = async (serverId, url, more) => {
    await broker.ctl(['connect', '-', '--wait', '5s'], { input: JSON.stringify({ serverId, url, ...more }) });
    return broker.ask('show', serverId);
  };
  const states = [
    await connect('redirecting', redirecting.url), await connect('pointing', pointing.url, { auth }), await connect('naming', naming.url, { auth }),
    await connect('token', pointing.url, { auth: { ...auth, tokenEndpoint: `${inside}/token` } }),
    await connect('issuer', pointing.url, { auth: { ...auth, issuer: inside } }),
  ];
  assert.equal(trap.connections, 0, JSON.stringify(states.map(({ state, lastError }) => [state, lastError])));
  assert.ok(states.every(({ connected }) => !connected));
  assert.ok(states.slice(1).some(({ lastError }) => /127\.0\.0\.2/.test(lastError)), JSON.stringify(states.map(({ lastError }) => lastError)));
});
