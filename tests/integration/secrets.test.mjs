// Marked secrets in every place where the broker is given one, and servers that send them back in every place where a
// server can say something. Then all that anybody can read of the broker is searched: its log, answers, events, metrics,
// files (the registry apart), and what the kernel shows of its processes.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { childrenOf, startBroker } from './lib/broker.mjs';
import { startAuthorizationServer } from './lib/authorization.mjs';
import { event, startHostileServer } from './lib/hostile.mjs';
import { freePort, stdioServer } from './lib/programs.mjs';
import { startRedis } from './lib/redis.mjs';
import { until } from './lib/wait.mjs';

const marks = ['header', 'user', 'query', 'secret', 'refresh', 'redis', 'http', 'session', 'env', 'stdio', 'proxy', 'runtime'];
const secretOf = (what) => `planted-${what}-7d41e09b`;
const coded = 'planted/coded+7d41e09b==';
const secrets = [...marks.map(secretOf), coded];

/** Whatever the request brought along, and this session's id. */
const broughtBy = (x) => [x.request.url, ...Object.entries(x.headers).map(([name, value]) => `${name}=${value}`), secretOf('session')].join(' ');
const printable = (text) => text.replace(/[\r\n]/g, ' ');

/** A server that repeats what it was given: `how` says where. */
const echoes = {
  status: (x) => x.response.writeHead(500, printable(broughtBy(x)), { 'Content-Type': 'text/plain' }).end(broughtBy(x)),
  header: (x) => x.send(503, { 'X-Echo': broughtBy(x), Server: broughtBy(x), 'Retry-After': secretOf('header') }, ''),
  body: (x) => x.json({ error: broughtBy(x), [broughtBy(x)]: 1 }, { status: 400 }),
  'JSON-RPC error': (x) => x.error(-32603, { message: broughtBy(x), data: { supported: [broughtBy(x)], all: broughtBy(x) } }),
  text: (x) => x.send(200, { 'Content-Type': 'text/plain' }, broughtBy(x)),
  'content type': (x) => x.send(200, { 'Content-Type': printable(`text/${broughtBy(x)}`) }, '{}'),
  challenge: (x) => x.send(401, { 'WWW-Authenticate': `Bearer error="${secretOf('header')}", error_description="${broughtBy(x).replaceAll('"', '')}", scope="${secretOf('query')}"` }, broughtBy(x)),
  redirect: (x) => x.send(302, { Location: `http://${secretOf('user')}@127.0.0.1/${secretOf('header')}?key=${secretOf('query')}` }, broughtBy(x)),
  'protocol version': (x) => x.result({ protocolVersion: broughtBy(x), capabilities: { tools: { listChanged: true } }, serverInfo: { name: broughtBy(x), version: broughtBy(x) } }),
};
const inAll = (echo) => ({ 'server/discover': echo, initialize: echo });

/** Well-behaved, but for what it says: server's name, tools' names and texts, ids and comments of its stream. */
const talkative = {
  initialize: (x) => x.result(
    { protocolVersion: '2025-11-25', capabilities: { tools: { listChanged: true } }, instructions: broughtBy(x), serverInfo: { name: `${x.headers['x-key']} ${secretOf('session')}`, version: `${x.headers.authorization}` } },
    { headers: { 'Mcp-Session-Id': secretOf('session') } }),
  'tools/list': (x) => x.result({ tools: x.server.tools.map((name) => ({ name: `${name} ${x.headers['x-key']} ${secretOf('query')} ${secretOf('session')}`, description: broughtBy(x), inputSchema: { type: 'object' } })) }),
  GET: (x) => x.listen().write(`: ${broughtBy(x)}\nid: ${secretOf('header')}\nevent: ${secretOf('query')}\ndata: ${broughtBy(x)}\n\n`)
    .write(event({ jsonrpc: '2.0', method: secretOf('header'), params: { text: broughtBy(x) } }, { id: secretOf('session') })),
};

