// `npm run before`: shows of each row of a table that its tests fail on the commit before, with the words that the table gives, and
// (--here) that they pass in this tree. Exit code 1 when one does not.
import { execFileSync } from 'node:child_process';
import { Command } from 'commander';
import { withCodeOf } from '#kit/other-tree.ts';
import { durableMail } from './durable-mail.ts';
import { judgeHere, judgeThere, type Verdict } from './judge.ts';
import { furnish, ROOT, runTests } from './run-tests.ts';
import { type BeforeRow, type BeforeTest, chosenRows } from './table.ts';

interface Options {
  from?: string;
  rows?: string;
  here?: boolean;
  list?: boolean;
}

interface Shown {
  there: Verdict;
  here?: ReturnType<typeof judgeHere>;
}

const table = durableMail;

function parse(): Options {
  return new Command('before')
    .description('Shows that the tests of what was put right fail on the commit before.')
    .option('--from <ref>', `that commit (${table.commit} when absent)`)
    .option('--rows <names>', 'only these, with commas between')
    .option('--here', 'run them in this tree, too')
    .option('--list', 'print the rows and their tests, and end')
    .parse()
    .opts<Options>();
}

/** Throws git's own words when there is none. */
function commitOf(ref: string): string {
  const name = ['rev-parse', '--verify', '--end-of-options', `${ref}^{commit}`];
  return execFileSync('git', name, { cwd: ROOT, encoding: 'utf8' }).trim();
}

const wordsOf = (verdict: Verdict): string => {
  switch (verdict.kind) {
    case 'fails':
      return `fails: \`${verdict.words}\``;
    case 'passes':
      return 'PASSES';
    case 'no such test':
      return 'NO SUCH TEST';
    case 'not loaded':
      return `NOT LOADED: \`${verdict.words}\``;
    case 'fails otherwise':
      return `FAILS OTHERWISE: \`${verdict.words}\``;
  }
};

const hereOf = (here: Shown['here']): string => {
  if (here === undefined) return '';
  return 'tookMs' in here ? ` passes, ${(here.tookMs / 1000).toFixed(1)} s |` : ` FAILS: \`${here.words}\` |`;
};

const isProof = ({ there, here }: Shown): boolean =>
  there.kind === 'fails' && (here === undefined || 'tookMs' in here);

/** Tests that one run of jest can take, by how they are run and by file. */
function runsOf(rows: readonly BeforeRow[]): BeforeTest[][] {
  const tests = rows.flatMap((row) => row.tests);
  return [...Map.groupBy(tests, ({ older, file }) => `${older} ${file}`).values()];
}

async function look(
  tests: readonly BeforeTest[],
  tree: string,
  isHereToo: boolean,
): Promise<Map<BeforeTest, Shown>> {
  const { file, older } = tests[0]!;
  console.error(`${file} (older: ${older})`);
  const there =
    older === 'tree'
      ? await runTests({ tests, folder: tree })
      : await runTests({ tests, folder: ROOT, servicesOf: tree });
  const here = isHereToo ? await runTests({ tests, folder: ROOT }) : undefined;
  return new Map(
    tests.map((one) => [
      one,
      { there: judgeThere(there, one), ...(here !== undefined && { here: judgeHere(here, one) }) },
    ]),
  );
}

async function show(rows: readonly BeforeRow[], tree: string, { here, from }: Options): Promise<boolean> {
  furnish(
    tree,
    table,
    rows.flatMap((row) => row.tests).filter(({ older }) => older === 'tree'),
  );
  const shown = new Map<BeforeTest, Shown>();
  for (const tests of runsOf(rows)) {
    for (const [test, one] of await look(tests, tree, here === true)) shown.set(test, one);
  }
  console.log(`| row | what was wrong | test | on ${from ?? table.commit} |${here ? ' here |' : ''}`);
  console.log(`| --- | --- | --- | --- |${here ? ' --- |' : ''}`);
  for (const { row, what, tests } of rows) {
    for (const test of tests) {
      const one = shown.get(test)!;
      const name = test.test.replace(/\$$/, '');
      console.log(`| ${row} | ${what} | ${test.file}: ${name} | ${wordsOf(one.there)} |${hereOf(one.here)}`);
    }
  }
  const proofs = [...shown.values()].filter(isProof).length;
  console.log(`\n${proofs} of ${shown.size} tests of ${rows.length} rows show what they should.`);
  return proofs === shown.size;
}

const options = parse();
const rows = chosenRows(table, options.rows?.split(','));
if (options.list) {
  for (const { row, what, tests } of rows) {
    console.log(`${row}  ${what}`);
    for (const { file, test, older } of tests)
      console.log(`    ${file}: ${test.replace(/\$$/, '')} (older: ${older})`);
  }
} else {
  // A commit, not a folder where it is checked out: files are copied into it.
  const commit = commitOf(options.from ?? table.commit);
  const isShown = await withCodeOf(commit, (tree) => show(rows, tree!, options));
  process.exitCode = isShown ? 0 : 1;
}
