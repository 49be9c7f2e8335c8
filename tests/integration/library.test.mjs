// libmcp-broker as its users have it: the program of README.md, in a project of its own, is built against an installed
// tree in each way there is, and hears a real broker.
import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';
import { startBroker } from './lib/broker.mjs';
import { cached, install } from './lib/install.mjs';
import { run, start } from './lib/process.mjs';
import { blocks } from './lib/readme.mjs';
import { startSessionServer } from './lib/servers.mjs';
import { until } from './lib/wait.mjs';

const must = async (command, args, options) => {
  const { code, stdout, stderr } = await run(command, args, options);
  assert.equal(code, 0, `${command} ${args.join(' ')}\n${stdout}${stderr}`);
  return stdout.trim();
};

/** A sanitized library wants a sanitized program. */
const sanitize = cached('MCP_BROKER_SANITIZE') === 'ON' ? ['-fsanitize=address,undefined'] : [];
const compiler = cached('CMAKE_C_COMPILER');

const project = (target) => `cmake_minimum_required(VERSION 3.25)
project(consumer C)
find_package(mcp-broker 0.1 REQUIRED)
add_executable(consumer consumer.c)
target_link_libraries(consumer PRIVATE ${target})
`;

async function withCmake({ folder, at }, target) {
  await writeFile(join(folder, 'CMakeLists.txt'), project(target));
  await must('cmake', ['-S', folder, '-B', join(folder, 'build'), `-DCMAKE_PREFIX_PATH=${at('')}`, `-DCMAKE_C_FLAGS=${sanitize.join(' ')}`]);
  await must('cmake', ['--build', join(folder, 'build')]);
  return join(folder, 'build/consumer');
}

async function withPkgConfig({ folder, at }, ...flags) {
  const PKG_CONFIG_PATH = join(at(cached('CMAKE_INSTALL_LIBDIR')), 'pkgconfig');
  const env = { ...process.env, PKG_CONFIG_PATH };
  const found = await must('pkg-config', ['--cflags', '--libs', ...flags, 'mcp-broker'], { env });
  const program = join(folder, 'consumer');
  await must(compiler, ['-std=c11', '-Wall', '-Wextra', '-Werror', ...sanitize, join(folder, 'consumer.c'), '-o', program, ...found.split(/\s+/)]);
  return program;
}

const ways = {
  'find_package': (site) => withCmake(site, 'mcp-broker::mcp-broker'),
  'find_package, statically': (site) => withCmake(site, 'mcp-broker::mcp-broker-static'),
  'pkg-config': (site) => withPkgConfig(site),
};

async function newProject(t) {
  const site = await install(t);
  const folder = join(site.folder, 'consumer');
  await mkdir(folder);
  await writeFile(join(folder, 'consumer.c'), blocks('c')[0]);
  return { ...site, folder };
}

test('the C program of README.md, built in each way, hears a broker', async (t) => {
  const site = await newProject(t);
  const server = await startSessionServer(t);
  const broker = await startBroker(t, { servers: { s: { url: server.url, workspaceId: 'w1' } }, args: ['--workers', '1'] });
  await broker.untilState('s', 'listening');
  const LD_LIBRARY_PATH = site.at(cached('CMAKE_INSTALL_LIBDIR'));
  for (const [way, build] of Object.entries(ways)) {
    await t.test(way, async () => {
      const consumer = start(await build(site), [broker.runDir], { env: { ...process.env, LD_LIBRARY_PATH } });
      t.after(async () => {
        consumer.kill();
        await consumer.exit;
      });
      await until('it to be online, and to list', () => {
        if (consumer.ended) throw new Error(consumer.stderr);
        return consumer.lines().length > 0;
      });
      const [listed] = consumer.lines();
      const { servers } = JSON.parse(listed.replace(/^servers: /, ''));
      assert.deepEqual(servers.map((each) => [each.serverId, each.state]), [['s', 'listening']]);
      server.addTool(`of-${way.replace(/\W+/g, '-')}`);
      await until('the change', () => consumer.lines().includes('s has changed'));
    });
  }
});

test('the library exports its own names only, and needs no loop', async (t) => {
  const { at } = await install(t);
  const lib = at(cached('CMAKE_INSTALL_LIBDIR'));
  const header = await readFile(at('include/mcp-broker.h'), 'utf8');
  const declared = [...header.matchAll(/^MCP_BROKER_API .*?(mcp_broker_\w+)\(/gm)].map(([, name]) => name).sort();
  assert.ok(declared.includes('mcp_broker_subscribe') && declared.length > 9, String(declared));
  const names = (text) => text.split('\n').map((line) => line.split(' ')).filter((each) => each.length === 3).map((each) => each[2]).sort();
  assert.deepEqual(names(await must('nm', ['-D', '--defined-only', join(lib, 'libmcp-broker.so')])), declared);
  assert.deepEqual(names(await must('nm', ['-g', '--defined-only', join(lib, 'libmcp-broker.a')])), declared);
  const dynamic = await must('readelf', ['-d', join(lib, 'libmcp-broker.so')]);
  assert.match(dynamic, /soname: \[libmcp-broker\.so\.\d+\]/);
  assert.doesNotMatch(dynamic, /NEEDED.*(libuv|curl|sqlite|hiredis|microhttpd)/);
});

test('the header is good C and C++ by itself', async (t) => {
  const hasCxx = (await run('sh', ['-c', 'command -v c++'])).code === 0;
  const { at, folder } = await install(t);
  for (const [suffix, ...standard] of [['c', '-std=c99'], ...(hasCxx ? [['cpp', '-x', 'c++', '-std=c++17']] : [])]) {
    const file = join(folder, `alone.${suffix}`);
    await writeFile(file, '#include <mcp-broker.h>\n');
    await must(compiler, [...standard, '-Wall', '-Wextra', '-Wpedantic', '-Werror', '-fsyntax-only', '-I', at('include'), file]);
  }
});
