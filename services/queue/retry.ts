// When a deferred recipient is tried again: the configured schedule, jittered by up to 10 % from the queue id, so that
// mails that were deferred together do not come back together, and a restart computes the same times.

export interface RetryPolicy {
  /** Waits after the first, second, ... deferral, milliseconds; the last one repeats. */
  scheduleMs: number[];
  expireAfterMs: number;
  delayWarningAfterMs: number;
}

/** FNV-1a over the queue id with a final mix (ids that follow each other must be far apart), from -1 to 1. */
function jitterOf(queueId: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < queueId.length; i++) hash = Math.imul(hash ^ queueId.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (((hash ^ (hash >>> 16)) >>> 0) / 0xffffffff) * 2 - 1;
}

/** The time of the next attempt, milliseconds since 1970; `deferrals` counts the one that just happened (>= 1). */
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
