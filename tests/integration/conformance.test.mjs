// The public conformance suite's scenarios for clients, run against `mcp-brokerctl probe`, once for each revision of the
// protocol. ../conformance/expected-failures.yml names those that a listener cannot pass; the suite itself fails when one
// of them passes, and what it does not know at all is looked for here.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import test from 'node:test';
import { bin, reports } from './lib/broker.mjs';
import { run } from './lib/process.mjs';

const folder = new URL('../conformance', import.meta.url).pathname;
const suite = `${folder}/node_modules/@modelcontextprotocol/conformance/dist/index.js`;
const expected = `${folder}/expected-failures.yml`;
/** The suite needs Node 22; a package brings it for those who have an older one. */
const isOld = Number(process.versions.node.split('.')[0]) < 22;
const node = isOld ? `${folder}/node_modules/node-linux-${process.arch}/bin/node` : process.execPath;
const conformance = (...args) => run(node, [suite, ...args], { env: { ...process.env, MCP_BROKER_BIN: bin } });

/** Ends with 0 when everything passed but what is expected to fail, and all of that failed. */
async function passes(...selection) {
  const driver = `${process.execPath} ${folder}/driver.mjs`;
  const { code, stdout, stderr } = await conformance('client', '--command', driver, ...selection, '--expected-failures', expected);
  const summary = stdout.slice(stdout.indexOf('=== SUITE SUMMARY'));
  assert.equal(code, 0, stdout + stderr);
  assert.doesNotMatch(stdout, reports);
  return summary.split('\n').flatMap((line) => line.match(/^✓ (\S+):/)?.[1] ?? []);
}

const revisions = {
  '2025-03-26': [],
  '2025-06-18': ['initialize', 'tools_call'],
  '2025-11-25': ['initialize', 'tools_call', 'sse-retry', 'json-schema-2020-12-preservation', 'auth/pre-registration'],
  '2026-07-28': [
    'request-metadata', 'http-standard-headers', 'http-invalid-tool-headers', 'json-schema-ref-no-deref',
    'json-schema-2020-12-preservation', 'tools_call', 'auth/pre-registration',
  ],
};
for (const [revision, applying] of Object.entries(revisions)) {
  test(`a probe conforms to ${revision}`, async () => {
    const passed = await passes('--suite', 'all', '--spec-version', revision);
    assert.deepEqual(applying.filter((scenario) => !passed.includes(scenario)), [], 'scenarios that were not run');
  });
}

test('a probe gets tokens as the extension for client credentials wants it', async () => {
  const passed = await passes('--suite', 'extensions');
  for (const scenario of ['auth/client-credentials-basic', 'auth/client-credentials-jwt']) assert.ok(passed.includes(scenario));
});

test('every failure that is expected is of a scenario that exists', async () => {
  const { code, stdout, stderr } = await conformance('list', '--client');
  assert.equal(code, 0, stderr);
  const known = [...stdout.matchAll(/^ +- (\S+) \[/gm)].map(([, scenario]) => scenario);
  const entries = [...(await readFile(expected, 'utf8')).matchAll(/^ +- ([^\s:]+)/gm)].map(([, scenario]) => scenario);
  assert.ok(known.length > 0 && entries.length > 0);
  assert.deepEqual(entries.filter((scenario) => !known.includes(scenario)), []);
});
