// `mcp-brokerctl top` as a person sees it, in a terminal: what stands there, what keys do, and that the terminal is given
// back as it was.
import assert from 'node:assert/strict';
import { constants } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { bin, startBroker } from './lib/broker.mjs';
import { run } from './lib/process.mjs';
import { startSessionServer } from './lib/servers.mjs';
import { startTerminal } from './lib/terminal.mjs';
import { until } from './lib/wait.mjs';

const closed = 'http://127.0.0.1:1/mcp';
const top = (broker) => `${join(bin, 'mcp-brokerctl')} --run-dir ${broker.runDir} top --interval 200ms`;

test('top shows workers and servers at each size, opens and reconnects one', async (t) => {
  const server = await startSessionServer(t);
  const broker = await startBroker(t, {
    servers: { weather: { url: server.url, workspaceId: 'w1', name: 'The Weather' }, broken: { url: closed }, off: { url: closed, enabled: false } },
    args: ['--workers', '1', '--max-attempts', '1'],
  });
  await broker.untilTools('weather', 1);
  await broker.untilState('broken', 'failed');
  const terminal = await startTerminal(t);
  await terminal.command(top(broker));

  // the one in trouble first, then the active one
  let lines = await terminal.untilScreen(/broken +failed .*connection re[^]*weather +listening .* for [^]*off +disabled/);
  assert.match(lines[0], /mcp-broker \d+\.\d+\.\d+, up .*, redis off/);
  assert.match(lines[1], /^servers {2}3: 1 listening, 1 failed, 1 disabled$/);
  assert.match(lines[2], /^rates .*notifications\/s, .*events\/s, .*connects\/s$/);
  assert.match(lines[4], /^WORKER +PID +CONNECTIONS +NOTIF\/S +CONNECTS\/S +LAG +RESTARTS$/);
  await terminal.untilScreen(new RegExp(`^0 +${await broker.workerPid(0)} +1 `, 'm'));
  assert.match(lines.at(-1), /^1\/3 by state .*q quit$/, 'all keys, in 80 columns');

  // a rate is there while something happens
  for (let i = 0; i < 20; i++) server.addTool(`tool-${i}`);
  await terminal.untilScreen(/rates +(?!0\.0)[\d.]+ notifications\/s/);

  for (const [width, height] of [[200, 50], [40, 8], [80, 24]]) {
    await terminal.resize(width, height);
    lines = await until('the last line at the bottom', async () => {
      const now = await terminal.screen();
      return now.length === height && /^1\/3 by state/.test(now.at(-1)) ? now : false;
    });
    assert.equal(lines.some((line) => line.startsWith('WORKER')), height > 10);
  }

  await terminal.text('/WEA');
  await terminal.untilScreen(/only servers with: WEA_/);
  await terminal.type('Enter');
  lines = await terminal.untilScreen(/1\/1 by state, \/WEA/);
  assert.ok(!lines.some((line) => line.startsWith('broken')));
  await terminal.type('Enter');
  await terminal.untilScreen(/^weather$[^]*workspaceId +w1[^]*^history$[^]*-> listening/m);
  const { connects } = await broker.ask('show', 'weather');
  await terminal.text('rn');
  await terminal.text('ry');
  await until('another connection', async () => (await broker.ask('show', 'weather')).connects === connects + 1);
  await terminal.text('q');
  await terminal.untilScreen(/by state/);
  await terminal.type('Escape');
  await terminal.untilScreen(/1\/3 by state/);
  await terminal.text('s');
  await terminal.untilScreen(/1\/3 by worker/);
  await terminal.text('tttt');
  await terminal.untilScreen(/0\/0 by worker, backoff/);
  await terminal.text('h');
  await terminal.untilScreen(/^Keys$/m);
  await terminal.text('x');
  await terminal.text('q');
  await terminal.untilScreen(/ready>$/m);
});

test('top says that the hub is gone, shows the table meanwhile, and goes on when it is back', async (t) => {
  const broker = await startBroker(t, { servers: { a: { url: closed } }, args: ['--workers', '1', '--max-attempts', '1'] });
  await broker.untilState('a', 'failed');
  const terminal = await startTerminal(t);
  await terminal.command(top(broker));
  await terminal.untilScreen(/redis off[^]*a +failed/);
  await broker.stop();
  const lines = await terminal.untilScreen(/the hub does not answer/);
  assert.ok(lines.some((line) => /^a +failed/.test(line)), lines.join('\n'));
  assert.match(lines[1], /^servers {2}1: 1 failed/);
  await broker.start();
  await terminal.untilScreen(/^[\d:]+ {2}mcp-broker .*redis off[^]*a +/);
  await terminal.text('q');
});

for (const how of ['q', 'C-c', 'SIGTERM', 'SIGHUP']) {
  test(`the terminal is as it was after ${how}`, async (t) => {
    const broker = await startBroker(t, { args: ['--workers', '1'] });
    const terminal = await startTerminal(t);
    await terminal.command('stty -g >before; cd /; echo left as it was'.replace('before', join(broker.folder, 'before')));
    await terminal.command(`${top(broker)} 2>${join(broker.folder, 'errors')}; echo code $?; stty -g >${join(broker.folder, 'after')}; grep flags /proc/$$/fdinfo/0; echo done`);
    await terminal.untilScreen(/servers {2}0/);
    if (how.startsWith('SIG')) process.kill(await terminal.pid(), how);
    else await terminal.type(how);
    const lines = await terminal.untilScreen(/left as it was[^]*code 0\nflags:.*\ndone/);
    const flags = Number.parseInt(lines.join(' ').match(/flags:\s+(\d+)/)[1], 8);
    assert.equal(flags & constants.O_NONBLOCK, 0, 'the shell wants to wait for keys');
    const { code, stdout } = await run('sh', ['-c', `cmp before after && cat errors`], { cwd: broker.folder });
    assert.deepEqual([code, stdout], [0, '']);
  });
}

test('without a terminal, or a broker, top says so', async (t) => {
  const broker = await startBroker(t, { args: ['--workers', '1'] });
  const { code, stderr } = await broker.ctl(['top']);
  assert.deepEqual([code, stderr], [1, 'mcp-brokerctl: top wants a terminal that it can draw on ($TERM)\n']);
  assert.equal((await broker.ctl(['--json', 'top'])).code, 2);
  assert.equal((await broker.ctl(['top', '--interval', 'soon'])).code, 2);
  await broker.stop();
  assert.equal((await broker.ctl(['top'])).code, 3);
});
