// The attempts that one partition has leased to delivery workers: known by attempt id until what became of them is
// stored. Pure.
import type { Job } from '#proto/postrider/v1/job.ts';
import type { Site } from '#proto/postrider/v1/route.ts';
import type { Custody } from './custody.ts';

/** Who asked for the attempt: this owner by a job, or an earlier one whose job is not known here. */
export type Origin = { kind: 'leased'; site: Site; job: Job } | { kind: 'adopted' };

export interface Attempt {
  readonly id: string;
  readonly custody: Custody;
  readonly positions: readonly number[];
  readonly siteKey: string;
  readonly origin: Origin;
  sentAtMs: number;
  /** Instance that accepted it; "" until it said so. */
  worker: string;
  checkpointed: boolean;
  /** The outcome was applied and waits to be stored; nothing else may happen to it. */
  finished: boolean;
}

export class AttemptLedger {
  readonly #byId = new Map<string, Attempt>();

  get size(): number {
    return this.#byId.size;
  }

  add(attempt: Attempt): void {
    this.#byId.set(attempt.id, attempt);
  }

  get(id: string): Attempt | undefined {
    return this.#byId.get(id);
  }

  remove(id: string): void {
    this.#byId.delete(id);
  }

  /** It waits anew: from now on it counts as the newest. */
  renew(attempt: Attempt, nowMs: number): void {
    this.#byId.delete(attempt.id);
    attempt.sentAtMs = nowMs;
    this.#byId.set(attempt.id, attempt);
  }

  /** Also those whose outcome waits to be stored. */
  all(): IterableIterator<Attempt> {
    return this.#byId.values();
  }

  /** Those that have no outcome yet. */
  *unfinished(): Generator<Attempt> {
    for (const attempt of this.#byId.values()) if (!attempt.finished) yield attempt;
  }

  /** Attempts that nobody accepted although they were sent before `sentBeforeMs`. */
  unaccepted(sentBeforeMs: number): Attempt[] {
    const found: Attempt[] = [];
    for (const attempt of this.unfinished()) {
      if (attempt.worker !== '') continue;
      // Insertion order is sending order: what follows was sent later.
      if (attempt.sentAtMs > sentBeforeMs) break;
      found.push(attempt);
    }
    return found;
  }

  /** Unfinished attempts that were sent before `sentBeforeMs`. */
  sentBefore(sentBeforeMs: number): Attempt[] {
    const found: Attempt[] = [];
    for (const attempt of this.unfinished()) {
      // Insertion order is sending order: what follows was sent later.
      if (attempt.sentAtMs > sentBeforeMs) break;
      found.push(attempt);
    }
    return found;
  }

  /** Unfinished attempts of workers that are not in `live`. */
  ofLostWorkers(live: ReadonlySet<string>): Attempt[] {
    const found: Attempt[] = [];
    for (const attempt of this.unfinished()) {
      if (attempt.worker !== '' && !live.has(attempt.worker)) found.push(attempt);
    }
    return found;
  }
}
