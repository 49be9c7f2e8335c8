// The manual, the completion and the unit against the programs: none of them knows less, or more, than `--help` says.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import test from 'node:test';
import { bin, newSite, startBroker } from './lib/broker.mjs';
import { run } from './lib/process.mjs';

const scripts = resolve('../../scripts');
const pagePath = (name) => join(bin, '../scripts', name);
const page = (name) => readFileSync(pagePath(name), 'utf8');
const pages = ['mcp-broker.8', 'mcp-brokerctl.1', 'mcp-broker-servers.5'];
const programs = { 'mcp-broker': 'mcp-broker.8', 'mcp-brokerctl': 'mcp-brokerctl.1' };

const help = async (program) => (await run(join(bin, program), ['--help'])).stdout;
const sorted = (items) => [...new Set(items)].sort();
/** The flags that --help lists, as "--workers"; not those that its texts only mention. */
const flagsOf = (text) => sorted([...text.matchAll(/^ +(?:-\w, )?(--[a-z-]+)/gm)].map(([, flag]) => flag));
const commandsOf = (text) => sorted([...text.matchAll(/^  ([a-z][a-z-]*)(?= |$)/gm)].map(([, name]) => name));
const part = (text, heading) => text.split(`.Sh ${heading}\n`)[1].split('\n.Sh ')[0];
/** mdoc's `Fl \-a\-b` and text's `\-\-a\-b`, as --a-b. */
const flagsIn = (mdoc) => sorted([...mdoc.replaceAll('\\-', '-').matchAll(/(?<![\w-])(?:Fl -|--)([a-z][a-z-]*)/g)].map(([, name]) => `--${name}`));

async function has(command) {
  const { code } = await run('sh', ['-c', `command -v ${command}`]);
  return code === 0;
}

for (const [program, name] of Object.entries(programs)) {
  test(`${name} has the flags of ${program} --help, and no others`, async () => {
    const items = part(page(name), 'OPTIONS').split('\n').filter((line) => line.startsWith('.It'));
    const flags = flagsOf(await help(program));
    assert.ok(flags.includes('--help') && flags.length > 10, String(flags));
    assert.deepEqual(flagsIn(items.join('\n')), flags);
  });
}

test('mcp-brokerctl.1 has the commands of --help, and no others', async () => {
  const items = [...part(page('mcp-brokerctl.1'), 'COMMANDS').matchAll(/^\.It Cm (\S+)/gm)].map(([, name]) => name);
  const commands = commandsOf((await help('mcp-brokerctl')).split('Commands:')[1].split('Options:')[0]);
  assert.ok(commands.includes('states'), String(commands));
  assert.deepEqual(sorted(items), commands);
});

test('every flag that a manual page mentions is one', async () => {
  const known = [...flagsOf(await help('mcp-broker')), ...flagsOf(await help('mcp-brokerctl'))];
  // of other programs
  known.push('--now');
  for (const name of pages) {
    assert.deepEqual(flagsIn(page(name)).filter((flag) => !known.includes(flag)), [], name);
  }
});

test('mcp-broker-servers.5 has the keys that the broker knows, and no others', async (t) => {
  const site = await newSite(t);
  const told = async (servers) => {
    await site.writeServers(servers);
    const { stderr } = await run(join(bin, 'mcp-broker'), [...site.flags, '--servers', site.serversFile, '--check']);
    return sorted(stderr.match(/known are (.*)/)[1].split(', '));
  };
  const inPage = (heading) => sorted([...part(page('mcp-broker-servers.5'), heading).matchAll(/^\.It Li (.*)$/gm)].flatMap(([, names]) => names.split(' , ')));
  assert.deepEqual(inPage('KEYS'), await told({ a: { url: 'http://h/mcp', nope: 1 } }));
  assert.deepEqual(inPage('AUTHORIZATION'),
    await told({ a: { url: 'http://h/mcp', auth: { type: 'client_credentials', clientId: 'c', clientSecret: 's', nope: '1' } } }));
});

