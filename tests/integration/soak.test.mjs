// A minute of trouble: servers of both eras flap, die, come back on the same port, lose sessions and change their tools, at
// random and the same way in every run. Afterwards every change is accounted for by an event at or after it, the broker
// knows the lists as they are, and no process holds more than before.
//
// MCP_BROKER_SOAK_SECONDS is how long the trouble lasts, MCP_BROKER_SOAK_SEED another course of it.
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import test from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { childrenOf, startBroker } from './lib/broker.mjs';
import { residentKb, toleranceKb } from './lib/process.mjs';
import { startRandom } from './lib/random.mjs';
import { startRedis } from './lib/redis.mjs';
import { startSessionServer, startStatelessServer } from './lib/servers.mjs';
import { until } from './lib/wait.mjs';

const seconds = Number(process.env.MCP_BROKER_SOAK_SECONDS ?? 45);
const seed = Number(process.env.MCP_BROKER_SOAK_SEED ?? 20261123);
const count = 40;
const kinds = [startSessionServer, startStatelessServer];

/** A server with a port of its own, that can be away. What it offers is never again what it was before. */
async function startActor(t, i) {
  const actor = { id: `s${i}`, changes: 0, changedAt: 0 };
  const startServer = kinds[i % kinds.length];
  let tools = ['first'];
  actor.start = async () => {
    actor.server = await startServer(t, { tools, port: actor.server?.port });
    actor.isUp = true;
  };
  actor.stop = () => {
    actor.isUp = false;
    return actor.server.close();
  };
  actor.change = (random) => {
    const gone = tools.length > 5 || random.isOneIn(3) ? random.pick(tools) : null;
    const added = `tool-${++actor.changes}`;
    tools = [...tools.filter((tool) => tool !== gone), added];
    actor.changedAt = Date.now();
    if (!actor.isUp) return;
    actor.server.addTool(added);
    if (gone) actor.server.removeTool(gone);
  };
  actor.tools = () => tools.length;
  await actor.start();
  return actor;
}

/** One thing that happens to it. */
async function trouble(actor, random) {
  const what = random.below(20);
  if (what < 11) actor.change(random);
  else if (!actor.isUp) await actor.start();
  else if (what < 15) actor.server.cutStreams();
  else if (what < 17) actor.server.forgetSessions?.();
  else if (what < 19) await actor.stop();
  else {
    await actor.stop();
    await actor.start();
  }
}

const descriptors = (pid) => readdirSync(`/proc/${pid}/fd`).length;

test(`${count} servers in trouble for ${seconds} s`, { timeout: (seconds + 90) * 1000 }, async (t) => {
  const random = startRandom(seed);
  const redis = await startRedis(t);
  const messages = await redis.subscribe('mcp:tools_changed');
  const actors = await Promise.all(Array.from({ length: count }, (_, i) => startActor(t, i)));
  const servers = Object.fromEntries(actors.map(({ id, server }) => [id, { url: server.url }]));
  const flags = ['--retry-failed', '1s', '--stable-after', '2s', '--log-level', 'info'];
  const broker = await startBroker(t, {
    servers, args: ['--workers', '2', '--redis', redis.url, ...flags], env: { ASAN_OPTIONS: 'quarantine_size_mb=4' },
  });
  const pids = [broker.main.pid, ...childrenOf(broker.main.pid)];
  const isSettled = ({ serverId, state, toolCount, generation, published }) => state === 'listening' && generation === published &&
    toolCount === actors.find(({ id }) => id === serverId).tools();
  const settled = (of) => until('all to listen, and their lists to be known', async () => {
    const wrong = (await of.states()).filter((each) => !isSettled(each));
    return wrong.length === 0 || Promise.reject(new Error(JSON.stringify(wrong)));
  }, 30_000);
  await settled(broker);
  const held = pids.map(descriptors);

  const begun = performance.now();
  const part = () => (performance.now() - begun) / (seconds * 1000);
  let early;
  while (part() < 1) {
    await trouble(random.pick(actors), random);
    await pause(random.below(20));
    if (part() > 1 / 3) early ??= pids.map(residentKb);
  }
  for (const actor of actors.filter(({ isUp }) => !isUp)) await actor.start();
  await settled(broker);

  await until('an event at or after the last change of each', () => {
    const last = Object.fromEntries(messages.map(({ event }) => [event.serverId, event]));
    const missing = actors.filter(({ id, changedAt }) => changedAt > (last[id]?.timestamp ?? 0));
    return missing.length === 0 || Promise.reject(new Error(missing.map(({ id, changedAt }) => `${id} ${changedAt} ${JSON.stringify(last[id])}`).join()));
  });
  assert.ok(actors.every(({ changes }) => changes > 0));
  for (const { id } of actors) {
    const numbers = messages.filter(({ event }) => event.serverId === id).map(({ event }) => event.generation);
    assert.ok(numbers.every((number, i) => i === 0 || number > numbers[i - 1]), `${id}: in order, none twice: ${numbers}`);
  }
  const fresh = await startBroker(t, { servers, args: ['--workers', '1', ...flags] });
  await settled(fresh);
  const hashes = (states) => Object.fromEntries(states.map(({ serverId, toolsHash }) => [serverId, toolsHash]));
  assert.deepEqual(hashes(await broker.states()), hashes(await fresh.states()), 'as one sees them that has only just come');

  assert.deepEqual([broker.main.pid, ...childrenOf(broker.main.pid)], pids, 'nobody died');
  const late = pids.map(residentKb);
  for (const [i, pid] of pids.entries()) {
    assert.ok(late[i] <= early[i] + toleranceKb(pid, early[i]), `process ${i} has grown from ${early} to ${late} KB`);
  }
  await until('no more descriptors than before', () => {
    const now = pids.map(descriptors);
    return now.join() === held.join() || Promise.reject(new Error(`${now}, not ${held}`));
  });
});
