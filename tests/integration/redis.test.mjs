// Redis in every form that a URL has, in every mood, and taken away: what is owed goes out, and what is wrong is told in
// Redis' own words.
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import test from 'node:test';
import { bin, newSite, startBroker } from './lib/broker.mjs';
import { startAuthority } from './lib/certificates.mjs';
import { run } from './lib/process.mjs';
import { freePort } from './lib/programs.mjs';
import { startRedis, startScriptedRedis, startSentinel } from './lib/redis.mjs';
import { startStatelessServer } from './lib/servers.mjs';
import { until } from './lib/wait.mjs';

const channel = 'mcp:tools_changed';
/** Whether this build has TLS: Debian 12's hiredis has not. */
const hasTls = (await run(join(bin, 'mcp-broker'), ['--check', '--redis', 'rediss://host'])).code === 0;

/** A server, and a broker that watches it as `s`; `args` may begin with an environment. */
async function watched(t, url, ...args) {
  const env = typeof args[0] === 'object' ? args.shift() : {};
  const server = await startStatelessServer(t);
  const broker = await startBroker(t, { servers: { s: { url: server.url } }, args: ['--redis', url, '--workers', '1', ...args], env });
  await broker.untilState('s', 'listening');
  const untilRedis = (state, error, ms) =>
    until(`Redis to be ${state ?? 'up or down'}, ${error}`, async () => {
      const { redis } = await broker.ask('status');
      return (!state || redis.state === state) && error.test(redis.error ?? '') ? redis : Promise.reject(new Error(JSON.stringify(redis)));
    }, ms);
  const untilPublished = () =>
    until('all to be published', async () => {
      const { generation, published } = await broker.ask('show', 's');
      return generation > 0 && published === generation;
    });
  return { server, broker, untilRedis, untilPublished };
}

for (const [what, flags, user, options, database] of [
  ['on a port', [], '', {}, ''],
  ['with a password', ['--requirepass', 'p@ss/word'], ':p%40ss%2Fword@', { password: 'p@ss/word' }, ''],
  ['with a user of its ACL', ['--user', 'bob', 'on', '>s3cr3t', '~feed', '&mcp:*', '-@all', '+publish', '+subscribe', '+ping', '+select', '+multi', '+exec', '+xadd'],
    'bob:s3cr3t@', {}, ''],
  ['with a database', [], '', { db: 3 }, '/3'],
]) {
  test(`Redis ${what}`, async (t) => {
    const redis = await startRedis(t, 'tcp', ...flags);
    const messages = [];
    const subscriber = redis.client(options);
    subscriber.on('message', (_, text) => messages.push(JSON.parse(text)));
    await subscriber.subscribe(channel);
    const { server, untilRedis } = await watched(t, redis.url.replace('://', `://${user}`) + database, '--stream', 'feed');
    await untilRedis('up', /^$/);
    server.addTool('two');
    await until('the event', () => messages.length > 0);
    assert.equal(await redis.client(options).xlen('feed'), 1);
  });
}

test('a password that is wrong or missing is told, and in no log', async (t) => {
  const redis = await startRedis(t, 'tcp', '--requirepass', 'planted-right');
  const missing = await watched(t, redis.url);
  await missing.untilRedis('down', /^NOAUTH /);
  const wrong = await watched(t, redis.url.replace('://', '://:planted-wrong@'));
  await wrong.untilRedis('down', /^WRONGPASS /);
  assert.doesNotMatch(wrong.broker.main.stderr, /planted/);
  assert.ok(wrong.broker.log('redis.trouble').some((line) => /WRONGPASS/.test(line.error)));
});

