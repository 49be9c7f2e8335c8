// The programs that README.md shows, so that the tests run those very lines.
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';

/** The code of each fence of a language, in order. */
export function blocks(language) {
  const readme = readFileSync(resolve('../../README.md'), 'utf8');
  return [...readme.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, 'gms'))].map(([, text]) => text);
}
