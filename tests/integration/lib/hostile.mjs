// A scripted MCP server. It behaves well in one of the three eras, but for the steps that a test replaces: then it breaks
// whatever rule the test wants, down to single bytes. It keeps every request with its time, so that a test can count.
import { createServer } from 'node:http';
import { createServer as createTcpServer } from 'node:net';

const meta = (key, value) => ({ _meta: { [`io.modelcontextprotocol/${key}`]: value } });
const capabilities = { tools: { listChanged: true } };
const serverInfo = { name: 'hostile', version: '1.0.0' };

export const jsonType = { 'Content-Type': 'application/json' };
export const streamType = { 'Content-Type': 'text/event-stream' };
export const changed = { jsonrpc: '2.0', method: 'notifications/tools/list_changed' };

/** A step that is never answered. */
export const stall = () => {};

/** One event of a stream. `data` is an object, or text as it is. */
export function event(data, { id, type, retry } = {}) {
  const text = typeof data === 'string' ? data : JSON.stringify(data);
  const fields = Object.entries({ event: type, id, retry, data: text }).filter(([, value]) => value !== undefined);
  return `${fields.map(([name, value]) => `${name}: ${value}\n`).join('')}\n`;
}

/** One request and the ways to answer it. */
class Exchange {
  constructor(server, request, response, message) {
    Object.assign(this, { server, request, response, message, id: message?.id });
    this.path = new URL(request.url, 'http://host').pathname;
    this.headers = request.headers;
    this.lastEventId = request.headers['last-event-id'];
    this.isOpen = true;
    response.on('error', () => {}).on('close', () => (this.isOpen = false));
  }
  /** What is asked for: a JSON-RPC method, `reply` for an answer to a request of the server, or an HTTP method. */
  get step() {
    if (this.server.era === 'sse' && this.request.method === 'POST' && this.path === '/mcp') return 'POST';
    return this.message?.method ?? (this.request.method === 'POST' ? 'reply' : this.request.method);
  }
  /** As a good server of the era. */
  well() {
    return wells[this.server.era][this.step]?.(this) ?? (this.response.headersSent ? undefined : this.send(404));
  }
  /** Whether the session has an open stream already. */
  hasRival() {
    return this.server.open().some((each) => each.headers['mcp-session-id'] === this.headers['mcp-session-id']);
  }
  send(status, headers = {}, body = '') {
    this.response.writeHead(status, headers).end(body);
    return this;
  }
  json(value, { status = 200, headers = {} } = {}) {
    return this.send(status, { ...jsonType, ...headers }, JSON.stringify(value));
  }
  reply(body, options) {
    const message = { jsonrpc: '2.0', id: this.id, ...body };
    if (this.server.era !== 'sse' || this.path === '/mcp') return this.json(message, options);
    this.server.tell(message);
    return this.send(202);
  }
  result(result, options) {
    return this.reply({ result }, options);
  }
  error(code, { data, message = 'no', ...options } = {}) {
    return this.reply({ error: { code, message, data } }, options);
  }
  /** Begins an event stream. */
  open(headers) {
    this.response.writeHead(200, { ...streamType, ...headers }).flushHeaders();
    return this;
  }
  /** Begins the stream that changes are told on. */
  listen(headers) {
    this.server.streams.push(this);
    return this.open(headers);
  }
  write(bytes) {
    this.response.write(bytes);
    return this;
  }
  /** Each message as an event. */
  say(...messages) {
    return this.write(messages.map((message) => event(message)).join(''));
  }
  /** Of the stateless era: `kinds` as { toolsListChanged: true }. */
  acknowledge(kinds = { toolsListChanged: true }, subscription = this.id) {
    const params = { notifications: kinds, ...meta('subscriptionId', subscription) };
    return this.say({ jsonrpc: '2.0', method: 'notifications/subscriptions/acknowledged', params });
  }
  /** The notification as it belongs on this stream; `subscription` is another one's, or null for none. */
  changed(subscription = this.id) {
    const isTagged = this.server.era === 'stateless' && subscription !== null;
    return isTagged ? { ...changed, params: meta('subscriptionId', subscription) } : changed;
  }
  end(bytes) {
    this.response.end(bytes);
    return this;
  }
  cut() {
    this.response.destroy();
    return this;
  }
}

const toolsOf = (x) => ({ tools: x.server.tools.map((name) => ({ name, inputSchema: { type: 'object' } })) });
const listTools = (x) => x.result(toolsOf(x));

export const goodHello = (protocolVersion) => ({ protocolVersion, capabilities, serverInfo });
export const goodDiscovery = {
  resultType: 'complete', supportedVersions: ['2026-07-28'], capabilities, ...meta('serverInfo', serverInfo),
};

