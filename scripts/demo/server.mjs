// The demonstration's MCP server: built on the reference SDK, over Streamable HTTP, with sessions. Every few seconds it
// adds a tool or takes it away again, and the SDK tells every session so. Prints the URL once it listens, then a line a
// change. Ends on SIGTERM.
import { randomUUID, webcrypto } from 'node:crypto';
import { createServer } from 'node:http';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';

globalThis.crypto ??= webcrypto; // the SDK wants it; Node 18, which Debian 12 has, keeps it in a module

const interval = Number(process.argv[2] ?? 3000);
const sessions = new Map(); // session id -> {server, transport, forecast}
let offered = false;

function newServer() {
  const server = new McpServer({ name: 'demo-weather', version: '1.0.0' });
  const answer = (text) => async () => ({ content: [{ type: 'text', text }] });
  server.registerTool('current', { description: 'The weather now' }, answer('sunny'));
  const forecast = server.registerTool('forecast', { description: 'The weather tomorrow' }, answer('rain'));
  if (!offered) forecast.disable();
  return { server, forecast };
}

async function openSession() {
  const session = newServer();
  session.transport = new StreamableHTTPServerTransport({
    sessionIdGenerator: randomUUID,
    onsessioninitialized: (id) => sessions.set(id, session),
    onsessionclosed: (id) => sessions.delete(id),
  });
  await session.server.connect(session.transport);
  return session;
}

const http = createServer(async (request, response) => {
  const id = request.headers['mcp-session-id'];
  const session = id ? sessions.get(id) : await openSession();
  if (!session) {
    response.writeHead(404).end();
    return;
  }
  await session.transport.handleRequest(request, response);
});

const toggle = setInterval(() => {
  offered = !offered;
  for (const { forecast } of sessions.values()) {
    if (offered) forecast.enable();
    else forecast.disable();
  }
  console.log(`demo server: tool "forecast" ${offered ? 'added' : 'removed'}`);
}, interval);

http.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${http.address().port}/mcp`));
process.once('SIGTERM', () => {
  clearInterval(toggle);
  http.close();
  http.closeAllConnections();
});
