// Real MCP servers on the reference SDKs, inside the test's process: one of the session era (SDK 1.x), one of the stateless
// era (SDK 2.x). Both count what they are asked, so that a test can say what a listener may do. Both take `admit`, which
// may answer a request itself, and is then false.
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { McpServer as SessionMcpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { createMcpHandler, McpServer as StatelessMcpServer } from '@modelcontextprotocol/server';
import { toNodeHandler } from '@modelcontextprotocol/node';

const answer = async () => ({ content: [{ type: 'text', text: 'done' }] });

async function listen(t, handler, port = 0) {
  const http = createServer(handler);
  await new Promise((resolve, reject) => http.once('error', reject).listen(port, '127.0.0.1', resolve));
  const close = async () => {
    http.closeAllConnections();
    await new Promise((resolve) => http.close(resolve));
  };
  t.after(close);
  const at = http.address().port;
  return { http, port: at, url: `http://127.0.0.1:${at}/mcp`, close };
}

/** Of the session era: {url, requests, sessions, addTool(name), removeTool(name), cutStreams(), forgetSessions(), close()}. */
export async function startSessionServer(t, { tools = ['one'], name = 'session-server', port, stateless = false, admit = () => true } = {}) {
  const offered = new Set(tools);
  const sessions = new Map();
  const server = { requests: [], sessions, offered, pings: 0 };

  async function openSession() {
    const mcp = new SessionMcpServer({ name, version: '1.0.0' });
    const session = { mcp, registered: new Map() };
    for (const tool of offered) session.registered.set(tool, mcp.registerTool(tool, { description: tool }, answer));
    session.transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (id) => sessions.set(id, session),
      onsessionclosed: (id) => sessions.delete(id),
    });
    await mcp.connect(session.transport);
    return session;
  }
  async function handle(request, response) {
    if (!admit(request, response)) return;
    server.requests.push({ method: request.method, session: request.headers['mcp-session-id'] ?? null });
    const id = request.headers['mcp-session-id'];
    const session = id ? sessions.get(id) : await openSession();
    if (!session) {
      response.writeHead(404).end(JSON.stringify({ jsonrpc: '2.0', id: null, error: { code: -32001, message: 'Session not found' } }));
      return;
    }
    await session.transport.handleRequest(request, response);
  }
  Object.assign(server, await listen(t, handle, port));
  server.count = (method) => server.requests.filter((each) => each.method === method).length;
  server.addTool = (tool) => {
    offered.add(tool);
    for (const { mcp, registered } of sessions.values()) {
      registered.set(tool, mcp.registerTool(tool, { description: tool }, answer));
    }
  };
  server.removeTool = (tool) => {
    offered.delete(tool);
    for (const { registered } of sessions.values()) registered.get(tool)?.remove();
  };
  server.ping = () => Promise.all([...sessions.values()].map(({ mcp }) => mcp.server.ping()));
  server.cutStreams = () => server.http.closeAllConnections();
  server.forgetSessions = () => {
    sessions.clear();
    server.http.closeAllConnections();
  };
  return server;
}

/** Of the stateless era: {url, requests, addTool(name), removeTool(name), cutStreams(), close()}. */
export async function startStatelessServer(t, { tools = ['one'], name = 'stateless-server', port, options, admit = () => true } = {}) {
  const offered = new Set(tools);
  const handler = createMcpHandler(
    () => {
      const mcp = new StatelessMcpServer({ name, version: '2.0.0' }, { capabilities: { tools: { listChanged: true } } });
      for (const tool of offered) mcp.registerTool(tool, { description: tool }, answer);
      return mcp;
    },
    { legacy: 'reject', ...options },
  );
  const respond = toNodeHandler(handler);
  const server = { requests: [], offered };
  Object.assign(server, await listen(t, (request, response) => {
    if (!admit(request, response)) return undefined;
    server.requests.push({ method: request.method, mcp: request.headers['mcp-method'] ?? null });
    return respond(request, response);
  }, port));
  server.count = (mcp) => server.requests.filter((each) => each.mcp === mcp).length;
  server.addTool = (tool) => {
    offered.add(tool);
    handler.notify.toolsChanged();
  };
  server.removeTool = (tool) => {
    offered.delete(tool);
    handler.notify.toolsChanged();
  };
  server.cutStreams = () => server.http.closeAllConnections();
  return server;
}
