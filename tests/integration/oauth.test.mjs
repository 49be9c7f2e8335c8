// Servers that want bearer tokens: each way to get one, shared, renewed, refused, and never in a log.
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
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
