// `cmake --install` of the build under test, into a folder of the test's own.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { bin, newSite } from './broker.mjs';
import { run } from './process.mjs';

const build = resolve(bin, '..');

/** What CMake's cache has under this name. */
export const cached = (name) => readFileSync(join(build, 'CMakeCache.txt'), 'utf8').match(new RegExp(`^${name}:\\w+=(.*)$`, 'm'))[1];

/** A site with `root`, the folder; `at(path)`, a path below the prefix in it; `again()`, to install once more. */
export async function install(t) {
  const site = await newSite(t);
  const root = join(site.folder, 'root');
  const again = async () => {
    const { code, stdout, stderr } = await run('cmake', ['--install', build], { env: { ...process.env, DESTDIR: root } });
    assert.equal(code, 0, stdout + stderr);
  };
  await again();
  return { ...site, root, again, at: (path) => join(root, cached('CMAKE_INSTALL_PREFIX'), path) };
}
