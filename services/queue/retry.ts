// When a deferred recipient is tried again: the configured schedule, jittered by up to 10 % from the queue id, so that
// mails that were deferred together do not come back together, and a restart computes the same times.
import { hash32 } from '#libs/mail/hash.ts';

export interface RetryPolicy {
  /** Waits after the first, second, ... deferral, milliseconds; the last one repeats. */
  scheduleMs: number[];
  expireAfterMs: number;
  delayWarningAfterMs: number;
}

/** After so many deferrals nothing waits longer than this for its next attempt, milliseconds. */
export function longestWaitMs(deferrals: number, policy: Pick<RetryPolicy, 'scheduleMs'>): number {
  return Math.ceil(1.1 * waitMsAfter(deferrals, policy));
}

/** What was never deferred waits no longer than after the first time. */
function waitMsAfter(deferrals: number, { scheduleMs }: Pick<RetryPolicy, 'scheduleMs'>): number {
  return scheduleMs[Math.min(Math.max(1, deferrals), scheduleMs.length) - 1]!;
}

/** From -1 to 1; queue ids that follow each other are far apart. */
function jitterOf(queueId: string): number {
  return (hash32(queueId) / 0xffffffff) * 2 - 1;
}

/** The time of the next attempt, on the clock of `nowMs`; `deferrals` counts the one that just happened (>= 1). */
export function nextAttemptAtMs(
  queueId: string,
  deferrals: number,
  nowMs: number,
  policy: RetryPolicy,
): number {
  return Math.round(nowMs + waitMsAfter(deferrals, policy) * (1 + 0.1 * jitterOf(queueId)));
}
