// When a deferred recipient is tried again: the configured schedule, jittered by up to 10 % from the queue id, so that
// mails that were deferred together do not come back together, and a restart computes the same times.
import { hash32 } from '#libs/mail/hash.ts';

export interface RetryPolicy {
  /** Waits after the first, second, ... deferral, milliseconds; the last one repeats. */
  scheduleMs: number[];
  expireAfterMs: number;
  delayWarningAfterMs: number;
}

/** No mail waits longer than this for its next attempt, milliseconds. */
export function longestWaitMs({ scheduleMs }: Pick<RetryPolicy, 'scheduleMs'>): number {
  return Math.ceil(1.1 * Math.max(...scheduleMs));
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
  const schedule = policy.scheduleMs;
  const waitMs = schedule[Math.min(deferrals, schedule.length) - 1]!;
  return Math.round(nowMs + waitMs * (1 + 0.1 * jitterOf(queueId)));
}
