// Watches the attempts that are out: a job that nobody accepted is sent again, an attempt whose worker died is lost.
// Neither is decided by silence alone: the live workers are asked first.

import type { Attempt } from './attempts.ts';
import type { QueueContext } from './context.ts';
import type { Partition } from './partition.actor.ts';
import { askInflight } from './takeover.ts';

/** A worker that is alive accepts within a turn; after this much silence it is asked. */
const ACCEPT_WITHIN_MS = 2000;

export class Leases {
  readonly #partition: Partition;
  readonly #context: QueueContext;
  #asking = false;

  constructor(partition: Partition, context: QueueContext) {
    this.#partition = partition;
    this.#context = context;
  }

  async sweep(nowMs: number): Promise<void> {
    const { viewIsFresh, liveWorkers } = this.#context;
    if (this.#asking || !viewIsFresh()) return;
    const { attempts } = this.#partition;
    const unaccepted = attempts.unaccepted(nowMs - ACCEPT_WITHIN_MS);
    const orphans = attempts.ofLostWorkers(liveWorkers());
    if (unaccepted.length === 0 && orphans.length === 0) return;
    this.#asking = true;
    try {
      await this.#reconcile(unaccepted, orphans);
    } finally {
      this.#asking = false;
    }
  }

  async #reconcile(unaccepted: Attempt[], orphans: Attempt[]): Promise<void> {
    const { link, liveWorkers, viewIsFresh } = this.#context;
    const { number, epoch } = this.#partition;
    const workers = liveWorkers();
    const answers = await askInflight(link, number, epoch, workers.size);
    if (!viewIsFresh() || this.#partition.phase !== 'open') return;
    const answered = new Set(answers.map((answer) => answer.worker));
    const holder = new Map<string, string>();
    for (const answer of answers) {
      for (const running of answer.running) holder.set(running.attemptId, answer.worker);
      for (const outcome of answer.unacknowledged) holder.set(outcome.attemptId, answer.worker);
    }
    for (const attempt of orphans) {
      if (!attempt.finished && !answered.has(attempt.worker)) this.#partition.lost(attempt);
    }
    // A worker that did not answer may have the job: wait until it answers or is gone.
    if ([...workers].some((worker) => !answered.has(worker))) return;
    for (const attempt of unaccepted) this.#again(attempt, holder.get(attempt.id));
  }

  #again(attempt: Attempt, worker: string | undefined): void {
    const { desk, now, counters } = this.#context;
    if (attempt.finished || attempt.worker !== '') return;
    if (worker !== undefined) {
      attempt.worker = worker;
      return;
    }
    if (attempt.job === undefined || attempt.site === undefined) {
      this.#partition.lost(attempt);
      return;
    }
    this.#partition.attempts.remove(attempt.id);
    attempt.sentAtMs = now();
    this.#partition.attempts.add(attempt);
    counters.resent.add(1);
    desk.resend(attempt.site, attempt.job);
  }
}
