// MCP servers that are programs of their own, from npm: started on a free port, killed at the end of the test.
import { createServer } from 'node:net';
import { start } from './process.mjs';
import { until } from './wait.mjs';

const modules = new URL('../node_modules/', import.meta.url).pathname;
/** server-everything, as a script of node. */
export const everything = `${modules}@modelcontextprotocol/server-everything/dist/index.js`;
const vanilla = `${modules}@modelcontextprotocol/server-basic-vanillajs/dist/index.js`;
const proxy = `${modules}mcp-proxy/dist/bin/mcp-proxy.mjs`;
/** A server on the reference SDK that speaks stdio, and adds a tool at each SIGUSR2. */
export const stdioServer = new URL('./stdio-server.mjs', import.meta.url).pathname;
/** The same on the SDK 2.x, and one whose arguments say in what it misbehaves. */
export const stdioStateless = new URL('./stdio-stateless.mjs', import.meta.url).pathname;
export const stdioScript = new URL('./stdio-script.mjs', import.meta.url).pathname;

/** A port that nobody listens on just now. */
export async function freePort() {
  const probe = createServer();
  const port = await new Promise((resolve, reject) => {
    probe.once('error', reject).listen(0, '127.0.0.1', () => resolve(probe.address().port));
  });
  await new Promise((resolve) => probe.close(resolve));
  return port;
}

/** Starts a script of node and waits until it prints something that `ready` matches. */
export async function startProgram(t, args, { port, ready, path = '/mcp' }) {
  const program = start(process.execPath, args, { env: { ...process.env, PORT: String(port) } });
  t.after(async () => {
    program.kill('SIGKILL');
    await program.exit;
  });
  await until(`${args[0]} to listen`, () => {
    if (program.ended) throw new Error(program.stderr);
    return ready.test(program.stdout + program.stderr);
  });
  return { program, url: `http://127.0.0.1:${port}${path}` };
}

/** server-everything; `transport` is streamableHttp or sse. */
export const startEverything = async (t, transport) =>
  startProgram(t, [everything, transport], {
    port: await freePort(), ready: /running on port|listening on port/, path: transport === 'sse' ? '/sse' : '/mcp',
  });

/** A stateless server of the session era, whose stream is open and never says anything. */
export const startVanilla = async (t) => startProgram(t, [vanilla], { port: await freePort(), ready: /listening on/ });

/** mcp-proxy in front of a stdio server: both eras on /mcp, HTTP+SSE on /sse. */
export async function startProxy(t, { flags = [], path } = {}) {
  const port = await freePort();
  return startProgram(t, [proxy, '--host', '127.0.0.1', '--port', String(port), ...flags, '--', process.execPath, stdioServer], {
    port, path, ready: /starting server on port/,
  });
}