test('a full Redis is told as such; nothing is published or lost, and it goes out when there is room', async (t) => {
  const redis = await startRedis(t);
  const { server, broker, untilRedis, untilPublished } = await watched(t, redis.url, '--stream', 'feed');
  const messages = await redis.subscribe(channel);
  const admin = redis.client();
  await admin.config('SET', 'maxmemory-policy', 'noeviction');
  await admin.config('SET', 'maxmemory', '1');
  server.addTool('two');
  await untilRedis('up', /^OOM /);
  assert.ok(broker.log('redis.trouble').some((line) => /OOM/.test(line.error)));
  assert.equal((await broker.ask('status')).unpublished, 1);
  assert.equal(messages.length, 0, 'the publish is part of the transaction');
  await admin.config('SET', 'maxmemory', '0');
  await untilPublished();
  await untilRedis('up', /^$/);
  assert.deepEqual((await redis.entries('feed')).map(({ event }) => event.generation), [1]);
});

test('a replica is told as such, and used once it is a master', async (t) => {
  const redis = await startRedis(t, 'tcp');
  const { server, untilRedis, untilPublished } = await watched(t, redis.url, '--stream', 'feed');
  const admin = redis.client();
  await admin.replicaof('127.0.0.1', '1');
  server.addTool('two');
  await untilRedis(null, /^READONLY /);
  await admin.replicaof('NO', 'ONE');
  await untilPublished();
  assert.equal((await redis.entries('feed')).length, 1);
});

test('a replica without its master is told as such', async (t) => {
  const redis = await startRedis(t, 'tcp', '--replica-serve-stale-data', 'no');
  const admin = redis.client();
  await admin.replicaof('127.0.0.1', '1');
  const { untilRedis, server, untilPublished } = await watched(t, redis.url, '--stream', 'feed');
  server.addTool('two');
  await untilRedis(null, /^MASTERDOWN /);
  await admin.replicaof('NO', 'ONE');
  await untilPublished();
});

/** A node of a cluster, with a port for the others that is free, too: by itself it takes that of its clients and 10000. */
async function startNode(t) {
  const bus = await freePort();
  const node = await startRedis(t, 'tcp', '--cluster-enabled', 'yes', '--cluster-port', String(bus), '--cluster-require-full-coverage', 'no');
  return Object.assign(node, { bus });
}

test('a node of a cluster whose slots nobody has is told as such', async (t) => {
  const redis = await startNode(t);
  const { server, untilRedis } = await watched(t, redis.url, '--stream', 'feed');
  await untilRedis('up', /^$/);
  server.addTool('two');
  await untilRedis('up', /^CLUSTERDOWN /);
});

test('a node of a cluster that has not the slot says MOVED', async (t) => {
  const redis = await startNode(t);
  const other = await startNode(t);
  await redis.client().cluster('MEET', '127.0.0.1', other.port, other.bus);
  await other.client().cluster('ADDSLOTSRANGE', 0, 16383);
  await until('the node to know who has the slots', async () =>
    /cluster_slots_ok:16384/.test(await redis.client().cluster('INFO')));
  const { server, broker, untilRedis } = await watched(t, redis.url, '--stream', 'feed');
  await untilRedis('up', /^$/);
  server.addTool('two');
  await untilRedis('up', new RegExp(`^MOVED \\d+ 127\\.0\\.0\\.1:${other.port} `));
  assert.equal((await broker.ask('status')).unpublished, 1);
});

test('Redis that is loading its data is told as such, at the greeting and in an answer, and waited for', async (t) => {
  const loading = () => '-LOADING Redis is loading the dataset in memory';
  const redis = await startScriptedRedis(t, { PING: loading });
  const { server, untilRedis, untilPublished } = await watched(t, redis.url);
  await untilRedis('down', /^LOADING /);
  redis.answers = { PUBLISH: loading };
  await untilRedis('up', /^$/);
  server.addTool('two');
  await untilRedis('up', /^LOADING /);
  redis.answers = { PUBLISH: () => ':0' };
  await untilPublished();
  await untilRedis('up', /^$/);
  const events = redis.commands.filter(([name]) => name === 'PUBLISH').map(([, , text]) => JSON.parse(text).generation);
  assert.ok(events.length >= 2 && events.every((generation) => generation === 1));
});