test('mcp-broker.8 has all states', async (t) => {
  const names = sorted([...readFileSync('../../common/states.def', 'utf8').matchAll(/^STATE\((?!NONE)\w+, "(\w+)"/gm)].map(([, name]) => name));
  assert.deepEqual(sorted([...part(page('mcp-broker.8'), 'STATES').matchAll(/^\.It Li (\w+)$/gm)].map(([, name]) => name)), names);
});

test('roff has nothing to complain about', async (t) => {
  if (!(await has('groff'))) return t.skip('no groff here');
  for (const name of pages) {
    const { code, stderr } = await run('groff', ['-mandoc', '-Tutf8', '-ww', '-b', '-z', pagePath(name)]);
    assert.deepEqual({ name, code, stderr }, { name, code: 0, stderr: '' });
    assert.doesNotMatch(page(name), /@[A-Z]+@/, name);
  }
});

/** What bash offers for the last of the words. */
async function complete(words) {
  const script = `source "$1"; shift; PATH="$1:$PATH"; shift
    COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _mcp_broker "$1"; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr } = await run('bash', ['-c', script, 'bash', join(scripts, 'completion/mcp-broker.bash'), bin, ...words]);
  assert.equal(stderr, '');
  return sorted(stdout.split('\n').filter(Boolean));
}

test('bash offers the flags and commands of --help', async () => {
  assert.deepEqual(await complete(['mcp-broker', '']), flagsOf(await help('mcp-broker')));
  assert.deepEqual(await complete(['mcp-broker', '--log-level', '']), ['debug', 'error', 'info', 'warn']);
  assert.deepEqual(await complete(['mcp-broker', '--log-level', '=', 'w']), ['warn']);
  assert.deepEqual(await complete(['mcp-brokerctl', 're']), ['reconnect', 'reload']);
  assert.deepEqual(await complete(['mcp-brokerctl', '--']), flagsOf(await help('mcp-brokerctl')));
  assert.deepEqual(await complete(['mcp-brokerctl', '--json', 'show', '--']), ['--help', '--json', '--offline', '--run-dir', '--version']);
});

test('help and bash know the orders that states --sort knows', async (t) => {
  const site = await newSite(t);
  const { code, stderr } = await site.ctl(['states', '--sort', 'nope']);
  assert.equal(code, 2, stderr);
  assert.deepEqual(await complete(['mcp-brokerctl', 'states', '--sort', '']), sorted(stderr.match(/one of (.*)/)[1].split(' ')));
});

test('bash offers the servers of a running broker', async (t) => {
  const url = 'http://127.0.0.1:1/mcp';
  const broker = await startBroker(t, { servers: { alpha: { url, workspaceId: 'w1' }, 'b c': { url, workspaceId: 'w2' } } });
  const ctl = ['mcp-brokerctl', '--run-dir', broker.runDir];
  assert.deepEqual(await complete([...ctl, 'show', '']), ['alpha', 'b\\ c']);
  assert.deepEqual(await complete([...ctl, 'reconnect', 'a']), ['alpha']);
  assert.deepEqual(await complete([...ctl, 'states', '--workspace', '']), ['w1', 'w2']);
  assert.deepEqual(await complete([...ctl, 'ping', '']), []);
});

test('the completion for zsh can be read', async (t) => {
  if (!(await has('zsh'))) return t.skip('no zsh here');
  const { code, stderr } = await run('zsh', ['-n', join(scripts, 'completion/_mcp-broker')]);
  assert.equal(code, 0, stderr);
});

test("the unit's exposure is below 2.0", async (t) => {
  if (!(await has('systemd-analyze'))) return t.skip('no systemd-analyze here');
  const { code, stdout, stderr } = await run('systemd-analyze',
    ['security', '--offline=true', '--no-pager', '--threshold=19', join(scripts, 'systemd/mcp-broker.service')]);
  assert.equal(code, 0, stdout + stderr);
  assert.match(stdout, /Overall exposure level for mcp-broker\.service: [01]\.\d/);
});
