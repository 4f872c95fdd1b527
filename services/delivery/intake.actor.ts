// The worker's side of the protocol with owners: takes jobs, accepts each once, answers who asks what is in flight, and
// tells outcomes until they are acknowledged.
//
// Fails: a message that is not what it should be is reported and dropped; its sender repeats it.
import { subjects } from '#libs/nats/layout.ts';
import type { Incoming, Link, LinkSubscription } from '#libs/nats/link.ts';
import {
  InflightAnswer,
  InflightRequest,
  JobBatch,
  type Outcome,
  OutcomeAck,
} from '#proto/postrider/v1/job.ts';
import type { Site } from '#proto/postrider/v1/route.ts';
import { type Attempt, newAttempt } from './attempt.ts';
import {
  type LedgerState,
  newLedger,
  onAcknowledged,
  onCheckpoint,
  onFinished,
  onInflightRequest,
  onJob,
  onSwept,
} from './attempt-ledger.machine.ts';
import type { Outbox } from './outbox.actor.ts';

const TELL_AGAIN_MS = 2000;
const TELL_AGAIN_MAX = 5000;

export interface IntakeOptions {
  link: Link;
  partitions: number;
  outbox: Outbox;
  now: () => number;
  /** Attempts that are to be made. */
  onAttempts: (site: Site, attempts: Attempt[]) => void;
  onTrouble: (reason: string) => void;
  /** False when the shards may have another owner: who sent a job sends it to that one too, under the same id. */
  mayTakeJobs: () => boolean;
  /** True when it was held up on its way for so long that it may have been sent again. */
  isLate: (batch: JobBatch) => boolean;
}

export class Intake {
  readonly #options: IntakeOptions;
  readonly #ledger: LedgerState<Attempt>;
  #subscriptions: LinkSubscription[] = [];

  constructor(options: IntakeOptions) {
    this.#options = options;
    this.#ledger = newLedger(options.now());
  }

  /** Listens to owners; jobs come through `jobs`, which the shards subscribe. */
  start(): void {
    const { link, partitions } = this.#options;
    this.#subscriptions.push(
      link.subscribe(subjects.outcomeAck(link.instance), (message) => {
        this.#read(message, (data) => onAcknowledged(this.#ledger, OutcomeAck.decode(data)));
      }),
    );
    for (let partition = 0; partition < partitions; partition++) {
      this.#subscriptions.push(
        link.subscribe(subjects.inflight(partition), (message) => {
          this.#read(message, (data) => this.#answer(InflightRequest.decode(data), message.reply));
        }),
      );
    }
    link.onReconnected(() => this.#tellAgain(0));
  }

  stop(): void {
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
    this.#subscriptions = [];
  }

  /** A message of `deliver.<shard>`. */
  jobs(message: Incoming): void {
    this.#read(message, (data) => this.#take(JobBatch.decode(data)));
  }

  checkpointed(attemptId: string): void {
    onCheckpoint(this.#ledger, attemptId);
  }

  /** True when its final dot may have been sent. */
  isCheckpointed(attemptId: string): boolean {
    return this.#ledger.running.get(attemptId)?.checkpointed === true;
  }

  /** The attempt is over: its outcome is told until it is acknowledged. */
  finished(attempt: Attempt, outcome: Outcome): void {
    const { outbox, now } = this.#options;
    if (onFinished(this.#ledger, outcome, now())) outbox.outcome(attempt.job.partition, outcome);
  }

  /** Called about twice a second. */
  sweep(): void {
    this.#tellAgain(TELL_AGAIN_MS);
  }

  /** Outcomes that no owner acted on yet. */
  get unacknowledged(): number {
    return this.#ledger.unacknowledged.size;
  }

  #read(message: Incoming, act: (data: Uint8Array) => void): void {
    try {
      act(message.data);
    } catch (error) {
      this.#options.onTrouble(`cannot read a message of ${message.subject}: ${String(error)}`);
    }
  }

  #take(batch: JobBatch): void {
    const { outbox, onAttempts } = this.#options;
    const { site } = batch;
    if (site === undefined || !this.#options.mayTakeJobs() || this.#options.isLate(batch)) return;
    const started: Attempt[] = [];
    for (const job of batch.jobs) {
      const attempt = newAttempt(job);
      const verdict = onJob(this.#ledger, job, site.key, attempt);
      if (verdict.kind === 'stale') continue;
      if (verdict.kind === 'outcome') outbox.outcome(job.partition, verdict.outcome);
      else outbox.accepted(job.partition, job.attemptId);
      if (verdict.kind === 'start') started.push(attempt);
    }
    if (started.length > 0) onAttempts(site, started);
  }

  #answer(request: InflightRequest, reply: string): void {
    const { link } = this.#options;
    const known = onInflightRequest(this.#ledger, request);
    const running = known.running.map(({ job, siteKey, checkpointed }) => {
      const { attemptId, queueId, recipients } = job;
      return { attemptId, queueId, recipients, siteKey, checkpointed };
    });
    const answer = {
      worker: link.instance,
      running,
      unacknowledged: known.unacknowledged,
      part: 0,
      parts: 0,
    };
    if (reply !== '') link.publish(reply, InflightAnswer.encode(answer).finish());
  }

  #tellAgain(silentForMs: number): void {
    const { outbox, now } = this.#options;
    const nowMs = now();
    const sweep = { nowMs, toldBeforeMs: nowMs - silentForMs, max: TELL_AGAIN_MAX };
    for (const { outcome, partition } of onSwept(this.#ledger, sweep)) outbox.outcome(partition, outcome);
  }
}
