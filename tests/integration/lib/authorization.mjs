// An authorization server of the test's own, and a guard that lets an MCP server have only requests with its tokens.
// It knows three clients: `secret` (client_secret_basic), `key` (private_key_jwt), `public` (a refresh token).
import { createServer } from 'node:http';
import { generateKeyPairSync, randomUUID, verify } from 'node:crypto';

const assertionType = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
const digest = { RS256: 'sha256', ES256: 'sha256', ES384: 'sha384' };

const readBody = async (request) => {
  let text = '';
  for await (const chunk of request.setEncoding('utf8')) text += chunk;
  return text;
};

/** {issuer, secret, refreshToken, requests, newKey(algorithm), admit, refused, revoke(), fail, hold, issuers}. `requests` has
 * an entry for each token request; `refused` one for each request that `admit` refused, saying why; with `fail` set to a
 * status, token requests get that; `hold` is a promise that they wait for. With `rotates` a refresh token is good once, and
 * `refreshToken` is always the one that is good. `issuers` are named in the metadata of the server. */
export async function startAuthorizationServer(t, { lifetime = 3600, scope, rotates = false } = {}) {
  const as = { secret: `secret-${randomUUID()}`, refreshToken: `refresh-${randomUUID()}`, requests: [], refused: [], tokens: new Map() };
  const used = new Set();
  let key;

  function isSigned(assertion) {
    const [head, claims, signature] = assertion.split('.');
    const { alg, typ } = JSON.parse(Buffer.from(head, 'base64url'));
    const { iss, sub, aud, exp, jti } = JSON.parse(Buffer.from(claims, 'base64url'));
    const now = Date.now() / 1000;
    const isNew = typeof jti === 'string' && !used.has(jti);
    used.add(jti);
    return isNew && typ === 'JWT' && iss === 'key' && sub === 'key' && aud === as.issuer && exp > now && exp < now + 3600 &&
      verify(digest[alg], Buffer.from(`${head}.${claims}`), { key, dsaEncoding: 'ieee-p1363' }, Buffer.from(signature, 'base64url'));
  }
  function isKnown(request, form) {
    if (form.get('grant_type') === 'refresh_token') return form.get('client_id') === 'public';
    if (form.get('grant_type') !== 'client_credentials') return false;
    if (form.has('client_assertion')) return form.get('client_assertion_type') === assertionType && isSigned(form.get('client_assertion'));
    return request.headers.authorization === `Basic ${Buffer.from(`secret:${as.secret}`).toString('base64')}`;
  }
  function answer(request, form) {
    if (as.fail) return [as.fail, { error: 'temporarily_unavailable' }];
    // what the client gave is repeated, as some servers do: it must not get into a log
    if (!isKnown(request, form)) return [401, { error: 'invalid_client', error_description: `${request.headers.authorization} ${form}` }];
    const refreshes = form.get('grant_type') === 'refresh_token';
    if (refreshes && form.get('refresh_token') !== as.refreshToken) return [400, { error: 'invalid_grant' }];
    const token = `token-${randomUUID()}`;
    as.tokens.set(token, { resource: form.get('resource'), scope: form.get('scope'), until: Date.now() + lifetime * 1000 });
    if (refreshes && rotates) as.refreshToken = `refresh-${randomUUID()}`;
    return [200, { access_token: token, token_type: 'Bearer', expires_in: lifetime, ...(refreshes && rotates && { refresh_token: as.refreshToken }) }];
  }
  const http = createServer(async (request, response) => {
    const send = (status, body) => response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    if (request.url === '/.well-known/oauth-authorization-server/tenant') {
      send(200, { issuer: as.issuer, token_endpoint: `${as.origin}/token`, response_types_supported: ['code'] });
    } else if (request.url === '/token' && request.method === 'POST') {
      const form = new URLSearchParams(await readBody(request));
      as.asked = (as.asked ?? 0) + 1;
      await as.hold;
      const [status, body] = answer(request, form);
      as.requests.push({ status, form });
      send(status, body);
    } else {
      send(404, {});
    }
  });
  await new Promise((resolve, reject) => http.once('error', reject).listen(0, '127.0.0.1', resolve));
  t.after(() => {
    http.closeAllConnections();
    return new Promise((resolve) => http.close(resolve));
  });
  as.origin = `http://127.0.0.1:${http.address().port}`;
  as.issuer = `${as.origin}/tenant`;
  as.issuers = [as.issuer];

  as.newKey = (algorithm) => {
    const [type, options] = algorithm.startsWith('RS') ? ['rsa', { modulusLength: 2048 }] : ['ec', { namedCurve: 'P-256' }];
    const pair = generateKeyPairSync(type, options);
    key = pair.publicKey;
    return pair.privateKey.export({ type: 'pkcs8', format: 'pem' });
  };
  as.revoke = () => as.tokens.clear();

  /** For `admit` of lib/servers.mjs. */
  as.admit = (request, response) => {
    const resource = `http://${request.headers.host}/mcp`;
    const metadata = `http://${request.headers.host}/.well-known/oauth-protected-resource/mcp`;
    if (request.url === '/.well-known/oauth-protected-resource/mcp') {
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ resource, authorization_servers: as.issuers }));
      return false;
    }
    const [, token] = request.headers.authorization?.match(/^Bearer (\S+)$/) ?? [];
    const known = as.tokens.get(token);
    let challenge;
    if (!token) challenge = 'no token';
    else if (!known) challenge = 'unknown token';
    else if (known.until < Date.now()) challenge = 'expired token';
    else if (known.resource !== resource) challenge = 'token for another resource';
    else if (scope && !known.scope?.split(' ').includes(scope)) challenge = 'insufficient scope';
    if (!challenge) return true;
    as.refused.push(challenge);
    if (challenge === 'insufficient scope') {
      response.writeHead(403, { 'www-authenticate': `Bearer error="insufficient_scope", scope="${scope}"` }).end();
    } else {
      response.writeHead(401, { 'www-authenticate': `Basic realm="x, y", Bearer resource_metadata="${metadata}"` }).end();
    }
    return false;
  };
  return as;
}
