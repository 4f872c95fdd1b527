// How long files and functions are. Functions are found by the linter, which parses; their lines are counted here, blank
// ones and comments too.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { ROOT, sourceFiles, textOf } from './tree.ts';

const FILE_LINES_MAX = 400;
const FUNCTION_LINES_MAX = 70;
/** The linter counts neither blank lines nor comments, so that it is asked about shorter functions too. */
const LINTER_LINES_MAX = 20;

interface Diagnostic {
  location: {
    path: string;
    start: { line: number; column: number };
    end: { line: number };
  };
}

/** Every function that the linter finds longer than LINTER_LINES_MAX. */
function longFunctions(): Diagnostic['location'][] {
  const configDir = mkdtempSync(join(tmpdir(), 'postrider-tidy-'));
  const rule = { level: 'error', options: { maxLines: LINTER_LINES_MAX } };
  const rules = { preset: 'none', complexity: { noExcessiveLinesPerFunction: rule } };
  const config = { files: { includes: [`${ROOT}/**`] }, linter: { rules } };
  writeFileSync(join(configDir, 'biome.json'), JSON.stringify(config));
  const options = [`--config-path=${configDir}`, '--reporter=json', '--max-diagnostics=none'];
  const biome = join(ROOT, 'node_modules/@biomejs/biome/bin/biome');
  const { stdout } = spawnSync(process.execPath, [biome, 'lint', ...options, ...sourceFiles()], {
    cwd: ROOT,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  rmSync(configDir, { recursive: true });
  return (JSON.parse(stdout) as { diagnostics: Diagnostic[] }).diagnostics.map(({ location }) => location);
}

/** The callback of `describe` is a list of tests, not a function that anybody follows. */
function isListOfTests({ path, start }: Diagnostic['location']): boolean {
  const before = textOf(path).split('\n')[start.line - 1]!.slice(0, start.column);
  return path.endsWith('.test.ts') && /^\s*(describe\b|\]\)\()/.test(before);
}

describe('No file', () => {
  test(`has more than ${FILE_LINES_MAX} lines`, () => {
    const lengths = sourceFiles().map((path) => ({ path, lines: textOf(path).trimEnd().split('\n').length }));
    expect(lengths.filter(({ lines }) => lines > FILE_LINES_MAX)).toEqual([]);
  });
});

describe('No function', () => {
  test(`has more than ${FUNCTION_LINES_MAX} lines`, () => {
    const found = longFunctions();
    // A linter that finds nothing at all has not run.
    expect(found.length).toBeGreaterThan(5);
    const tooLong = found
      .map((location) => ({ location, lines: location.end.line - location.start.line + 1 }))
      .filter(({ location, lines }) => lines > FUNCTION_LINES_MAX && !isListOfTests(location))
      .map(({ location, lines }) => `${location.path}:${location.start.line}: ${lines} lines`);
    expect(tooLong).toEqual([]);
  });
});
