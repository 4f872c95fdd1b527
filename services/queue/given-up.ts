// Attempts that this owner gave up or counted as in doubt, kept for as long as a worker that lives after all may say something of them.
// Pure; bounded.

/**
 * lost: it had not passed its checkpoint, and cannot any more; others try since. in doubt: it may have delivered, and that is counted.
 * over: it was adopted from an earlier owner and has its outcome.
 */
export type GivenUpAs = 'lost' | 'in doubt' | 'over';

const GENERATION_MS = 1_800_000;
const GENERATION_MAX = 100_000;

export class GivenUp {
  #young = new Map<string, GivenUpAs>();
  #old: ReadonlyMap<string, GivenUpAs> = new Map();
  #sinceMs = Number.NEGATIVE_INFINITY;

  note(attemptId: string, how: GivenUpAs, nowMs: number): void {
    if (this.#young.size >= GENERATION_MAX || nowMs - this.#sinceMs >= GENERATION_MS) {
      this.#old = this.#young;
      this.#young = new Map();
      this.#sinceMs = nowMs;
    }
    this.#young.set(attemptId, how);
  }

  /** What is known of it; undefined when it is another one, or was given up more than half an hour ago. */
  of(attemptId: string): GivenUpAs | undefined {
    return this.#young.get(attemptId) ?? this.#old.get(attemptId);
  }
}
