// Watches the attempts that are out: a job that nobody accepted is sent again, an attempt whose worker died is lost.
// Neither is decided by silence alone: the live workers are asked first, and those that are gone are kept from passing any checkpoint of
// what is given up.

import { partsOfAttemptId } from '#libs/mail/attempt-id.ts';
import type { Link } from '#libs/nats/link.ts';
import type { Attempt } from './attempts.ts';
import type { Checkpoints } from './checkpoints.actor.ts';
import type { QueueContext } from './context.ts';
import type { Dispatch } from './dispatch.actor.ts';
import { askInflight } from './inflight.ts';
import type { SiteDesk } from './site-desk.actor.ts';

/**
 * A worker that is alive accepts within a turn; after this much silence it is asked. A job that comes later than this is not taken
 * any more (JOBS_LATE_MS of services/delivery and a heartbeat): it may run elsewhere.
 */
const ACCEPT_WITHIN_MS = 3000;
/** A dot may take ten minutes (RFC 5321 §4.5.3.2.6). Of what is out for this long a live worker is asked whether it still has it. */
const ASK_AFTER_MS = 1_800_000;
const ASK_AGED_EVERY_MS = 300_000;

export interface LeasesOptions {
  link: Link;
  onTrouble: QueueContext['onTrouble'];
  desk: SiteDesk;
  dispatch: Dispatch;
  checkpoints: () => Pick<Checkpoints, 'giveUp'>;
  now: () => number;
  liveWorkers: QueueContext['liveWorkers'];
  viewIsFresh: () => boolean;
  counters: Pick<QueueContext['counters'], 'resent'>;
  owner: { readonly number: number; readonly epoch: number; readonly isOpen: boolean };
}

export class Leases {
  readonly #options: LeasesOptions;
  #asking = false;
  #askedAgedAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: LeasesOptions) {
    this.#options = options;
  }

  /** Called once a second. */
  async sweep(nowMs: number): Promise<void> {
    const { viewIsFresh, liveWorkers, dispatch } = this.#options;
    if (this.#asking || !viewIsFresh()) return;
    const workers = liveWorkers();
    const orphans = dispatch.attempts.ofLostWorkers(workers);
    // Without workers nobody can accept: jobs go again when one is there.
    const unaccepted = workers.size === 0 ? [] : dispatch.attempts.unaccepted(nowMs - ACCEPT_WITHIN_MS);
    const aged = this.#aged(nowMs, workers);
    if (unaccepted.length + orphans.length + aged.length === 0) return;
    this.#asking = true;
    try {
      await this.#reconcile(unaccepted, orphans, aged);
    } finally {
      this.#asking = false;
    }
  }

  /** Attempts that have been out with live workers for very long, if it is time to ask about such. */
  #aged(nowMs: number, live: ReadonlySet<string>): Attempt[] {
    if (nowMs - this.#askedAgedAtMs < ASK_AGED_EVERY_MS) return [];
    this.#askedAgedAtMs = nowMs;
    const aged = this.#options.dispatch.attempts.sentBefore(nowMs - ASK_AFTER_MS);
    return aged.filter(({ worker }) => live.has(worker));
  }

  async #reconcile(unaccepted: Attempt[], orphans: Attempt[], aged: Attempt[]): Promise<void> {
    const { liveWorkers, viewIsFresh, dispatch, owner } = this.#options;
    const workers = liveWorkers();
    const answers = await askInflight(this.#options, owner, workers);
    if (!viewIsFresh() || !owner.isOpen) return;
    const answered = new Set(answers.map((answer) => answer.worker));
    const present = new Set([...liveWorkers(), ...answered]);
    const holder = new Map<string, string>();
    for (const answer of answers) {
      for (const running of answer.running) holder.set(running.attemptId, answer.worker);
      for (const outcome of answer.unacknowledged) holder.set(outcome.attemptId, answer.worker);
    }
    const unknown = aged.filter(({ id }) => !holder.has(id));
    const isSafe = await this.#giveUp([...orphans, ...unaccepted, ...unknown], present);
    if (!isSafe || !viewIsFresh() || !owner.isOpen) return;
    for (const attempt of orphans) {
      if (!attempt.finished && !present.has(attempt.worker)) dispatch.lost(attempt);
    }
    // A worker that did not answer may have the job: wait until it answers or is gone.
    if ([...present].some((worker) => !answered.has(worker))) return;
    for (const attempt of unaccepted) this.#again(attempt, holder.get(attempt.id));
    for (const attempt of unknown) this.#forgotten(attempt);
  }

  /** All workers have answered, and none has it: the one that took it neither. */
  #forgotten(attempt: Attempt): void {
    const { dispatch, onTrouble } = this.#options;
    if (attempt.finished || dispatch.attempts.get(attempt.id) !== attempt) return;
    onTrouble(`${attempt.worker} does not know attempt ${attempt.id} any more`);
    dispatch.lost(attempt);
  }

  /** True when what others than these passed of the attempts has been heard, and they pass no more of them. */
  #giveUp(attempts: readonly Attempt[], present: ReadonlySet<string>): Promise<boolean> {
    const { checkpoints, owner } = this.#options;
    let through = 0;
    for (const { id } of attempts) {
      const { epoch, number } = partsOfAttemptId(id);
      if (epoch === owner.epoch) through = Math.max(through, number);
    }
    return checkpoints().giveUp(present, through);
  }

  #again(attempt: Attempt, worker: string | undefined): void {
    const { desk, now, counters, dispatch } = this.#options;
    if (attempt.finished || attempt.worker !== '') return;
    if (worker !== undefined) {
      attempt.worker = worker;
      return;
    }
    const { origin } = attempt;
    if (origin.kind === 'adopted' || attempt.checkpointed) {
      dispatch.lost(attempt);
      return;
    }
    if (desk.isUnsent(origin.site, origin.job)) {
      dispatch.attempts.renew(attempt, now());
      return;
    }
    counters.resent.add(1);
    desk.resend(origin.site, dispatch.renewed(attempt, origin, now()));
  }
}
