// What a table of rows says: what was wrong on an older commit, and the tests that show it.
import type { Claim } from './judge.ts';

export interface BeforeTest extends Claim {
  /**
   * What is older. `tree`: all but the test and the kit, which are copied there, and run in the older tree. `services`: the
   * processes of a whole cluster, under the test and the kit of this tree.
   */
  older: 'tree' | 'services';
}

export interface BeforeRow {
  row: string;
  /** What was wrong. */
  what: string;
  tests: readonly BeforeTest[];
}

export interface BeforeTable {
  commit: string;
  /** Makes the older kit what the tests of this tree expect of it; in this folder. */
  patch: string;
  /** Files of test/kit that stay as they are there, but for the patch: they know the insides of services. */
  kitThere: readonly string[];
  rows: readonly BeforeRow[];
}

/** The rows with these names; all without any. Throws for a name that no row has. */
export function chosenRows(
  { rows }: BeforeTable,
  names: readonly string[] | undefined,
): readonly BeforeRow[] {
  if (names === undefined) return rows;
  return names.map((name) => {
    const row = rows.find((one) => one.row === name);
    if (row === undefined)
      throw new Error(`no row ${name}; there are ${rows.map((one) => one.row).join(', ')}`);
    return row;
  });
}
