// The programs that README.md shows, so that the tests run those very lines.
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';

/** The code of the first fence of this language that has `having` in it. */
export async function example(language, having = '') {
  const text = await readFile(resolve('../../README.md'), 'utf8');
  const fences = [...text.matchAll(/^```(\w+)\n(.*?)^```$/gms)].filter(([, found, code]) => found === language && code.includes(having));
  if (fences.length === 0) throw new Error(`README.md has no ${language} with "${having}"`);
  return fences[0][2];
}