/** All files below a folder, but those of the registry and sockets. */
const filesIn = (folder) => readdirSync(folder).map((name) => join(folder, name))
  .filter((path) => statSync(path).isFile() && !/\/registry\.db/.test(path));

const withChildren = (pid) => [pid, ...childrenOf(pid).flatMap(withChildren)];

for (const format of ['json', 'text']) {
  test(`no secret is told by anything, log as ${format}`, async (t) => {
    const redis = await startRedis(t, 'tcp', '--requirepass', secretOf('redis'));
    const as = await startAuthorizationServer(t);
    const withSecrets = ({ url }, more) => ({
      url: `${url.replace('://', `://${secretOf('user')}:${secretOf('user')}@`)}?key=${secretOf('query')}`,
      headers: { 'X-Key': '${PLANTED}', Authorization: `Bearer ${secretOf('header')}` }, ...more,
    });
    const auth = { type: 'client_credentials', clientId: 'secret', clientSecret: secretOf('secret'), tokenEndpoint: `${as.origin}/token` };
    const talker = await startHostileServer(t, { on: talkative });
    // Two steps of it want a token, which it then repeats in its name.
    const admitted = (step) => (x) => (as.admit(x.request, x.response) ? step(x) : undefined);
    const tokened = await startHostileServer(t, {
      on: {
        initialize: admitted((x) => x.result({ protocolVersion: '2025-11-25', capabilities: { tools: { listChanged: true } }, serverInfo: { name: x.headers.authorization, version: '1' } })),
        'tools/list': admitted((x) => x.result({ tools: x.server.tools.map((name) => ({ name: `${name} ${x.headers.authorization}`, inputSchema: { type: 'object' } })) })),
      },
    });
    // What is written in another way than it was given: by JSON, by the URL, by libcurl.
    const escaped = (text) => JSON.stringify(text).replaceAll('/', '\\/').replaceAll('+', '\\u002b');
    const rewriter = await startHostileServer(t, {
      on: {
        initialize: (x) => {
          const { headers, request } = x;
          const said = [headers.authorization, headers['x-key'], new URL(request.url, 'http://host').searchParams.get('key')].join(' ');
          return x.send(200, { 'Content-Type': 'application/json' }, `{"jsonrpc":"2.0","id":${x.id},"result":{"protocolVersion":"2025-11-25",`
            + `"capabilities":{"tools":{"listChanged":true}},"serverInfo":{"name":${escaped(said)},"version":"1"}}}`);
        },
      },
    });
    const guarded = await startHostileServer(t, { on: inAll(echoes.challenge) });
    const servers = {
      talker: withSecrets(talker),
      closed: withSecrets({ url: `http://127.0.0.1:${await freePort()}/mcp` }),
      proxied: withSecrets(talker, { proxy: `http://user:${secretOf('proxy')}@127.0.0.1:${await freePort()}` }),
      'wrong-secret': { url: guarded.url, auth },
      'wrong-refresh': { url: guarded.url, auth: { type: 'refresh_token', clientId: 'public', refreshToken: secretOf('refresh'), tokenEndpoint: `${as.origin}/token` } },
      tokened: { url: tokened.url, auth: { ...auth, clientSecret: as.secret } },
      noisy: { command: 'sh', args: ['-c', 'echo "$TOKEN" >&2; exit 1'], env: { TOKEN: secretOf('stdio') } },
      stdio: { command: process.execPath, args: [stdioServer], env: { TOKEN: secretOf('stdio') } },
    };
    for (const [how, echo] of Object.entries(echoes)) servers[how] = withSecrets(await startHostileServer(t, { on: inAll(echo) }));
    servers.rewriter = {
      url: `${rewriter.url.replace('://', `://${secretOf('user')}:${secretOf('user')}@`)}?key=${encodeURIComponent(coded)}`, headers: { 'X-Key': coded },
    };
    const port = await freePort();
    const folder = await mkdtemp(join(tmpdir(), 'mcp-broker-secrets-'));
    t.after(() => rm(folder, { recursive: true, force: true }));
    const tokenFile = join(folder, 'token');
    await writeFile(tokenFile, `${secretOf('http')}\n`, { mode: 0o600 });
    const broker = await startBroker(t, {
      servers, env: { PLANTED: secretOf('env') },
      args: ['--workers', '1', '--max-attempts', '2', '--enrich', '--status-events', '--audit', 'detailed', '--log-level', 'debug', '--log-format', format,
        '--redis', redis.url.replace('://', `://:${secretOf('redis')}@`), '--http', `127.0.0.1:${port}`, '--http-token-file', tokenFile, '--allow-net', '127.0.0.0/8'],
    });
    const watch = await broker.watch();
    await broker.untilState('talker', 'listening');
    await broker.untilState('stdio', 'listening');
    await broker.untilState('rewriter', 'listening');
    await broker.untilState('tokened', 'listening');
    await until('the list', async () => (await broker.ask('show', 'talker')).toolCount === 2);
    await broker.ctl(['connect', '--id', 'late', '--url', `http://127.0.0.1:1/mcp?key=${secretOf('runtime')}`, '--header', `Authorization: Bearer ${secretOf('runtime')}`]);
    await until('all to be settled', async () =>
      (await broker.states()).every(({ state }) => !['queued', 'connecting', 'backoff'].includes(state)), 40_000);
    talker.tools.push('three');
    talker.change();
    await until('the event', () => watch.events().some((each) => each.serverId === 'talker' && each.added?.length === 1));

    const ids = (await broker.states()).map(({ serverId }) => serverId);
    const outputs = [];
    for (const args of [['status'], ['workers'], ['states'], ['ping'], ...ids.map((id) => ['show', id])]) {
      for (const form of [[], ['--json']]) {
        const { stdout, stderr } = await broker.ctl([...form, ...args]);
        outputs.push([`mcp-brokerctl ${form.join('')} ${args.join(' ')}`, stdout + stderr]);
      }
    }
    const metrics = await fetch(`http://127.0.0.1:${port}/metrics`, { headers: { Authorization: `Bearer ${secretOf('http')}` } });
    assert.equal(metrics.status, 200);
    outputs.push(['metrics', await metrics.text()], ['events', JSON.stringify(watch.events())]);
    const pids = withChildren(broker.main.pid);
    assert.ok(pids.length >= 6, 'supervisor, hub, worker, spawner, keeper, server');
    const server = pids.find((pid) => /stdio-server/.test(readFileSync(`/proc/${pid}/cmdline`, 'utf8')));
    for (const pid of pids) {
      const name = readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
      outputs.push([`cmdline of ${name}`, readFileSync(`/proc/${pid}/cmdline`, 'latin1')]);
      // A stdio server has what its definition gives to it.
      const environment = readFileSync(`/proc/${pid}/environ`, 'latin1');
      outputs.push([`environment of ${name}`, pid === server ? environment.replace(secretOf('stdio'), '') : environment]);
    }
    for (const path of [...filesIn(broker.runDir), ...filesIn(broker.stateDir)]) outputs.push([path, (await readFile(path)).toString('latin1')]);
    await broker.stop();
    assert.match(broker.main.stderr, /stdio\.stderr.*\*{8}/, 'it was written, and covered');
    outputs.push(['log', broker.main.stderr]);

    const base64 = secrets.flatMap((secret) => [`${secret}:${secret}`, `:${secret}`, `secret:${secret}`, `user:${secret}`].map((text) => Buffer.from(text).toString('base64')));
    const wanted = [...secrets, ...base64, as.secret, ...as.tokens.keys()];
    const found = outputs.flatMap(([where, text]) => wanted.filter((each) => text.includes(each))
      .map((each) => `${where}: ${each} in …${text.slice(Math.max(0, text.indexOf(each) - 120), text.indexOf(each) + 40)}…`));
    assert.deepEqual(found, []);
    assert.ok(talker.requests.some(({ headers }) => headers['x-key'] === secretOf('env')), 'it was sent');
    assert.ok(as.tokens.size > 0 && tokened.requests.some(({ headers }) => headers.authorization), 'so was the token');
  });
}
