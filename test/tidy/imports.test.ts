// Who may know whom: services meet in proto/ only, libraries know no service, machines are pure.
import { dirname, join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { importsOf, linesThatMatch, sourceFiles, valueImportsOf } from './tree.ts';

/** Path from the root of what `path` calls `name`; packages stay as they are. */
function importedPath(path: string, name: string): string {
  if (name.startsWith('.')) return join(dirname(path), name);
  return name.replace(/^#libs\//, 'libs/').replace(/^#kit\//, 'test/kit/');
}

const importedPaths = (path: string) => importsOf(path).map((name) => importedPath(path, name));

/** Modules that do nothing but compute. */
const HARMLESS = new Set(['node:util', 'node:crypto', 'node:buffer', 'ipaddr.js']);

/** Chains of imports that lead from `path` to something that does I/O, as "a > b > node:fs". */
function chainsToIo(path: string, above: readonly string[] = []): string[] {
  const here = [...above, path];
  return valueImportsOf(path).flatMap((name) => {
    const to = importedPath(path, name);
    if (to.startsWith('#proto/') || HARMLESS.has(to) || here.includes(to)) return [];
    const isOurs = to.startsWith('libs/') || to.startsWith('services/');
    if (isOurs && !to.endsWith('.actor.ts')) return chainsToIo(to, here);
    return [[...here, to].join(' > ')];
  });
}

function offenders(isOffence: (from: string, to: string) => boolean): string[] {
  return sourceFiles().flatMap((from) =>
    importedPaths(from)
      .filter((to) => isOffence(from, to))
      .map((to) => `${from} imports ${to}`),
  );
}

const serviceOf = (path: string) => /^services\/([^/]+)\//.exec(path)?.[1];
const machines = () => sourceFiles().filter((path) => path.endsWith('.machine.ts'));

describe('Services', () => {
  test('never import each other', () => {
    const isOffence = (from: string, to: string) =>
      serviceOf(from) !== undefined && serviceOf(to) !== undefined && serviceOf(from) !== serviceOf(to);
    expect(offenders(isOffence)).toEqual([]);
  });
});

describe('Libraries', () => {
  test('never import services, and only their tests the test kit', () => {
    const isOffence = (from: string, to: string) =>
      from.startsWith('libs/') &&
      (to.startsWith('services/') || (to.startsWith('test/') && !from.endsWith('.test.ts')));
    expect(offenders(isOffence)).toEqual([]);
  });

  test('are imported file by file: nothing is an index', () => {
    expect(sourceFiles().filter((path) => /(^|\/)index\.[cm]?[jt]s$/.test(path))).toEqual([]);
    const exports = sourceFiles().filter((path) => !/\.config\.mjs$/.test(path));
    expect(linesThatMatch(exports, /^export default\b/)).toEqual([]);
  });
});

describe('Machines', () => {
  test('are there', () => {
    expect(machines().length).toBeGreaterThan(3);
  });

  test('know no clock, no chance and no waiting', () => {
    const impure = /\b(Date\.now|new Date|performance\.|Math\.random|async|await|setTimeout|setImmediate)\b/;
    const code = linesThatMatch(machines(), impure).filter((line) => !/: (\/\/|\*|\/\*)/.test(line));
    expect(code).toEqual([]);
  });

  test('reach no shell and nothing that does I/O, through whatever they import', () => {
    expect(machines().flatMap((path) => chainsToIo(path))).toEqual([]);
  });
});
