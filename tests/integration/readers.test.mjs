// The readers of events that README.md shows, as they stand there: run against a broker, they learn of every change, and of a
// double in the stream once.
import assert from 'node:assert/strict';
import test from 'node:test';
import { startBroker } from './lib/broker.mjs';
import { start } from './lib/process.mjs';
import { blocks } from './lib/readme.mjs';
import { startRedis } from './lib/redis.mjs';
import { startStatelessServer } from './lib/servers.mjs';
import { until } from './lib/wait.mjs';

/** What stands around the readers: where Redis is, and what is done about a change. */
const languages = {
  js: {
    command: [process.execPath, '--input-type=module'],
    channel: (code, port) => `const invalidate = (id) => console.log(id);\n${at(code, 'new Redis(', `new Redis(${port}`)}console.log('ready');\n`,
    stream: (code, port) => `import Redis from 'ioredis';\nconst redis = new Redis(${port});\nconst invalidate = (id) => console.log(id);\nlet last = '0';\n${code}`,
  },
  python: {
    command: ['/usr/bin/python3', '-'],
    channel: (code, port) => `invalidate = lambda id: print(id, flush=True)\n${at(code, 'redis.Redis(', `redis.Redis(port=${port}`)}`
      .replace(/^for message/m, "print('ready', flush=True)\nfor message"),
    stream: (code, port) => `import json, redis\ninvalidate = lambda id: print(id, flush=True)\n${at(code, 'redis.Redis(', `redis.Redis(port=${port}, `)}`,
  },
};

function at(code, place, replacement) {
  assert.equal(code.split(place).length, 2, `one ${place}`);
  return code.replace(place, replacement);
}

for (const [language, { command, ...wrap }] of Object.entries(languages)) {
  const [channel, stream] = blocks(language); // in this order

  async function startReader(t, code) {
    const reader = start(command[0], command.slice(1), { stdin: 'pipe' });
    reader.stdin.end(code);
    t.after(() => reader.kill('SIGKILL') && reader.exit);
    return reader;
  }

  async function startWatched(t) {
    const redis = await startRedis(t, 'tcp');
    const server = await startStatelessServer(t);
    const broker = await startBroker(t, {
      servers: { s: { url: server.url } }, args: ['--workers', '1', '--redis', redis.url, '--stream', 'mcp:events', '--coalesce', '0'],
    });
    await broker.untilTools('s', 1);
    await until('Redis to be up', async () => (await broker.ask('status')).redis.state === 'up');
    return { redis, server, broker };
  }
  const heard = (reader, count) =>
    until(`${count} changes to be heard`, () => {
      if (reader.ended) throw new Error(reader.stderr);
      return reader.lines().filter((line) => line === 's').length >= count || Promise.reject(new Error(reader.stdout + reader.stderr));
    });

  test(`the reader of the channel in ${language}`, async (t) => {
    const { redis, server } = await startWatched(t);
    const reader = await startReader(t, wrap.channel(channel, redis.port));
    await until('it to be subscribed', () => reader.stdout.includes('ready') || (reader.ended && assert.fail(reader.stderr)));
    server.addTool('two');
    await heard(reader, 1);
  });

  test(`the reader of the stream in ${language} misses nothing while it is away, and drops a double`, async (t) => {
    const { redis, server, broker } = await startWatched(t);
    const settled = (generation) => until('the event to be settled', async () => (await broker.ask('show', 's')).published === generation);
    server.addTool('two'); // nobody reads yet
    await settled(1);
    const reader = await startReader(t, wrap.stream(stream, redis.port));
    await heard(reader, 1);
    // Redis is held before it reads the event, and does it after the broker has given the connection up, and again
    redis.server.kill('SIGSTOP');
    server.addTool('three');
    await until('the broker to give up', async () => (await broker.ask('status')).redis.state === 'down');
    redis.server.kill('SIGCONT');
    await settled(2);
    server.addTool('four');
    await settled(3);
    const ids = (await redis.entries('mcp:events')).map(({ id }) => id.split(':').at(-1));
    assert.deepEqual([...ids].sort(), ['1', '2', '2', '3'], 'there is a double');
    await heard(reader, 3);
    assert.equal(reader.lines().length, 3);
  });
}
