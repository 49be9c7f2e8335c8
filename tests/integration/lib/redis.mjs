// A redis-server of the test's own, on a unix socket or a port of 127.0.0.1, and a subscriber to it.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Redis from 'ioredis';
import { start } from './process.mjs';
import { freePort } from './programs.mjs';
import { until } from './wait.mjs';

/** {url, path or port, server, publish(channel, text), subscribe(...channels) -> messages, entries(stream), stop(), start(),
 * client(options)}. `messages` is an array of {channel, text, event} that grows; `entries` those of a stream, as {id, channel,
 * event}. `tcp` has it on a port instead of a unix socket; other flags are redis-server's. */
export async function startRedis(t, ...flags) {
  const tcp = flags[0] === 'tcp' ? flags.shift() && (await freePort()) : 0;
  const folder = await mkdtemp(join(tmpdir(), 'mcp-broker-redis-'));
  const path = join(folder, 'redis.sock');
  const clients = [];
  const redis = tcp ? { port: tcp, url: `redis://127.0.0.1:${tcp}` } : { path, url: `unix://${path}` };
  const place = tcp ? ['--port', String(tcp), '--bind', '127.0.0.1'] : ['--port', '0', '--unixsocket', path];

  redis.start = async () => {
    redis.server = start('redis-server', [...place, '--save', '', '--dir', folder, ...flags]);
    await until('redis-server to listen', () => {
      if (redis.server.ended) throw new Error(redis.server.stdout);
      return redis.server.stdout.includes('eady to accept connections');
    });
  };
  redis.stop = async () => {
    redis.server.kill('SIGKILL');
    await redis.server.exit;
  };
  redis.client = (options) => {
    const client = new Redis({ ...(tcp ? { port: tcp } : { path }), retryStrategy: () => 50, maxRetriesPerRequest: null, ...options });
    client.on('error', () => {}); // Redis is taken away on purpose in some tests
    clients.push(client);
    return client;
  };
  redis.publish = (channel, text) => redis.client().publish(channel, text);
  redis.subscribe = async (...channels) => {
    const client = redis.client();
    const messages = [];
    client.on('message', (channel, text) => messages.push({ channel, text, event: JSON.parse(text) }));
    await client.subscribe(...channels);
    return messages;
  };
  let reader;
  redis.entries = async (stream) => {
    reader ??= redis.client();
    return (await reader.xrange(stream, '-', '+')).map(([, fields]) => {
      const entry = Object.fromEntries(fields.flatMap((field, i) => (i % 2 ? [] : [[field, fields[i + 1]]])));
      return { ...entry, event: JSON.parse(entry.event) };
    });
  };
  t.after(async () => {
    for (const client of clients) client.disconnect();
    await redis.stop();
    await rm(folder, { recursive: true, force: true });
  });
  await redis.start();
  return redis;
}

/** A redis-sentinel that watches `master` (of startRedis with `tcp`) as `name`: {port, stop()}. */
export async function startSentinel(t, master, name, ...lines) {
  const folder = await mkdtemp(join(tmpdir(), 'mcp-broker-sentinel-'));
  const port = await freePort();
  const file = join(folder, 'sentinel.conf');
  await writeFile(file, [
    `port ${port}`, 'bind 127.0.0.1', `dir ${folder}`,
    `sentinel monitor ${name} 127.0.0.1 ${master.port} 1`,
    `sentinel down-after-milliseconds ${name} 500`, `sentinel failover-timeout ${name} 2000`, ...lines, '',
  ].join('\n'));
  const server = start('redis-server', [file, '--sentinel']);
  const sentinel = { port, server };
  sentinel.stop = async () => {
    server.kill('SIGKILL');
    await server.exit;
  };
  t.after(async () => {
    await sentinel.stop();
    await rm(folder, { recursive: true, force: true });
  });
  await until('the sentinel to watch', () => {
    if (server.ended) throw new Error(server.stdout);
    return server.stdout.includes('+monitor');
  });
  return sentinel;
}
