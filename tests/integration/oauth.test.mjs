// Servers that want bearer tokens: each way to get one, shared, renewed, refused, and never in a log.
import assert from 'node:assert/strict';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { startAuthorizationServer } from './lib/authorization.mjs';
import { newSite, startBroker } from './lib/broker.mjs';
import { startRedis } from './lib/redis.mjs';
import { startSessionServer, startStatelessServer } from './lib/servers.mjs';
import { until } from './lib/wait.mjs';

const eras = { session: startSessionServer, stateless: startStatelessServer };
const bySecret = (as) => ({ type: 'client_credentials', clientId: 'secret', clientSecret: as.secret });
const byKey = (algorithm) => (as) => ({ type: 'client_credentials', clientId: 'key', privateKey: as.newKey(algorithm), algorithm });
const ways = {
  'a secret': bySecret,
  'an RSA key': byKey('RS256'),
  'an EC key': byKey('ES256'),
  'a refresh token': (as) => ({ type: 'refresh_token', clientId: 'public', refreshToken: as.refreshToken }),
};

/** Nothing that is secret may stand in a log or be shown. */
async function assertNothingLeaked(broker, as) {
  const texts = [broker.main.stderr, JSON.stringify(await broker.states())];
  for (const secret of [as.secret, as.refreshToken, Buffer.from(`secret:${as.secret}`).toString('base64'), 'token-', 'BEGIN', 'eyJ']) {
    for (const text of texts) assert.ok(!text.includes(secret), `${secret} was told`);
  }
}

for (const [era, startServer] of Object.entries(eras)) {
  for (const [what, authOf] of Object.entries(ways)) {
    test(`a server of the ${era} era is heard with ${what}`, async (t) => {
      const as = await startAuthorizationServer(t);
      const server = await startServer(t, { admit: as.admit });
      const redis = await startRedis(t);
      const messages = await redis.subscribe('mcp:tools_changed');
      const broker = await startBroker(t, {
        servers: { s: { url: server.url, auth: authOf(as) } },
        args: ['--redis', redis.url, '--workers', '1'],
      });
      const shown = await broker.untilState('s', 'listening');
      assert.equal(shown.era, era);
      server.addTool('two');
      await until('the event', () => messages.length === 1);
      assert.deepEqual(as.refused, ['no token'], 'every request but the first has a token');
      assert.equal(as.requests.length, 1);
      assert.equal(as.requests[0].form.get('resource'), server.url);
      await assertNothingLeaked(broker, as);
    });
  }
}

test('a private key is read from its file', async (t) => {
  const as = await startAuthorizationServer(t);
  const server = await startStatelessServer(t, { admit: as.admit });
  const { folder } = await newSite(t);
  const privateKeyFile = join(folder, 'key.pem');
  await writeFile(privateKeyFile, as.newKey('ES256'));
  const auth = { type: 'client_credentials', clientId: 'key', privateKeyFile, algorithm: 'ES256' };
  const broker = await startBroker(t, { servers: { s: { url: server.url, auth } }, args: ['--workers', '1'] });
  await broker.untilState('s', 'listening');
});

test('one token request serves all servers that share it', async (t) => {
  const as = await startAuthorizationServer(t);
  const server = await startStatelessServer(t, { admit: as.admit });
  const ids = ['a', 'b', 'c', 'd', 'e'];
  const broker = await startBroker(t, {
    servers: Object.fromEntries(ids.map((id) => [id, { url: server.url, auth: bySecret(as) }])),
    args: ['--workers', '1'],
  });
  for (const id of ids) await broker.untilState(id, 'listening');
  server.cutStreams();
  await until('all to be back', () => server.count('subscriptions/listen') === 10);
  for (const id of ids) await broker.untilState(id, 'listening');
  assert.equal(as.requests.length, 1);
});

test('a token is renewed before it expires', async (t) => {
  const as = await startAuthorizationServer(t, { lifetime: 2 });
  const server = await startStatelessServer(t, { admit: as.admit });
  const broker = await startBroker(t, {
    servers: { s: { url: server.url, auth: bySecret(as) } },
    args: ['--workers', '1', '--verify', '1s'],
  });
  await broker.untilState('s', 'listening');
  await until('some renewals, and lists fetched meanwhile', () => as.requests.length >= 4 && server.count('tools/list') >= 4);
  assert.deepEqual(as.refused, ['no token']);
});

test('a token that the server takes back is replaced', async (t) => {
  const as = await startAuthorizationServer(t);
  const server = await startSessionServer(t, { admit: as.admit });
  const broker = await startBroker(t, { servers: { s: { url: server.url, auth: bySecret(as) } }, args: ['--workers', '1'] });
  await broker.untilState('s', 'listening');
  as.revoke();
  server.forgetSessions();
  await until('another token', () => as.requests.length === 2);
  await broker.untilState('s', 'listening');
});

