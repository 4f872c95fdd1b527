// Waits for what happens in containers: to look costs a call to the Docker Engine, or a process, so not often.
import { waitUntil } from '#kit/wait-until.ts';

const LOOK_AGAIN_MS = 300;

/** Resolves when the condition holds; rejects after `timeoutMs`, since `what` did not happen. */
export function eventually(isTrue: () => Promise<boolean>, timeoutMs: number, what: string): Promise<void> {
  return waitUntil(isTrue, timeoutMs, what, LOOK_AGAIN_MS);
}
