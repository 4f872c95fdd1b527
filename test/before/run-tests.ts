// Runs the tests that a table names, with jest: here, here against the services of an older commit, or in its tree with the kit of
// this one. One file at a time.
// Fails: what jest does not report is told as its last words.
import { execFileSync, spawn } from 'node:child_process';
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type JestReport, namePattern } from './judge.ts';
import type { BeforeTable, BeforeTest } from './table.ts';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const JEST = [
  '--experimental-vm-modules',
  '--disable-warning=ExperimentalWarning',
  'node_modules/jest/bin/jest.js',
];
const LAST_WORDS = 2000;
/** Of the tests of one file. */
const WITHIN_MS = 10 * 60_000;

/** Makes an older tree one in which the tests of this one can be run. */
export function furnish(tree: string, { patch, kitThere }: BeforeTable, tests: readonly BeforeTest[]): void {
  const kit = readdirSync(join(ROOT, 'test/kit')).filter((name) => !kitThere.includes(name));
  const files = new Set([...kit.map((name) => `test/kit/${name}`), ...tests.map(({ file }) => file)]);
  for (const file of files) copyFileSync(join(ROOT, file), join(tree, file));
  execFileSync('git', ['apply', join(ROOT, 'test/before', patch)], { cwd: tree, stdio: 'pipe' });
}

export interface TestRun {
  /** All of one file. */
  tests: readonly Pick<BeforeTest, 'file' | 'test'>[];
  /** Where jest runs. */
  folder: string;
  /** Whose services a cluster runs, when those are others. */
  servicesOf?: string;
}

/** What jest says of the tests. */
export async function runTests({ tests, folder, servicesOf }: TestRun): Promise<JestReport> {
  const results = mkdtempSync(join(tmpdir(), 'postrider-before-'));
  const file = join(results, 'report.json');
  const what = ['--runTestsByPath', tests[0]!.file, '--testNamePattern', namePattern(tests)];
  // Tests that fail leave things open.
  const args = [...JEST, '--runInBand', '--forceExit', '--json', `--outputFile=${file}`, ...what];
  const env = { ...process.env, ...(servicesOf !== undefined && { POSTRIDER_TREE: servicesOf }) };
  try {
    const said = await wordsOf(args, folder, env);
    return (
      reportIn(file) ?? { testResults: [{ name: `/${tests[0]!.file}`, message: said, assertionResults: [] }] }
    );
  } finally {
    rmSync(results, { recursive: true, force: true });
  }
}

function reportIn(file: string): JestReport | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as JestReport;
  } catch {
    return undefined;
  }
}

/** Resolves with the end of what it printed, when it has ended. */
function wordsOf(args: readonly string[], cwd: string, env: NodeJS.ProcessEnv): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd, env, stdio: ['ignore', 'ignore', 'pipe'] });
    const end = () => child.kill('SIGKILL');
    process.once('exit', end);
    const timer = setTimeout(end, WITHIN_MS);
    let said = '';
    child.stderr.on('data', (data: Buffer) => {
      said = `${said}${data}`.slice(-LAST_WORDS);
    });
    child.once('error', reject);
    child.once('close', () => {
      clearTimeout(timer);
      process.removeListener('exit', end);
      resolve(
        child.signalCode === null ? said : `killed by ${child.signalCode}, ${WITHIN_MS} ms are over\n${said}`,
      );
    });
  });
}
