// The era that was right the last time: kept in the table, used first at the next connect, dropped when it fails, asked
// anew now and then. What was asked of the server tells which of these it was.
import assert from 'node:assert/strict';
import test from 'node:test';
import { startBroker } from './lib/broker.mjs';
import { startHostileServer } from './lib/hostile.mjs';
import { startSessionServer, startStatelessServer } from './lib/servers.mjs';
import { until } from './lib/wait.mjs';

const isOpen = (server) => () => server.open().length === 1;
const steps = (server, from) => server.requests.slice(from).map(({ step }) => step);

/** What is asked of an unknown server until it is known to be of this era, the last of which is the first of this era. */
const eras = { session: ['subscriptions/listen', 'server/discover', 'initialize'], sse: ['POST', 'POST', 'POST', 'GET'] };
for (const [era, probe] of Object.entries(eras)) {
  test(`a server of the ${era} era is probed once: not at a reconnect, by another worker, nor by another broker`, async (t) => {
    const server = await startHostileServer(t, { era });
    const broker = await startBroker(t, { servers: { s: { url: server.url } }, args: ['--workers', '1'] });
    const isListening = async () => {
      await until('the stream', isOpen(server));
      assert.equal((await broker.untilTools('s', 2)).era, era);
    };
    await isListening();
    assert.deepEqual(steps(server, 0).slice(0, probe.length), probe);

    const reconnects = {
      'a stream that is cut': () => server.cut(),
      'a worker that is killed': async () => process.kill(await broker.workerPid(0), 'SIGKILL'),
      'a broker that is started again': async () => {
        await broker.stop();
        await broker.start();
      },
    };
    for (const [what, lose] of Object.entries(reconnects)) {
      const before = server.requests.length;
      await lose();
      await until(`${what}: a request`, () => steps(server, before).some((step) => step !== 'DELETE'));
      await isListening();
      const asked = steps(server, before).filter((step) => step !== 'DELETE');
      assert.equal(asked[0], probe.at(-1), `${what}: ${asked}`);
      assert.ok(!asked.includes(probe[0]), `${what}: ${asked}`);
    }
  });
}

/** Another server takes the port of the first one. Each is on its reference SDK. */
const replacements = {
  'a server of the session era, by a stateless one': [startSessionServer, startStatelessServer, 'stateless'],
  'a stateless server, by one of the session era': [startStatelessServer, startSessionServer, 'session'],
};
for (const [what, [startOld, startNew, era]] of Object.entries(replacements)) {
  test(`${what}, on the same port: found`, async (t) => {
    const old = await startOld(t);
    const broker = await startBroker(t, { servers: { s: { url: old.url } }, args: ['--workers', '1', '--max-attempts', '1000'] });
    await broker.untilTools('s', 1);
    await old.close();
    const server = await startNew(t, { port: old.port, tools: ['one', 'two'] });
    const shown = await broker.untilTools('s', 2);
    assert.equal(shown.era, era);
    server.addTool('three');
    assert.equal((await broker.untilTools('s', 3)).era, era);
  });
}

test('an upgrade is found though the old era still works', async (t) => {
  let isUpgraded = false;
  const server = await startHostileServer(t, {
    on: {
      'subscriptions/listen': (x) => {
        if (isUpgraded) server.era = 'stateless';
        return x.well();
      },
    },
  });
  const broker = await startBroker(t, {
    servers: { s: { url: server.url } },
    args: ['--workers', '1', '--stable-after', '0s', '--backoff-base', '10ms', '--max-attempts', '1000'],
  });
  await broker.untilTools('s', 2);
  isUpgraded = true;
  for (let cuts = 0; server.count('subscriptions/listen') === 1; cuts++) {
    assert.ok(cuts <= 16, JSON.stringify(server.asked()));
    const streams = server.streams.length;
    await until('the stream', isOpen(server));
    await until('it to be known', async () => (await broker.ask('show', 's')).connected);
    server.cut();
    await until('another stream', () => server.streams.length > streams);
  }
  assert.equal((await broker.untilTools('s', 2)).era, 'stateless');
  assert.equal(server.count('subscriptions/listen'), 2, 'one probe at first, one now');
});