test('errors within a transaction are told by the first of them', async (t) => {
  const queued = { MULTI: () => '+OK', PUBLISH: () => '+QUEUED', XADD: () => '-MOVED 866 127.0.0.1:7001', EXEC: () => '-EXECABORT Transaction discarded because of previous errors.' };
  const redis = await startScriptedRedis(t, queued);
  const { server, broker, untilRedis, untilPublished } = await watched(t, redis.url, '--stream', 'feed');
  server.addTool('two');
  await untilRedis('up', /^MOVED 866 127\.0\.0\.1:7001 /);
  assert.equal((await broker.ask('status')).unpublished, 1);
  redis.answers = { ...queued, XADD: () => '+QUEUED', EXEC: () => '*2\r\n:0\r\n$3\r\n1-1' };
  await untilPublished();
});

test('a stream whose name is taken by something else is told before anything is published', async (t) => {
  const redis = await startRedis(t);
  const admin = redis.client();
  await admin.set('feed', 'text');
  const messages = await redis.subscribe(channel);
  const { server, untilRedis, untilPublished } = await watched(t, redis.url, '--stream', 'feed');
  await untilRedis('down', /^WRONGTYPE .*feed/);
  server.addTool('two');
  await untilRedis('down', /^WRONGTYPE /);
  assert.equal(messages.length, 0);
  await admin.del('feed');
  await untilPublished();
  assert.equal(messages.length, 1);
});

test('the stream has one entry an event, and is trimmed', async (t) => {
  const redis = await startRedis(t, '--stream-node-max-entries', '10');
  const { server, broker, untilPublished } = await watched(t, redis.url, '--stream', 'feed', '--stream-maxlen', '10', '--coalesce', '0');
  const messages = await redis.subscribe(channel);
  for (let i = 1; i <= 40; i++) {
    server.addTool(`tool-${i}`);
    await until(`event ${i}`, () => messages.length === i);
  }
  await untilPublished();
  const entries = await redis.entries('feed');
  assert.ok(entries.length >= 10 && entries.length <= 20, `${entries.length} entries`);
  const { instance } = await broker.ask('ping');
  const last = messages.slice(-entries.length);
  assert.deepEqual(entries.map(({ event }) => event), last.map(({ event }) => event));
  assert.deepEqual(entries.map((entry) => entry.id), last.map(({ event }) => `${instance}:s:tools:${event.generation}`));
  assert.ok(entries.every((entry) => entry.channel === channel));
});

