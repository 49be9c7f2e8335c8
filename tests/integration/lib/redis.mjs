// A redis-server of the test's own, on a unix socket or a port of 127.0.0.1, and a subscriber to it.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Redis from 'ioredis';
import { start } from './process.mjs';
import { freePort } from './programs.mjs';
import { until } from './wait.mjs';

/** MCP_BROKER_REDIS=/path/to/valkey-server runs the same tests on another program. */
const program = process.env.MCP_BROKER_REDIS ?? 'redis-server';

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
    redis.server = start(program, [...place, '--save', '', '--dir', folder, ...flags]);
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

/** Speaks RESP, and answers a command as the test says, or as Redis would: `answers` has functions of its words by its name,
 * which give the line without its end. {url, commands}, an array of arrays of words that grows. */
export async function startScriptedRedis(t, answers = {}) {
  const wells = {
    PING: () => '+PONG', SELECT: () => '+OK', XLEN: () => ':0', MULTI: () => '+OK', XADD: () => '+QUEUED',
    SUBSCRIBE: (channel) => `*3\r\n$9\r\nsubscribe\r\n$${channel.length}\r\n${channel}\r\n:4`,
  };
  const redis = { commands: [], answers };
  const sockets = new Set();
  const server = createServer((socket) => {
    let text = '';
    sockets.add(socket.on('error', () => {}).on('close', () => sockets.delete(socket)));
    socket.setEncoding('latin1').on('data', (bytes) => {
      text += bytes;
      for (;;) {
        const [head, rest] = [text.match(/^\*(\d+)\r\n/), []];
        let at = head?.[0].length ?? Infinity;
        for (let i = 0; head && i < Number(head[1]); i++) {
          const size = text.slice(at).match(/^\$(\d+)\r\n/);
          const from = at + (size?.[0].length ?? Infinity);
          at = from + Number(size?.[1]) + 2;
          if (!(at <= text.length)) return;
          rest.push(text.slice(from, at - 2));
        }
        if (!head) return;
        text = text.slice(at);
        redis.commands.push(rest);
        const [name, ...words] = rest;
        socket.write(`${(redis.answers[name] ?? wells[name])(...words)}\r\n`);
      }
    });
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(async () => {
    sockets.forEach((socket) => socket.destroy());
    await new Promise((resolve) => server.close(resolve));
  });
  redis.url = `redis://127.0.0.1:${server.address().port}`;
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
  const server = start(program, [file, '--sentinel']);
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