const wells = {
  stateless: {
    'server/discover': (x) => x.result(goodDiscovery),
    'subscriptions/listen': (x) => x.listen().acknowledge(x.message.params.notifications),
    'tools/list': (x) => x.result({ ...toolsOf(x), ...meta('serverInfo', serverInfo) }),
    initialize: (x) => x.error(-32022, { status: 400, data: { supported: ['2026-07-28'] } }),
  },
  session: {
    'server/discover': (x) => x.error(-32000, { status: 400 }),
    initialize: (x) => {
      const headers = { 'Mcp-Session-Id': `session-${x.server.count('initialize')}` };
      return x.result(goodHello('2025-11-25'), { headers });
    },
    'notifications/initialized': (x) => x.send(202),
    'notifications/cancelled': (x) => x.send(202),
    reply: (x) => x.send(202),
    'tools/list': listTools,
    GET: (x) => (x.hasRival() ? x.error(-32000, { status: 409 }) : x.listen()),
    DELETE: (x) => x.send(200),
  },
  sse: {
    POST: (x) => x.send(404, { 'Content-Type': 'text/html' }, '<h1>Cannot POST</h1>'),
    GET: (x) => x.listen().write('event: endpoint\ndata: /messages?session=1\n\n'),
    initialize: (x) => x.result(goodHello('2024-11-05')),
    'notifications/initialized': (x) => x.send(202),
    'notifications/cancelled': (x) => x.send(202),
    reply: (x) => x.send(202),
    'tools/list': listTools,
  },
};

async function bodyOf(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

const parsed = (text) => (text === '' ? undefined : JSON.parse(text));

const plain = (handler) => createServer({ keepAliveTimeout: 60_000 }, handler);

/** Starts one. `on` replaces steps: on.initialize(x, n) answers the n-th such request; x.well() does what is right.
 * `listener` makes something else than a plain HTTP server, to be reached by `scheme`, listening on `host`.
 * {url, era, tools, requests, count(step), times(step), asked(), streams, open(), tell(...messages), change(), cut()}. */
export async function startHostileServer(t, {
  era = 'session', on = {}, tools = ['one', 'two'], listener = plain, scheme = 'http', host = '127.0.0.1',
} = {}) {
  const server = { era, tools, requests: [], streams: [] };
  server.count = (step) => server.requests.filter((each) => each.step === step).length;
  server.times = (step) => server.requests.filter((each) => each.step === step).map((each) => each.at);
  server.asked = () => Object.fromEntries(server.requests.map(({ step }) => [step, server.count(step)]));
  server.open = () => server.streams.filter((each) => each.isOpen);
  server.tell = (...messages) => server.open().forEach((x) => x.say(...messages));
  server.change = () => server.open().forEach((x) => x.say(x.changed()));
  server.cut = () => server.open().forEach((x) => x.cut());

  const http = listener(async (request, response) => {
    const at = performance.now();
    const text = await bodyOf(request).catch(() => null);
    if (text === null) return; // the client left in the middle
    const x = new Exchange(server, request, response, parsed(text));
    server.requests.push({ at, step: x.step, message: x.message, headers: x.headers, path: x.path });
    await (on[x.step] ?? ((each) => each.well()))(x, server.count(x.step));
  });
  await listenOn(t, http, host);
  server.url = `${scheme}://${host.includes(':') ? `[${host}]` : host}:${http.address().port}/mcp`;
  return server;
}

/** One that is not even HTTP: `on(socket, n)` has each connection; `requests` are the connections. */
export async function startHostileSocket(t, on) {
  const server = { requests: [], sockets: new Set() };
  server.count = () => server.requests.length;
  server.times = () => server.requests.map((each) => each.at);
  server.asked = () => ({ connection: server.requests.length });
  const tcp = createTcpServer((socket) => {
    server.sockets.add(socket.on('error', () => {}).on('close', () => server.sockets.delete(socket)));
    server.requests.push({ at: performance.now(), step: 'connection', headers: {} });
    on(socket, server.requests.length);
  });
  tcp.closeAllConnections = () => server.sockets.forEach((socket) => socket.destroy());
  await listenOn(t, tcp);
  server.url = `http://127.0.0.1:${tcp.address().port}/mcp`;
  return server;
}

async function listenOn(t, listener, host = '127.0.0.1') {
  await new Promise((resolve, reject) => listener.once('error', reject).listen(0, host, resolve));
  t.after(async () => {
    listener.closeAllConnections();
    await new Promise((resolve) => listener.close(resolve));
  });
}
