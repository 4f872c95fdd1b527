// What a crash run came to: whether every promise was kept, and the final table. Pure.
import { isKept, ledgerText } from '#kit/load-ledger.ts';
import type { CrashResult } from './crash-run.ts';

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

/** True when every promise was kept. */
export function isGood(result: CrashResult): boolean {
  const { ledger, calm, leftAfterBound, leftInQueue, held } = result;
  const isHeldRight = held === undefined || held.without.length === 0;
  const isTwice = held !== undefined && ledger.duplicates > 0;
  const isOver = leftAfterBound === 0 && leftInQueue === 0;
  return isKept(ledger) && calm.violations.length === 0 && isOver && isHeldRight && !isTwice;
}

function listed(lines: readonly string[]): string {
  return lines.map((line) => `    ${line}\n`).join('');
}

export function resultText(result: CrashResult): string {
  const { faults, ledger, calm, settledMs, boundMs, leftAfterBound, leftInQueue, held, histories } = result;
  const { longestGapMs, violations } = calm;
  const heldLines =
    held === undefined
      ? []
      : [
          `held                 ${held.mails}\n`,
          `held without doubt   ${held.without.length}\n${listed(held.without.slice(0, 10))}`,
          `no more in doubt     ${held.settled}, settled by a late word\n`,
        ];
  return [
    `faults               ${faults}\n`,
    ledgerText(ledger),
    ...heldLines,
    `settled              ${seconds(settledMs)} after the last fault and the last mail (bound ${seconds(boundMs)})\n`,
    `left after the bound ${leftAfterBound}; in the queue though they came ${leftInQueue}\n`,
    `without an owner     at most ${seconds(longestGapMs.hit)} after a hit, ${seconds(longestGapMs.calm)} otherwise\n`,
    `rules broken         ${violations.length}\n${listed(violations)}`,
    ...(histories.length > 0 ? [`\nhistories (seconds of the run):\n${histories.join('\n')}\n`] : []),
    `\n${isGood(result) ? 'every promise was kept' : 'PROMISES WERE BROKEN'}`,
  ].join('');
}
