// A certificate authority of the test's own, made by openssl in a folder of its own.
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer as createSecureServer } from 'node:https';
import { createSecureServer as createHttp2Server } from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from './process.mjs';

const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

/** {caFile, issue({names, days})}: a key and a certificate for names as openssl has them ("IP:127.0.0.1,DNS:host"). */
export async function startAuthority(t) {
  const folder = await mkdtemp(join(tmpdir(), 'mcp-broker-ca-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const openssl = async (...args) => {
    const { code, stderr } = await run('openssl', args, { cwd: folder });
    assert.equal(code, 0, stderr);
  };
  await openssl('req', '-x509', ...newKey, '-keyout', 'ca.key', '-out', 'ca.pem', '-subj', '/CN=Test CA', '-days', '2');
  let issued = 0;
  return {
    caFile: join(folder, 'ca.pem'),
    issue: async ({ names = 'IP:127.0.0.1', days = 2 } = {}) => {
      const serial = String(++issued);
      const [key, request, cert] = ['key', 'csr', 'pem'].map((kind) => `${serial}.${kind}`);
      await openssl('req', ...newKey, '-keyout', key, '-out', request, '-subj', '/CN=test', '-addext', `subjectAltName=${names}`);
      await openssl('x509', '-req', '-in', request, '-CA', 'ca.pem', '-CAkey', 'ca.key', '-set_serial', serial,
        '-copy_extensions', 'copy', '-days', String(days), '-out', cert);
      return { key: await readFile(join(folder, key)), cert: await readFile(join(folder, cert)) };
    },
  };
}

/** Both for startHostileServer. */
export const overTls = (credentials) => ({ scheme: 'https', listener: (handler) => createSecureServer(credentials, handler) });
export const overHttp2 = (credentials) => ({
  scheme: 'https',
  listener: (handler) => {
    const server = createHttp2Server({ ...credentials, allowHTTP1: true }, handler);
    const sockets = new Set();
    server.on('connection', (socket) => sockets.add(socket.on('close', () => sockets.delete(socket))));
    server.closeAllConnections = () => sockets.forEach((socket) => socket.destroy());
    return server;
  },
});
