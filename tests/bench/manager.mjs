// What the broker is measured against: an in-process manager on the reference SDK, as platforms write it. A Map of clients,
// a handler for each that publishes on Redis, and nothing else.
//
//   node manager.mjs SERVERS-FILE REDIS-SOCKET INDEX COUNT     connects its share once a line comes on stdin
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const require = createRequire(new URL('../integration/package.json', import.meta.url));
const { Client } = require('@modelcontextprotocol/sdk/client/index.js');
const { StreamableHTTPClientTransport } = require('@modelcontextprotocol/sdk/client/streamableHttp.js');
const { ToolListChangedNotificationSchema } = require('@modelcontextprotocol/sdk/types.js');
const { Redis } = require('ioredis');

const [serversFile, socket, index, count] = process.argv.slice(2);
const atOnce = 64;
const redis = new Redis({ path: socket });
const clients = new Map();

async function connect(serverId, { url, workspaceId }) {
  const client = new Client({ name: 'manager', version: '1.0.0' });
  client.setNotificationHandler(ToolListChangedNotificationSchema, () =>
    redis.publish('mcp:tools_changed', JSON.stringify({ serverId, serverName: serverId, workspaceId, timestamp: Date.now() })));
  await client.connect(new StreamableHTTPClientTransport(new URL(url)));
  await client.listTools();
  clients.set(serverId, client);
}

async function connectAll() {
  const servers = Object.entries(JSON.parse(readFileSync(serversFile, 'utf8')).mcpServers);
  const left = servers.filter((_, number) => number % Number(count) === Number(index));
  let failed = 0;
  const work = async () => {
    for (let next = left.pop(); next; next = left.pop()) await connect(...next).catch(() => failed++);
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  console.log(JSON.stringify({ connected: clients.size, failed }));
}

await redis.ping();
console.log('{"ready":true}');
createInterface({ input: process.stdin }).once('line', connectAll).once('close', () => process.exit(0));
