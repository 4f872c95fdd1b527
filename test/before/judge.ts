// What a run of tests on an older commit says about each test that the table names: that it fails there as it should, or anything
// else, which is no proof. Without I/O.
import { stripVTControlCharacters } from 'node:util';

/** A test that fails on the older commit. */
export interface Claim {
  /** From the root. */
  file: string;
  /** A part of its full name; `$` stands for the end. */
  test: string;
  /** In the words of its failure there. */
  says: RegExp;
}

/** What jest writes with --json, as far as it is read. */
export interface JestReport {
  testResults: {
    /** Of the file; absolute. */
    name: string;
    /** Why the file could not be run, or all failures. */
    message: string;
    assertionResults: {
      fullName: string;
      status: string;
      failureMessages?: string[] | null;
      duration?: number | null;
    }[];
  }[];
}

export type Verdict =
  /** As the table says. */
  | { kind: 'fails'; words: string }
  | { kind: 'passes' }
  /** For another reason than the table says. */
  | { kind: 'fails otherwise'; words: string }
  /** The file could not be run at all: an import, a syntax error. */
  | { kind: 'not loaded'; words: string }
  | { kind: 'no such test' };

const WORDS_MAX = 160;

/** One line of what was said, beginning with what was looked for. */
function lineOf(text: string): string {
  const line = text.replace(/\s+/g, ' ').trim();
  return line.length > WORDS_MAX ? `${line.slice(0, WORDS_MAX - 3)}...` : line;
}

/** What was run of the file with tests whose name has it; `undefined` when the file was not run. */
function runOf(report: JestReport, { file, test }: Omit<Claim, 'says'>) {
  const run = report.testResults.find(({ name }) => name.endsWith(`/${file}`));
  if (run === undefined) return undefined;
  const isMeant = (name: string) =>
    test.endsWith('$') ? name.endsWith(test.slice(0, -1)) : name.includes(test);
  const wasRun = ({ status }: { status: string }) => status === 'passed' || status === 'failed';
  const tests = run.assertionResults.filter((one) => isMeant(one.fullName) && wasRun(one));
  return { message: run.message, isLoaded: run.assertionResults.length > 0, tests };
}

/** On the older commit. All tests that are meant have to fail as the table says. */
export function judgeThere(report: JestReport, claim: Claim): Verdict {
  const run = runOf(report, claim);
  if (run === undefined) return { kind: 'not loaded', words: 'the file was not run' };
  if (!run.isLoaded) return { kind: 'not loaded', words: lineOf(stripVTControlCharacters(run.message)) };
  if (run.tests.length === 0) return { kind: 'no such test' };
  if (run.tests.some(({ status }) => status === 'passed')) return { kind: 'passes' };
  let words = '';
  for (const { failureMessages } of run.tests) {
    const said = stripVTControlCharacters((failureMessages ?? []).join('\n'));
    const found = claim.says.exec(said);
    if (found === null) return { kind: 'fails otherwise', words: lineOf(said) };
    words ||= lineOf(found[0]);
  }
  return { kind: 'fails', words };
}

/** In this tree: milliseconds that it took, or what is wrong. */
export function judgeHere(
  report: JestReport,
  claim: Omit<Claim, 'says'>,
): { tookMs: number } | { words: string } {
  const run = runOf(report, claim);
  if (run === undefined || run.tests.length === 0)
    return { words: lineOf(run?.message ?? 'the file was not run') };
  const failed = run.tests.find(({ status }) => status !== 'passed');
  if (failed !== undefined) {
    return { words: lineOf(stripVTControlCharacters((failed.failureMessages ?? []).join('\n'))) };
  }
  return { tookMs: run.tests.reduce((sum, { duration }) => sum + (duration ?? 0), 0) };
}

/** Jest's pattern for the names of these tests. */
export function namePattern(claims: readonly Pick<Claim, 'test'>[]): string {
  const escaped = claims.map(({ test }) =>
    test.replace(/[.*+?^{}()|[\]\\]/g, '\\$&').replace(/\$(?!$)/g, '\\$'),
  );
  return `(${[...new Set(escaped)].join('|')})`;
}
