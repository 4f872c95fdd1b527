// Rules about whose mail is traced, as text for a terminal. Pure.
import type { TraceRule } from '#proto/postrider/v1/rules.ts';
import { ageText } from './quantities.ts';
import { aligned, visible, widthsOf } from './table.ts';

const HEADINGS = ['TRACED', 'FOR ANOTHER', 'SINCE', 'REASON'];

/** A row per rule, those that end first first; each line with its line end. */
export function rulesText(rules: readonly TraceRule[], nowMs: number): string {
  if (rules.length === 0) return 'No mail is traced by rule.\n';
  const rows = rules
    .toSorted((a, b) => a.untilMs - b.untilMs)
    .map(({ name, untilMs, madeAtMs, reason }) => [
      visible(name),
      ageText(untilMs - nowMs),
      `${ageText(nowMs - madeAtMs)} ago`,
      reason === '' ? '-' : visible(reason),
    ]);
  const widths = widthsOf([HEADINGS, ...rows]);
  return [HEADINGS, ...rows].map((row) => `${aligned(row, widths)}\n`).join('');
}

/** What a rule that was just made does. */
export function ruleText({ name, madeAtMs, untilMs }: TraceRule): string {
  const until = new Date(untilMs).toISOString().replace(/T(.*)\.\d+Z$/, ' $1 UTC');
  return `Mail from or to ${visible(name)} is traced until ${until} (for ${ageText(untilMs - madeAtMs)}).`;
}