test('scopes that a server asks for later are added', async (t) => {
  const as = await startAuthorizationServer(t, { scope: 'tools:read' });
  const server = await startStatelessServer(t, { admit: as.admit });
  const auth = { ...bySecret(as), scope: 'base' };
  const broker = await startBroker(t, { servers: { s: { url: server.url, auth } }, args: ['--workers', '1'] });
  await broker.untilState('s', 'listening');
  assert.deepEqual(as.requests.map(({ form }) => form.get('scope')), ['base', 'base tools:read']);
  assert.deepEqual(as.refused, ['no token', 'insufficient scope']);
});

test('a wrong secret is told, costs no second request, and can be corrected', async (t) => {
  const as = await startAuthorizationServer(t);
  const server = await startSessionServer(t, { admit: as.admit });
  const wrong = { type: 'client_credentials', clientId: 'secret', clientSecret: 'planted-wrong-secret' };
  const broker = await startBroker(t, { servers: { s: { url: server.url, auth: wrong } }, args: ['--workers', '1'] });
  const shown = await broker.untilState('s', 'unauthorized');
  assert.match(shown.lastError, /token endpoint: HTTP 401 invalid_client/);
  await pause(2000); // long enough for many attempts at this broker's back-off
  assert.equal(as.requests.length, 1);
  assert.equal(as.refused.length, 1);
  assert.ok(!broker.main.stderr.includes('planted-wrong-secret'));
  await broker.writeServers({ s: { url: server.url, auth: bySecret(as) } });
  await broker.untilState('s', 'listening');
  await assertNothingLeaked(broker, as);
});

test('an outage of the authorization server is waited for', async (t) => {
  const as = await startAuthorizationServer(t);
  const server = await startStatelessServer(t, { admit: as.admit });
  as.fail = 503;
  const broker = await startBroker(t, {
    servers: { s: { url: server.url, auth: bySecret(as) } },
    args: ['--workers', '1', '--max-attempts', '1000'],
  });
  const shown = await broker.untilState('s', 'backoff');
  assert.match(shown.lastError, /token endpoint: HTTP 503 temporarily_unavailable/);
  as.fail = 0;
  await broker.untilState('s', 'listening');
});

test('a server that refuses every token is left alone', async (t) => {
  const as = await startAuthorizationServer(t);
  const server = await startStatelessServer(t, {
    admit: (request, response) => {
      as.revoke();
      return as.admit(request, response);
    },
  });
  const broker = await startBroker(t, { servers: { s: { url: server.url, auth: bySecret(as) } }, args: ['--workers', '1'] });
  const shown = await broker.untilState('s', 'unauthorized');
  assert.match(shown.lastError, /HTTP 401: it refuses the credentials it was given/);
  assert.equal(as.requests.length, 1);
  assert.deepEqual(as.refused, ['no token', 'unknown token']);
});

test('the next authorization server is asked when the first cannot be used', async (t) => {
  const as = await startAuthorizationServer(t);
  const server = await startStatelessServer(t, { admit: as.admit });
  as.issuers = [`${as.origin}/nobody`, as.issuer];
  const broker = await startBroker(t, { servers: { s: { url: server.url, auth: bySecret(as) } }, args: ['--workers', '1'] });
  await broker.untilState('s', 'listening');
});

