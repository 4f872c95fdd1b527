// Measures troubles one after the other: a steady load before, the bad thing, the same load while it lasts.
// Fails: a trouble that cannot be made is said, and the next one is measured.
import { table } from '../bench/statistics.ts';
import { type Figures, measure } from './steady-load.ts';
import { TroubleStage } from './trouble-stage.ts';
import type { Lasting, Trouble } from './troubles.ts';

export interface RunOptions {
  /** Of each span. */
  seconds: number;
  root?: string;
  say: (line: string) => void;
}

export interface Result {
  name: string;
  before: Figures;
  during: Figures;
  /** Once it is over by itself. */
  after?: Figures;
  bar: 'share' | 'none';
}

/** What is to be reached of before. */
const SHARE_MIN = 0.95;
const WARM_UP_MS = 5000;

const shareOf = (now: number, before: number) => now / before;

const isShare = (now: Figures, before: Figures) =>
  shareOf(now.acceptedPerSecond, before.acceptedPerSecond) >= SHARE_MIN &&
  shareOf(now.deliveredPerSecond, before.deliveredPerSecond) >= SHARE_MIN;

export function isReached({ before, during, after, bar }: Result): boolean {
  return (bar === 'none' || isShare(during, before)) && (after === undefined || isShare(after, before));
}

export async function measureTrouble(trouble: Trouble, options: RunOptions): Promise<Result> {
  const { seconds, root, say } = options;
  say(`\n${trouble.name}: ${trouble.what}`);
  const stage = await TroubleStage.open({ ...trouble.stage, ...(root !== undefined && { root }) });
  let lasting: Lasting = {};
  try {
    const sender = stage.offer({ domain: 'healthy.test', ...trouble.healthy });
    trouble.prepare?.(stage);
    await measure(sender, stage.healthy, WARM_UP_MS / 1000);
    const before = await measure(sender, stage.healthy, seconds);
    lasting = await trouble.begin(stage);
    const during = await measure(sender, stage.healthy, seconds * (trouble.spans ?? 1));
    say(`  before:         ${figuresText(before)}\n  while it lasts: ${figuresText(during)}`);
    for (const line of (await lasting.says?.(seconds)) ?? []) say(`  ${line}`);
    const result: Result = { name: trouble.name, before, during, bar: trouble.bar ?? 'share' };
    if (lasting.over === undefined) return result;
    const startedAtMs = performance.now();
    await lasting.over();
    say(`  over after ${((performance.now() - startedAtMs) / 1000).toFixed(0)} s more`);
    const after = await measure(sender, stage.healthy, seconds);
    say(`  after it:       ${figuresText(after)}`);
    return { ...result, after };
  } finally {
    await lasting.end?.();
    await stage.close();
  }
}

const figuresText = ({ acceptedPerSecond, deliveredPerSecond, p50Ms, p99Ms, troubles }: Figures) =>
  `accepted ${acceptedPerSecond.toFixed(1)}/s, delivered ${deliveredPerSecond.toFixed(1)}/s, ` +
  `p50 ${p50Ms.toFixed(0)} ms, p99 ${p99Ms.toFixed(0)} ms, put off ${troubles}`;

export function resultTable(results: readonly Result[]): string {
  const head = ['trouble', 'accepted/s', 'of before', 'delivered/s', 'of before', 'p99 before', 'p99', ''];
  const percent = (now: number, before: number) => `${(100 * shareOf(now, before)).toFixed(1)} %`;
  const rows = results.map((result) => {
    const { name, before, during } = result;
    return [
      name,
      during.acceptedPerSecond.toFixed(1),
      percent(during.acceptedPerSecond, before.acceptedPerSecond),
      during.deliveredPerSecond.toFixed(1),
      percent(during.deliveredPerSecond, before.deliveredPerSecond),
      `${before.p99Ms.toFixed(0)} ms`,
      `${during.p99Ms.toFixed(0)} ms`,
      isReached(result) ? 'reached' : 'NOT reached',
    ];
  });
  return table(head, rows);
}
