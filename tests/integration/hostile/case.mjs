// What the cases have in common. A case is:
//
//   era, on, tools, definition   its server (lib/hostile.mjs), and more keys of its definition in the servers file;
//                                `socket` instead of `era` and `on` for a server that is not even HTTP
//   scheme                       https, for a socket that is asked for TLS
//   state, error                 what the broker must show: listening when left out, and any error
//   asked                        how often each step is asked for: a number, or [least, most]
//   after(it)                    what else must be true then; `it` has server, row() as the broker shows it,
//                                heard(count) waits for that many changes, hasError(pattern) for an error
import assert from 'node:assert/strict';

/** Failed attempts after which a server is `failed`. */
export const tries = 3;
/** An attempt that times out, long enough to get through the steps before on a busy machine. */
export const short = { timeout: 4000 };
export const timedOut = /timed out after|no answer from \S+ within|not complete within/;
/** Another origin, which must never be asked; it is started before the cases. */
export const elsewhere = { url: '' };

export const request = (id, method) => ({ jsonrpc: '2.0', id, method });
export const result = (x, body) => ({ jsonrpc: '2.0', id: x.id, result: body });
export const page = (name, nextCursor) => ({ tools: [{ name, inputSchema: { type: 'object' } }], nextCursor });
export const oneTool = page('one');
/** All of these servers are of the same era. */
export const inEra = (era, cases) => Object.fromEntries(Object.entries(cases).map(([what, each]) => [what, { era, ...each }]));
/** The first time this, then what is right. */
export const once = (step) => (x, n) => (n === 1 ? step(x) : x.well());
/** The same answer to everything that an attempt begins with. */
export const always = (step) => ({ 'server/discover': step, initialize: step, GET: step });

/** A change that is heard proves that the connection still works, and that nothing before it counted as one. */
export async function stillHears({ server, heard }) {
  server.change();
  await heard(1);
}

/** The longest that a server can ask for is 10 minutes. */
export async function waitsMinutes({ row }) {
  const minutes = ((await row()).nextAttempt - Date.now()) / 60_000;
  assert.ok(minutes > 8 && minutes < 13, `${minutes} minutes`);
}