const several = (url, auth, ids = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l']) =>
  Object.fromEntries(ids.map((id) => [id, { url, auth }]));

test('one token request serves the servers of all workers that share it', async (t) => {
  const as = await startAuthorizationServer(t);
  const server = await startStatelessServer(t, { admit: as.admit });
  const servers = several(server.url, bySecret(as));
  const broker = await startBroker(t, { servers, args: ['--workers', '3'] });
  await broker.untilAll('listening', 12);
  assert.equal(new Set((await broker.states()).map(({ worker }) => worker)).size, 3);
  assert.equal(as.requests.length, 1);
  as.revoke();
  server.cutStreams();
  await until('another token', () => as.requests.length === 2);
  await until('all to be back', () => server.count('subscriptions/listen') === 24);
  await broker.untilAll('listening', 12);
  assert.equal(as.requests.length, 2, 'who has the old one still gets the new one from the hub');
  await assertNothingLeaked(broker, as);
});

test('a token is renewed once for all workers', async (t) => {
  const as = await startAuthorizationServer(t, { lifetime: 3 });
  const server = await startStatelessServer(t, { admit: as.admit });
  const servers = several(server.url, bySecret(as));
  const broker = await startBroker(t, { servers, args: ['--workers', '3', '--verify', '1s'] });
  await broker.untilAll('listening', 12);
  const before = as.requests.length;
  const since = Date.now();
  await until('some renewals', () => as.requests.length >= before + 4);
  assert.ok(Date.now() - since >= 4 * 3000 * 0.6, `4 renewals in ${Date.now() - since} ms`);
  assert.ok(as.refused.every((why) => why === 'no token'), String(as.refused));
});

test('a failure to get a token is one for all workers', async (t) => {
  const as = await startAuthorizationServer(t);
  const server = await startStatelessServer(t, { admit: as.admit });
  const servers = several(server.url, { ...bySecret(as), clientSecret: 'planted-wrong-secret' });
  let release;
  as.hold = new Promise((resolve) => (release = resolve));
  const broker = await startBroker(t, { servers, args: ['--workers', '3'] });
  await until('all to have asked the server', () => as.refused.length === 12);
  await until('the token request', () => as.asked === 1);
  release();
  await broker.untilAll('unauthorized', 12);
  for (const { lastError } of await broker.states()) assert.match(lastError, /token endpoint: HTTP 401 invalid_client/);
  assert.equal(as.requests.length, 1);
});

test('a worker that dies while it gets a token costs the others a pause', async (t) => {
  const as = await startAuthorizationServer(t);
  const server = await startStatelessServer(t, { admit: as.admit });
  const servers = several(server.url, bySecret(as));
  as.hold = new Promise(() => {}); // it will never be answered
  const broker = await startBroker(t, { servers, args: ['--workers', '3', '--connect-timeout', '30s'] });
  await until('the token request', () => as.asked === 1);
  as.hold = undefined;
  const { workers } = await broker.ask('workers');
  for (const { pid } of workers) process.kill(pid, 'SIGKILL');
  await broker.untilAll('listening', 12);
  assert.equal(as.requests.length, 1);
});

test('a refresh token that is good once outlives workers, the hub and the broker', async (t) => {
  const as = await startAuthorizationServer(t, { rotates: true });
  const server = await startSessionServer(t, { admit: as.admit });
  const first = as.refreshToken;
  const auth = { type: 'refresh_token', clientId: 'public', refreshToken: first };
  const servers = several(server.url, auth, ['a', 'b', 'c', 'd', 'e', 'f']);
  const broker = await startBroker(t, { servers, args: ['--workers', '2'] });
  await broker.untilAll('listening', 6);
  assert.equal(as.requests.length, 1);
  assert.notEqual(as.refreshToken, first);

  const another = async (what, count) => {
    as.revoke();
    server.forgetSessions();
    await until(`${what}: another token`, () => as.requests.length === count || Promise.reject(new Error(JSON.stringify([as.requests.map(({ status }) => status), as.refused]))));
    await broker.untilAll('listening', 6);
  };
  await another('as it was', 2);
  for (const { pid } of (await broker.ask('workers')).workers) process.kill(pid, 'SIGKILL');
  await another('workers killed', 3);
  process.kill(await broker.hubPid(), 'SIGKILL');
  await until('another hub', () => broker.ask('ping'));
  await another('hub killed', 4);
  await broker.stop();
  as.revoke();
  await broker.start();
  await broker.untilAll('listening', 6);
  assert.equal(as.requests.length, 5, 'all started anew');
  assert.ok(as.requests.every(({ status }) => status === 200), 'no refresh token was used twice');

  const texts = [broker.main.stderr, JSON.stringify(await broker.states()), await readFile(join(broker.runDir, 'table'), 'latin1')];
  for (const text of texts) assert.ok(!text.includes(as.refreshToken) && !text.includes(first));
  const registry = join(broker.stateDir, 'registry.db');
  const { mode } = await stat(registry);
  assert.equal(mode & 0o777, 0o600);

  const old = as.refreshToken;
  const given = (as.refreshToken = 'refresh-of-another-login');
  as.revoke();
  await broker.writeServers(several(server.url, { ...auth, refreshToken: given }, Object.keys(servers)));
  await until('the other one to be used', () => as.requests.length === 6);
  await broker.untilAll('listening', 6);
  assert.equal(as.requests[5].form.get('refresh_token'), given);
  assert.ok((await readFile(`${registry}-wal`, 'latin1')).includes(as.refreshToken));
  await broker.stop();
  await broker.start();
  await broker.untilAll('listening', 6);
  await broker.stop();
  assert.ok(!(await readFile(registry, 'latin1')).includes(old), 'what no definition has is forgotten');
});

test('a refresh token that was kept and is no good any more gives way to that of the definition', async (t) => {
  const as = await startAuthorizationServer(t, { rotates: true });
  const server = await startSessionServer(t, { admit: as.admit });
  const given = as.refreshToken;
  const auth = { type: 'refresh_token', clientId: 'public', refreshToken: given };
  const broker = await startBroker(t, { servers: { s: { url: server.url, auth } }, args: ['--workers', '1'] });
  await broker.untilState('s', 'listening');
  as.refreshToken = given; // as if somebody had restored a backup of the authorization server
  as.revoke();
  server.forgetSessions();
  await until('two requests', () => as.requests.length === 3);
  await broker.untilState('s', 'listening');
  assert.deepEqual(as.requests.map(({ status }) => status), [200, 400, 200]);
});
