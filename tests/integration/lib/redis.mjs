// A redis-server of the test's own, on a unix socket in a folder of its own, and a subscriber to it.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Redis from 'ioredis';
import { start } from './process.mjs';
import { until } from './wait.mjs';

/** {url, path, publish(channel, text), subscribe(...channels) -> messages, stop(), restart()}. `messages` is an array
 * of {channel, text, event} that grows. */
export async function startRedis(t, ...flags) {
  const folder = await mkdtemp(join(tmpdir(), 'mcp-broker-redis-'));
  const path = join(folder, 'redis.sock');
  const clients = [];
  const redis = { path, url: `unix://${path}` };

  redis.start = async () => {
    redis.server = start('redis-server', ['--port', '0', '--unixsocket', path, '--save', '', '--dir', folder, ...flags]);
    await until('redis-server to listen', () => redis.server.stdout.includes('ready to accept connections'));
  };
  redis.stop = async () => {
    redis.server.kill('SIGKILL');
    await redis.server.exit;
  };
  redis.client = () => {
    const client = new Redis({ path, retryStrategy: () => 50, maxRetriesPerRequest: null });
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
  t.after(async () => {
    for (const client of clients) client.disconnect();
    await redis.stop();
    await rm(folder, { recursive: true, force: true });
  });
  await redis.start();
  return redis;
}
