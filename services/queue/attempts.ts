// The attempts that one partition has leased to delivery workers: known by attempt id until what became of them is
// stored. Pure.
import type { Job } from '#proto/postrider/v1/job.ts';
import type { Site } from '#proto/postrider/v1/route.ts';
import type { Custody } from './custody.ts';

export interface Attempt {
  readonly id: string;
  readonly custody: Custody;
  readonly positions: number[];
  readonly siteKey: string;
  /** Absent, like the job, for an attempt adopted from an earlier owner. */
  readonly site: Site | undefined;
  readonly job: Job | undefined;
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

  /** Attempts that nobody accepted although they were sent before `sentBeforeMs`. */
  unaccepted(sentBeforeMs: number): Attempt[] {
    const found: Attempt[] = [];
    for (const attempt of this.#byId.values()) {
      if (attempt.finished || attempt.worker !== '') continue;
      // Insertion order is sending order: what follows was sent later.
      if (attempt.sentAtMs > sentBeforeMs) break;
      found.push(attempt);
    }
    return found;
  }

  /** Unfinished attempts of workers that are not in `live`. */
  ofLostWorkers(live: ReadonlySet<string>): Attempt[] {
    const found: Attempt[] = [];
    for (const attempt of this.#byId.values()) {
      if (!attempt.finished && attempt.worker !== '' && !live.has(attempt.worker)) found.push(attempt);
    }
    return found;
  }
}
