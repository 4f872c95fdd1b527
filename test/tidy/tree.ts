// The files of this repository as the tidy tests see them: what we wrote, nothing generated or installed.
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');

const OTHERS = new Set(['.git', 'node_modules', 'var', 'coverage', 'gen']);

function walk(dir: string): string[] {
  return readdirSync(dir, { withFileTypes: true }).flatMap((entry) => {
    const path = join(dir, entry.name);
    if (entry.isDirectory()) return OTHERS.has(entry.name) ? [] : walk(path);
    return [relative(ROOT, path)];
  });
}

/** Paths of all files, relative to the root. */
export function allFiles(): string[] {
  return walk(ROOT).sort();
}

/** Paths of the program text: TypeScript and JavaScript. */
export function sourceFiles(): string[] {
  return allFiles().filter((path) => /\.(ts|mts|mjs|cjs)$/.test(path));
}

export function textOf(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}

/** Every line of `paths` that matches, as "path:line: text". */
export function linesThatMatch(paths: readonly string[], pattern: RegExp): string[] {
  return paths.flatMap((path) =>
    textOf(path)
      .split('\n')
      .map((line, i) => ({ line, where: `${path}:${i + 1}` }))
      .filter(({ line }) => pattern.test(line))
      .map(({ line, where }) => `${where}: ${line.trim()}`),
  );
}

/** What a file imports, as written. */
export function importsOf(path: string): string[] {
  const found = textOf(path).matchAll(/(?:\bfrom\s+|\bimport\s*\(?\s*)'([^']+)'/g);
  return [...found].map((match) => match[1]!);
}

/** What is there when the program runs: without imports of types, and of what only looks at an address. */
export function valueImportsOf(path: string): string[] {
  const text = textOf(path)
    .replace(/\bimport type [^;]*;/g, '')
    .replace(/\bimport \{ (isIP(v[46])?(, )?)+ \} from 'node:net';/g, '');
  return [...text.matchAll(/\bfrom\s+'([^']+)'/g)].map((match) => match[1]!);
}
