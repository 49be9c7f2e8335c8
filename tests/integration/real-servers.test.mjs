// Servers as people run them, from npm: what each of them is found to be, and whether a change of it is heard.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import test from 'node:test';
import { FastMCP } from 'fastmcp';
import { createMcpHandler, McpServer } from '@modelcontextprotocol/server';
import { toNodeHandler } from '@modelcontextprotocol/node';
import { childrenOf, startBroker } from './lib/broker.mjs';
import { freePort, startEverything, startProxy, startVanilla } from './lib/programs.mjs';
import { startStatelessServer } from './lib/servers.mjs';
import { until } from './lib/wait.mjs';

const execute = async () => 'done';
const quiet = Object.fromEntries(['debug', 'error', 'info', 'log', 'warn'].map((level) => [level, () => {}]));

async function startFastMcp(t) {
  const server = new FastMCP({ name: 'fast', version: '1.0.0', logger: quiet });
  const port = await freePort();
  server.addTool({ name: 'one', description: 'one', execute });
  await server.start({ transportType: 'httpStream', httpStream: { port, host: '127.0.0.1' } });
  t.after(() => server.stop());
  return { url: `http://127.0.0.1:${port}/mcp`, change: () => server.addTool({ name: 'two', description: 'two', execute }) };
}

async function startChangingProxy(t, options) {
  const server = await startProxy(t, options);
  const child = await until('the stdio server', () => childrenOf(server.program.pid)[0]);
  return { ...server, change: () => process.kill(child, 'SIGUSR2') };
}

/** The handler of the SDK as it comes: both eras, and no stream for the session era, though changes are advertised. */
async function startDefaultHandler(t) {
  const server = await startStatelessServer(t, { options: { legacy: undefined } });
  return { ...server, change: () => server.addTool('two') };
}

/** The same behind something that does not let the new era through. */
async function startOldHandler(t) {
  const respond = toNodeHandler(createMcpHandler(() => {
    const mcp = new McpServer({ name: 'old', version: '1.0.0' }, { capabilities: { tools: { listChanged: true } } });
    mcp.registerTool('one', { description: 'one' }, async () => ({ content: [] }));
    return mcp;
  }));
  const http = createServer((request, response) =>
    request.headers['mcp-method'] ? response.writeHead(404).end() : respond(request, response));
  await new Promise((resolve) => http.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    http.close();
    http.closeAllConnections();
  });
  return { url: `http://127.0.0.1:${http.address().port}/mcp` };
}

const servers = {
  'server-everything': { start: (t) => startEverything(t, 'streamableHttp'), era: 'session', tools: 10 },
  'server-everything on HTTP+SSE': { start: (t) => startEverything(t, 'sse'), era: 'sse', tools: 10 },
  'mcp-proxy': { start: (t) => startChangingProxy(t), era: 'stateless', tools: 1 },
  'mcp-proxy without the new era': { start: (t) => startChangingProxy(t, { flags: ['--no-modern'] }), era: 'session', tools: 1 },
  'mcp-proxy on HTTP+SSE': { start: (t) => startChangingProxy(t, { path: '/sse' }), era: 'sse', tools: 1 },
  fastmcp: { start: startFastMcp, era: 'session', tools: 1 },
  'the SDK as it comes': { start: startDefaultHandler, era: 'stateless', tools: 1 },
  'the SDK without the new era': { start: startOldHandler, era: 'session', state: 'unsupported', error: /GET: HTTP 405/ },
  'server-basic-vanillajs, which never notifies': { start: startVanilla, era: 'session', tools: 1 },
};

test('servers from npm', { concurrency: 20 }, async (t) => {
  const ids = Object.keys(servers);
  const started = await Promise.all(ids.map((id) => servers[id].start(t)));
  const broker = await startBroker(t, {
    servers: Object.fromEntries(ids.map((id, i) => [id, { url: started[i].url }])),
    args: ['--workers', '1'],
  });
  await Promise.all(ids.map((id, i) => t.test(id, async () => {
    const { era, state = 'listening', error, tools } = servers[id];
    const shown = await broker.untilState(id, state);
    assert.equal(shown.era, era);
    assert.equal(shown.reconnectAttempts, 0);
    if (error) assert.match(shown.lastError, error);
    if (tools) await until(`${tools} tools`, async () => (await broker.ask('show', id)).toolCount >= tools);
    if (!started[i].change) return;
    const { generation } = await broker.ask('show', id);
    started[i].change();
    await until('the change', async () => (await broker.ask('show', id)).generation > generation);
    await until('the new list', async () => (await broker.ask('show', id)).toolCount === tools + 1);
  })));
});
