// Many simulated MCP servers in one process, as light as they can be: half of the session era, half of the stateless era.
// A server's one tool is named after the number of its last change, so that a list tells which changes it has.
import { createServer } from 'node:http';

const json = { 'Content-Type': 'application/json' };
const stream = { 'Content-Type': 'text/event-stream' };
const key = (name) => `io.modelcontextprotocol/${name}`;
const capabilities = { tools: { listChanged: true } };
const serverInfo = { name: 'fleet', version: '1.0.0' };

class Server {
  constructor(id, era) {
    Object.assign(this, { id, era, version: 0, changedAt: 0, streams: new Set(), mostStreams: 0, longestOverlap: 0, sessions: new Set(), opened: 0 });
  }
  open(response, subscription, session) {
    const held = { response, subscription, session };
    response.writeHead(200, stream);
    this.streams.add(held);
    this.opened++;
    this.mostStreams = Math.max(this.mostStreams, this.streams.size);
    if (this.streams.size === 2) this.overlapSince = performance.now();
    response.on('close', () => {
      this.streams.delete(held);
      if (this.streams.size === 1) this.longestOverlap = Math.max(this.longestOverlap, performance.now() - this.overlapSince);
    }).on('error', () => {});
    return held;
  }
  say({ response, subscription }, method, params) {
    const tagged = subscription === undefined ? params : { ...params, _meta: { [key('subscriptionId')]: subscription } };
    response.write(`data: ${JSON.stringify({ jsonrpc: '2.0', method, ...(tagged && { params: tagged }) })}\n\n`);
  }
  change() {
    this.changedAt = Date.now();
    this.version++;
    for (const held of this.streams) this.say(held, 'notifications/tools/list_changed');
  }
  cut() {
    for (const { response } of this.streams) response.destroy();
  }
  /** As a server that was restarted: its sessions are gone. */
  forget() {
    this.sessions.clear();
    this.cut();
  }
  get tools() {
    return [{ name: `change-${this.version}`, inputSchema: { type: 'object' } }];
  }
}

function answer(server, request, response, message) {
  const send = (status, headers = {}, body = '') => response.writeHead(status, headers).end(body);
  const reply = (body, status = 200, headers = {}) =>
    send(status, { ...json, ...headers }, JSON.stringify({ jsonrpc: '2.0', id: message?.id ?? null, ...body }));
  const session = request.headers['mcp-session-id'];
  if (session && !server.sessions.has(session)) return reply({ error: { code: -32001, message: 'Session not found' } }, 404);
  if (server.era === 'stateless') {
    switch (message?.method) {
      case 'server/discover':
        return reply({ result: { resultType: 'complete', supportedVersions: ['2026-07-28'], capabilities, _meta: { [key('serverInfo')]: serverInfo } } });
      case 'tools/list':
        return reply({ result: { resultType: 'complete', tools: server.tools } });
      case 'subscriptions/listen':
        return server.say(server.open(response, message.id), 'notifications/subscriptions/acknowledged', { notifications: message.params.notifications });
      default:
        return reply({ error: { code: -32022, message: 'no', data: { supported: ['2026-07-28'] } } }, 400);
    }
  }
  if (request.method === 'GET') {
    if (!session) return send(400);
    if ([...server.streams].some((held) => held.session === session)) return send(409);
    return server.open(response, undefined, session).response.flushHeaders();
  }
  if (request.method === 'DELETE') {
    server.sessions.delete(session);
    return send(200);
  }
  switch (message?.method) {
    case 'initialize': {
      const id = `${server.id}-${(server.nextSession = (server.nextSession ?? 0) + 1)}`;
      server.sessions.add(id);
      return reply({ result: { protocolVersion: '2025-11-25', capabilities, serverInfo } }, 200, { 'Mcp-Session-Id': id });
    }
    case 'tools/list':
      return reply({ result: { tools: server.tools } });
    case 'server/discover':
      return reply({ error: { code: -32000, message: 'no' } }, 400);
    default:
      return send(202);
  }
}

/** An array of `count` servers, and its `definitions` for a servers file. Each has {id, version, changedAt, streams, mostStreams,
 * longestOverlap (ms that it was held twice), opened, change(), cut(), forget()}. */
export async function startFleet(t, count) {
  const fleet = Array.from({ length: count }, (_, i) => new Server(`server-${i}`, i % 2 ? 'session' : 'stateless'));
  const byPath = new Map(fleet.map((server) => [`/${server.id}`, server]));
  const http = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
    const server = byPath.get(request.url);
    let text = '';
    request.setEncoding('utf8').on('data', (chunk) => (text += chunk)).on('error', () => {});
    request.on('end', () => (server ? answer(server, request, response, text ? JSON.parse(text) : undefined) : response.writeHead(404).end()));
  });
  http.on('clientError', (_, socket) => socket.destroy());
  await new Promise((resolve, reject) => http.once('error', reject).listen(0, '127.0.0.1', 4096, resolve));
  t.after(async () => {
    http.closeAllConnections();
    await new Promise((resolve) => http.close(resolve));
  });
  const origin = `http://127.0.0.1:${http.address().port}`;
  fleet.definitions = Object.fromEntries(fleet.map((server) => [server.id, { url: `${origin}/${server.id}`, workspaceId: 'w1' }]));
  return fleet;
}
