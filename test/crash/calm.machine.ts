// What must hold while processes fail, judged from samples taken about once a second: every partition has an owner, except for
// two seconds, or for as long as a take-over takes when an owner or NATS was hit; and when all have been well for a while, no
// outcome waits for its acknowledgement for more than five seconds. Pure.

export interface Sample {
  /** Monotonic, ms. */
  atMs: number;
  /** Loaded partitions, over the queue instances that are well. */
  owned: number;
  /** Whether there is an owner that could have them: a queue instance that is well, and NATS. */
  canOwn: boolean;
  /** When a queue instance or NATS was last hit, or came back. */
  hitAtMs: number;
  /** When the last of all processes came to be well; undefined while one is not. */
  wellSinceMs: number | undefined;
  /** Age of the oldest unacknowledged outcome, s; undefined where nobody shows it. */
  oldestUnacknowledgedS: number | undefined;
}

export interface CalmState {
  partitions: number;
  gapSinceMs: number | undefined;
  /** The present gap has been complained about. */
  isGapTold: boolean;
  isWaitTold: boolean;
  /** Longest times without an owner of some partition, ms: long after a hit, and soon after one. */
  longestGapMs: { calm: number; hit: number };
  violations: string[];
}

/** Silence of 5 s, loading, and what a sample is late by. */
export const TAKE_OVER_MS_MAX = 10_000;
const GAP_MS_MAX = 2000;
/** A sample may miss the moment by so much. */
const SAMPLE_MS = 1500;
/** From when all are well until outcomes must flow: what was away is found out, loaded, and answered. */
const RECOVERED_AFTER_MS = 20_000;
const UNACKNOWLEDGED_S_MAX = 5;

export function newCalm(partitions: number): CalmState {
  const longestGapMs = { calm: 0, hit: 0 };
  return {
    partitions,
    gapSinceMs: undefined,
    isGapTold: false,
    isWaitTold: false,
    longestGapMs,
    violations: [],
  };
}

export function sampled(state: CalmState, sample: Sample): void {
  judgeGap(state, sample);
  judgeWait(state, sample);
}

function judgeGap(state: CalmState, { atMs, owned, canOwn, hitAtMs }: Sample): void {
  if (owned === state.partitions || !canOwn) {
    state.gapSinceMs = undefined;
    state.isGapTold = false;
    return;
  }
  state.gapSinceMs ??= atMs;
  // A new hit gives the owners of now the time of a take-over again.
  const sinceMs = Math.max(state.gapSinceMs, hitAtMs);
  const isHit = state.gapSinceMs - hitAtMs < TAKE_OVER_MS_MAX;
  const key = isHit ? 'hit' : 'calm';
  const gapMs = atMs - sinceMs;
  state.longestGapMs[key] = Math.max(state.longestGapMs[key], gapMs);
  const maxMs = (isHit ? TAKE_OVER_MS_MAX : GAP_MS_MAX) + SAMPLE_MS;
  if (gapMs <= maxMs || state.isGapTold) return;
  state.isGapTold = true;
  const after = isHit ? 'after an owner or NATS was hit' : 'though no owner was hit';
  state.violations.push(`${owned} of ${state.partitions} partitions owned for ${seconds(gapMs)}, ${after}`);
}

function judgeWait(state: CalmState, { atMs, wellSinceMs, oldestUnacknowledgedS }: Sample): void {
  const isRecovered = wellSinceMs !== undefined && atMs - wellSinceMs > RECOVERED_AFTER_MS;
  const isLate = oldestUnacknowledgedS !== undefined && oldestUnacknowledgedS > UNACKNOWLEDGED_S_MAX;
  if (!isRecovered || !isLate) {
    state.isWaitTold = false;
    return;
  }
  if (state.isWaitTold) return;
  state.isWaitTold = true;
  const since = seconds(atMs - wellSinceMs);
  state.violations.push(
    `an outcome unacknowledged for ${oldestUnacknowledgedS.toFixed(0)} s, ${since} after all were well`,
  );
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
