// How the programs that are shipped were built: each hardening measure is there to be seen in the file. (Fortified calls
// and stack protectors are there where the compiler found a use for them, so a program must have one, not all.)
import assert from 'node:assert/strict';
import { join } from 'node:path';
import test from 'node:test';
import { bin } from '../integration/lib/broker.mjs';
import { run } from '../integration/lib/process.mjs';

const programs = ['mcp-broker', 'mcp-broker-hub', 'mcp-broker-worker', 'mcp-broker-keeper', 'mcp-brokerctl'];

async function readelf(...args) {
  const { code, stdout, stderr } = await run('readelf', ['--wide', ...args]);
  assert.equal(code, 0, stderr);
  return stdout;
}

for (const program of programs) {
  test(`${program} is hardened`, async () => {
    const file = join(bin, program);
    const [header, segments, dynamic, symbols] = await Promise.all(
      ['--file-header', '--program-headers', '--dynamic', '--dyn-syms'].map((what) => readelf(what, file)));
    // The linker's note of it is no use as a sign: it is left out as soon as one object is without, and Debian's crt1.o is.
    const { stdout: main } = await run('objdump', ['--disassemble=main', '--no-show-raw-insn', file]);
    assert.match(header, /Type:\s+DYN/, 'position-independent');
    assert.match(dynamic, /FLAGS_1.*\bPIE\b/, 'position-independent executable');
    assert.match(segments, /GNU_RELRO/, 'relocations are read-only');
    assert.match(dynamic, /FLAGS_1.*\bNOW\b/, 'all of them are bound at the start');
    assert.match(segments, /GNU_STACK\s+\S+ \S+ \S+ \S+ \S+ RW /, 'the stack is not executable');
    assert.doesNotMatch(segments, /LOAD.* RWE /, 'nothing is writable and executable');
    assert.match(symbols, /__stack_chk_fail/, 'stack protector');
    assert.match(symbols, /__\w+_chk(@|\s|$)/m, 'fortified calls');
    assert.match(main, /endbr64/, 'control-flow protection');
    assert.doesNotMatch(dynamic, /\((RPATH|RUNPATH)\)/, 'libraries come from the system');
    assert.doesNotMatch(dynamic, /\(TEXTREL\)/, 'code is not relocated');
    assert.doesNotMatch(symbols, /\b(gets|strcpy|strcat|sprintf|tmpnam|mktemp)@/, 'no call without a bound');
  });
}

test('no process loads a library that would have to be relocated or have an executable stack', async () => {
  for (const program of programs) {
    const { stdout } = await run('ldd', [join(bin, program)]);
    for (const [, library] of stdout.matchAll(/=> (\/\S+)/g)) {
      const [segments, dynamic] = await Promise.all([readelf('--program-headers', library), readelf('--dynamic', library)]);
      assert.match(segments, /GNU_STACK\s+\S+ \S+ \S+ \S+ \S+ RW /, library);
      assert.doesNotMatch(dynamic, /\(TEXTREL\)/, library);
    }
  }
});