test('what was under way when the connection was cut comes again under the same id', async (t) => {
  const redis = await startRedis(t);
  const { server, broker, untilPublished } = await watched(t, redis.url, '--stream', 'feed', '--coalesce', '0');
  const admin = redis.client();
  await until('Redis to be up', async () => (await broker.ask('status')).redis.state === 'up');
  // Redis is held before it reads the event, and does it after the broker has given the connection up
  redis.server.kill('SIGSTOP');
  server.addTool('two');
  await until('the broker to give up', async () => (await broker.ask('status')).redis.state === 'down');
  redis.server.kill('SIGCONT');
  await untilPublished();
  const first = await redis.entries('feed');
  assert.deepEqual([...new Set(first.map((entry) => entry.id.split(':').at(-1)))], ['1']);
  assert.equal(first.length, 2, 'both were done: this is what the id is for');
  assert.equal(first[0].id, first[1].id);
  assert.equal(first[0].event.timestamp, first[1].event.timestamp);
  for (let i = 0; i < 20; i++) {
    server.addTool(`more-${i}`);
    await admin.client('KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
  }
  await until('the last change to be settled', async () => {
    const { generation, published } = await broker.ask('show', 's');
    return generation === 21 && published === generation;
  });
  const entries = await redis.entries('feed');
  const generations = entries.map(({ event }) => event.generation);
  assert.equal(generations.at(-1), 21);
  assert.ok(generations.every((each, i) => i === 0 || each >= generations[i - 1]), `in order: ${generations}`);
});

test('sentinels are asked for the master, and a failover is followed', { timeout: 60_000 }, async (t) => {
  const auth = ['--requirepass', 's3cr3t', '--masterauth', 's3cr3t'];
  const first = await startRedis(t, 'tcp', ...auth);
  const second = await startRedis(t, 'tcp', ...auth, '--replicaof', `127.0.0.1 ${first.port}`, '--repl-diskless-sync-delay', '0');
  const sentinel = await startSentinel(t, first, 'main', 'sentinel auth-pass main s3cr3t');
  const client = (redis) => redis.client({ password: 's3cr3t' });
  const dead = 1; // nobody listens there: the next one in the list is asked
  const url = `redis+sentinel://:s3cr3t@127.0.0.1:${dead},127.0.0.1:${sentinel.port}/main`;
  const { server, broker, untilRedis, untilPublished } = await watched(t, url, '--stream', 'feed');
  const watch = await broker.watch();
  await untilRedis('up', /^$/);
  await until('the replica to be in step', async () => /master_link_status:up/.test(await client(second).info('replication')));
  server.addTool('two');
  await untilPublished();
  assert.equal(await client(first).xlen('feed'), 1);
  await until('the sentinel to know the replica', () => sentinel.server.stdout.includes('+slave'));

  await first.stop();
  server.addTool('three');
  await until('the replica to be master', async () => /role:master/.test(await client(second).info('replication')), 30_000);
  await until('the event at the new master', async () => (await client(second).xlen('feed')) >= 2, 20_000);
  await untilPublished();

  // the old master comes back as a replica; the events of other machines come from the new one
  await until('the subscription to be there, too', async () => (await broker.ask('status')).redis.state === 'up');
  await client(second).publish(channel, JSON.stringify({ serverId: 'far', serverName: 'Far', workspaceId: 'w', timestamp: 1 }));
  await until('the foreign event', () => watch.events().some((each) => each.serverId === 'far'));
});

test('a master that only the sentinels have lost is left, and what it took last is told again', { timeout: 60_000 }, async (t) => {
  const auth = ['--requirepass', 's3cr3t', '--masterauth', 's3cr3t'];
  const first = await startRedis(t, 'tcp', ...auth);
  const second = await startRedis(t, 'tcp', ...auth, '--replicaof', `127.0.0.1 ${first.port}`, '--repl-diskless-sync-delay', '0');
  const sentinel = await startSentinel(t, first, 'main', 'sentinel auth-pass main s3cr3t');
  const [old, now] = [first, second].map((redis) => redis.client({ password: 's3cr3t' }));
  const url = `redis+sentinel://:s3cr3t@127.0.0.1:${sentinel.port}/main`;
  const { server, broker, untilRedis, untilPublished } = await watched(t, url, '--stream', 'feed');
  const watch = await broker.watch();
  await untilRedis('up', /^$/);
  await until('the replica to be in step', async () => /master_link_status:up/.test(await now.info('replication')));
  await until('the sentinel to know the replica', () => sentinel.server.stdout.includes('+slave'));
  server.addTool('two');
  await untilPublished();
  await until('the replica to have it', async () => (await now.xlen('feed')) === 1);

  // who comes anew is refused; of those who are there only the broker and the test stay
  await old.config('SET', 'requirepass', 'another');
  await old.client('KILL', 'TYPE', 'replica');
  for (const [, id] of (await old.client('LIST')).matchAll(/^id=(\d+) .*name=sentinel/gm)) await old.client('KILL', 'ID', id);
  server.addTool('three');
  await until('the old master to take it', async () => (await old.xlen('feed')) === 2);
  await until('the replica to be master', async () => /role:master/.test(await now.info('replication')), 30_000);
  await until('the event at the new master', async () => (await now.xlen('feed')) >= 2, 20_000);
  const generations = (await now.xrange('feed', '-', '+')).map(([, fields]) => JSON.parse(fields[fields.indexOf('event') + 1]).generation);
  assert.equal(generations.at(-1), 2, 'which the old master had taken for itself');
  assert.match(await old.info('replication'), /role:master/, 'it never learns of it');
  server.addTool('four');
  await untilPublished();
  await until('the next one there, too', async () => (await now.xrevrange('feed', '+', '-', 'COUNT', 1))[0][1].join().includes('"generation":3'));
  assert.equal(await old.xlen('feed'), 2);
  await until('the events of other machines to come from there', async () => {
    await now.publish(channel, JSON.stringify({ serverId: 'far', serverName: 'Far', workspaceId: 'w', timestamp: 1 }));
    return watch.events().some((each) => each.serverId === 'far');
  });
  assert.ok(broker.log('redis.trouble').some(({ error }) => /the sentinels name another master/.test(error)));
});

test('rediss:// checks the chain and whose certificate it is', { skip: !hasTls && 'this build has no TLS' }, async (t) => {
  const authority = await startAuthority(t);
  const startTls = async (names) => {
    const { key, cert } = await authority.issue({ names });
    const port = await freePort();
    const [keyFile, certFile] = ['key', 'cert'].map((kind) => join(dirname(authority.caFile), `redis-${port}.${kind}`));
    await Promise.all([writeFile(keyFile, key), writeFile(certFile, cert)]);
    const redis = await startRedis(t, '--tls-port', String(port), '--tls-cert-file', certFile, '--tls-key-file', keyFile,
      '--tls-ca-cert-file', authority.caFile, '--tls-auth-clients', 'no');
    return { redis, url: `rediss://127.0.0.1:${port}` };
  };
  const right = await startTls('IP:127.0.0.1');
  const messages = await right.redis.subscribe(channel);
  const good = await watched(t, right.url, { SSL_CERT_FILE: authority.caFile });
  await good.untilRedis('up', /^$/);
  good.server.addTool('two');
  await until('the event', () => messages.length > 0);
  await right.redis.stop();
  await good.untilRedis('down', /./);
  await right.redis.start();
  await good.untilRedis('up', /^$/);

  const unknown = await watched(t, right.url);
  await unknown.untilRedis('down', /certificate: self-signed/);
  const other = await watched(t, (await startTls('IP:127.0.0.2')).url, { SSL_CERT_FILE: authority.caFile });
  await other.untilRedis('down', /certificate: IP address mismatch/);
});

test('a name that the sentinel does not know is told', async (t) => {
  const redis = await startRedis(t, 'tcp');
  const sentinel = await startSentinel(t, redis, 'main');
  const { untilRedis } = await watched(t, `redis+sentinel://127.0.0.1:${sentinel.port}/other`);
  await untilRedis('down', /knows no master of that name/);
});

for (const [url, pattern] of [
  ['redis://host:99999', /--redis.*port.*65535/],
  ['redis://user@host', /--redis.*password/],
  ['redis://:planted%zz@host', /--redis.*hexadecimal/],
  ['redis://host/db', /--redis.*database/],
  ['redis+sentinel://host:26379', /--redis.*name of the master/],
  ['rediss://:planted@host', /--redis.*TLS/],
  ['unix://run/redis.sock', /--redis.*absolute path/],
  ['http://host', /--redis.*redis:\/\//],
]) {
  test(`${url} is refused at the start`, { skip: hasTls && url.startsWith('rediss') && 'this build has TLS' }, async (t) => {
    const site = await newSite(t);
    for (const [flags, env] of [[['--redis', url], {}], [[], { REDIS_URL: url }]]) {
      const ended = await run(join(bin, 'mcp-broker'), [...site.flags, ...flags], { env: { ...process.env, REDIS_URL: '', ...env } });
      assert.equal(ended.code, 78, ended.stderr);
      assert.match(ended.stderr, pattern);
      assert.doesNotMatch(ended.stderr, /planted/);
    }
  });
}
