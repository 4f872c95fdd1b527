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
  /** What is offered. */
  perSecond: number;
}

/** What is to be reached of before. */
const SHARE_MIN = 0.95;
const WARM_UP_MS = 5000;

/** Of before, or of what was offered when there was some to catch up with. */
const shareOf = (now: number, before: number, perSecond: number) => now / Math.min(before, perSecond);

function isShare(now: Figures, { before, perSecond }: Result): boolean {
  const shares = [
    shareOf(now.acceptedPerSecond, before.acceptedPerSecond, perSecond),
    shareOf(now.deliveredPerSecond, before.deliveredPerSecond, perSecond),
  ];
  return shares.every((share) => share >= SHARE_MIN);
}

export function isReached(result: Result): boolean {
  const { during, after, bar } = result;
  return (bar === 'none' || isShare(during, result)) && (after === undefined || isShare(after, result));
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
    const result: Result = {
      name: trouble.name,
      before,
      during,
      bar: trouble.bar ?? 'share',
      perSecond: trouble.healthy.perSecond,
    };
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
  const percent = (now: number, before: number, offered: number) =>
    `${(100 * shareOf(now, before, offered)).toFixed(1)} %`;
  const rows = results.map((result) => {
    const { name, before, during, perSecond } = result;
    return [
      name,
      during.acceptedPerSecond.toFixed(1),
      percent(during.acceptedPerSecond, before.acceptedPerSecond, perSecond),
      during.deliveredPerSecond.toFixed(1),
      percent(during.deliveredPerSecond, before.deliveredPerSecond, perSecond),
      `${before.p99Ms.toFixed(0)} ms`,
      `${during.p99Ms.toFixed(0)} ms`,
      isReached(result) ? 'reached' : 'NOT reached',
    ];
  });
  return table(head, rows);
}
