// Waits for what a test has set going, by looking again and again.
import { setTimeout as pause } from 'node:timers/promises';

const LOOK_AGAIN_MS = 10;

/** Resolves when the condition holds; rejects after `timeoutMs` with `what` did not happen (the condition's text). */
export async function waitUntil(
  isTrue: () => boolean | Promise<boolean>,
  timeoutMs: number,
  what = `${isTrue}`,
  lookAgainMs = LOOK_AGAIN_MS,
): Promise<void> {
  const untilMs = performance.now() + timeoutMs;
  while (!(await isTrue())) {
    if (performance.now() > untilMs) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await pause(lookAgainMs);
  }
}
