// How far the wall clocks of instances are apart, from what each heartbeat says of its own. Nothing is decided by it: it is
// shown, since what people read (logs, traces, times in mail) is in the wrong order where clocks differ. Pure.
import type { Metrics } from '#libs/telemetry/metrics.ts';

/** Clocks that somebody keeps right differ by less; the alert PostriderClocksDiffer says the same. */
export const CLOCKS_AGREE_MS = 2000;
/** Heartbeats of this long are one sample: five of them, so that one that came quickly is among them. */
const SAMPLE_MS = 5000;

/** Of one instance: its clock less ours, milliseconds; above 0 when it is ahead. */
export interface ClockOffset {
  readonly instance: string;
  readonly aheadMs: number;
}

/** How far the two are apart that differ most, and who is furthest from the middle of all. */
export interface ClockSpread {
  differMs: number;
  instance: string;
  isAhead: boolean;
}

/**
 * The offset of a clock that is read now and then, after a way of unknown length. A slow way makes it look behind and never
 * ahead, so the largest of some differences is the nearest to the truth, whichever sign that has: the smallest by amount would
 * take 3 s of delay and 3 s ahead for no difference. What was heard more than ten seconds ago counts no more: somebody may
 * have set a clock since.
 */
export class OffsetEstimate {
  #beganAtMs = Number.NEGATIVE_INFINITY;
  #before: number | undefined;
  #now: number | undefined;

  /** Of times in milliseconds: `wallMs` is what the other one said, 0 when it does not say. */
  heard({ wallMs, ourWallMs, atMs }: { wallMs: number; ourWallMs: number; atMs: number }): void {
    const passedMs = atMs - this.#beganAtMs;
    if (passedMs >= SAMPLE_MS) {
      this.#before = passedMs < 2 * SAMPLE_MS ? this.#now : undefined;
      this.#now = undefined;
      this.#beganAtMs = atMs;
    }
    if (wallMs === 0) return;
    this.#now = Math.max(this.#now ?? Number.NEGATIVE_INFINITY, wallMs - ourWallMs);
  }

  /** Milliseconds; undefined when it never said. */
  get aheadMs(): number | undefined {
    if (this.#now === undefined || this.#before === undefined) return this.#now ?? this.#before;
    return Math.max(this.#now, this.#before);
  }
}

/** The largest difference to ours by amount, milliseconds; 0 when none is known. */
export function skewMsOf(others: readonly ClockOffset[]): number {
  return others.reduce((mostMs, { aheadMs }) => Math.max(mostMs, Math.abs(aheadMs)), 0);
}

/** Our own clock counts as one of them; undefined when no other is known. Of two, the one that is ahead is named. */
export function clockSpread(us: string, others: readonly ClockOffset[]): ClockSpread | undefined {
  if (others.length === 0) return undefined;
  const all = [{ instance: us, aheadMs: 0 }, ...others].sort((a, b) => a.aheadMs - b.aheadMs);
  const [least, most] = [all[0]!, all[all.length - 1]!];
  const half = (all.length - 1) / 2;
  const middleMs = (all[Math.floor(half)]!.aheadMs + all[Math.ceil(half)]!.aheadMs) / 2;
  const isAhead = most.aheadMs - middleMs >= middleMs - least.aheadMs;
  return { differMs: most.aheadMs - least.aheadMs, instance: (isAhead ? most : least).instance, isAhead };
}

/** Registers the gauge; every service that follows heartbeats has it. */
export function showClockSkew(metrics: Pick<Metrics, 'gauge'>, offsets: () => readonly ClockOffset[]): void {
  metrics.gauge(
    'postrider_clock_skew_seconds',
    'Largest difference of the wall clock of this process to that of a queue or delivery instance that it hears. Healthy: below 1.',
    () => skewMsOf(offsets()) / 1000,
  );
}
