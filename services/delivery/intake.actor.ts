// The worker's side of the protocol with owners: takes jobs, accepts each once, answers who asks what is in flight, and
// tells outcomes until they are acknowledged.
//
// Fails: a message that is not what it should be is dropped (libs/nats/decoding.ts says so); its sender repeats it.
import { listen, readMessage, readParts, type Wire } from '#libs/nats/decoding.ts';
import { isMailStream, subjects } from '#libs/nats/layout.ts';
import type { Incoming, Link, LinkSubscription } from '#libs/nats/link.ts';
import { gatheredMax } from '#libs/nats/payload.ts';
import {
  InflightAnswer,
  InflightRequest,
  type Job,
  JobBatch,
  type Outcome,
  OutcomeAck,
} from '#proto/postrider/v1/job.ts';
import type { Site } from '#proto/postrider/v1/route.ts';
import { type Attempt, newAttempt } from './attempt.ts';
import {
  type LedgerState,
  newLedger,
  oldestWaitMs,
  onAcknowledged,
  onAdopted,
  onCancelled,
  onCheckpoint,
  onFinished,
  onInflightRequest,
  onJob,
  onPassed,
  onReconnected,
  onSwept,
} from './attempt-ledger.machine.ts';
import { partsOf } from './inflight-parts.ts';
import type { Outbox } from './outbox.actor.ts';
import { fitted, refitted } from './outcome-octets.ts';

const TELL_AGAIN_MS = 2000;
const TELL_AGAIN_MAX = 5000;

const JOBS: Wire<JobBatch> = {
  ...JobBatch,
  flawOf: ({ site }) => (site === undefined ? 'jobs for no site' : undefined),
};

/** What nobody could carry out, or whose outcome nobody would hear, is no job; those that came with it are. */
function flawOfJob({ attemptId, queueId, ref, partition }: Job, partitions: number): string | undefined {
  if (partition >= partitions) return `a job of partition ${partition}`;
  const isWhole = attemptId !== '' && queueId !== '' && ref !== undefined && isMailStream(ref.stream);
  return isWhole ? undefined : 'a job without an attempt, a mail or a place of it';
}

function questionAbout(partition: number): Wire<InflightRequest> {
  const flawOf = (request: InflightRequest) =>
    request.partition === partition ? undefined : `asks about partition ${request.partition}`;
  return { ...InflightRequest, flawOf };
}

export interface IntakeOptions {
  link: Pick<Link, 'instance' | 'payloadMax' | 'subscribe' | 'onReconnected' | 'publish'>;
  partitions: number;
  outbox: Outbox;
  /** Milliseconds by a clock that nobody sets. */
  now: () => number;
  /** Attempts that are to be made. */
  onAttempts: (site: Site, attempts: Attempt[]) => void;
  /** An attempt that need not wait any more. */
  onCancelled: (siteKey: string, attempt: Attempt) => void;
  onTrouble: (reason: string) => void;
  /** So many jobs of partitions whose owners act on no outcomes were not taken. */
  onFull: (jobs: number) => void;
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
      listen(link, {
        subject: subjects.outcomeAck(link.instance),
        wire: OutcomeAck,
        onMessage: (ack) => this.#acknowledged(ack),
      }),
    );
    for (let partition = 0; partition < partitions; partition++) {
      this.#subscriptions.push(
        listen(link, {
          subject: subjects.inflight(partition),
          wire: questionAbout(partition),
          onMessage: (request, { reply }) => this.#answer(request, reply),
        }),
      );
    }
    link.onReconnected(() => {
      onReconnected(this.#ledger);
      this.#tellAgain(0);
    });
  }

  stop(): void {
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
    this.#subscriptions = [];
  }

  /** A message of `deliver.<shard>`. */
  jobs(message: Incoming): void {
    const batch = readMessage(JOBS, message.data, message.subject);
    if (batch === undefined) return;
    const flawOf = (job: Job) => flawOfJob(job, this.#options.partitions);
    this.#take(batch, readParts(batch.jobs, flawOf, message));
  }

  checkpointed(attemptId: string): void {
    onCheckpoint(this.#ledger, attemptId);
  }

  passed(attemptId: string): void {
    onPassed(this.#ledger, attemptId);
  }

  /** The attempt is over: its outcome is told until it is acknowledged. */
  finished(attempt: Attempt, outcome: Outcome): void {
    const { link, outbox, now } = this.#options;
    attempt.standing = 'over';
    const told = fitted(outcome, link.payloadMax);
    if (onFinished(this.#ledger, told, now())) outbox.outcome(attempt.job.partition, told);
  }

  /** Called about twice a second. */
  sweep(): void {
    this.#tellAgain(TELL_AGAIN_MS);
  }

  /** Outcomes that no owner acted on yet. */
  get unacknowledged(): number {
    return this.#ledger.unacknowledged.size;
  }

  /** For how long the oldest of them has waited; a look at all of them. */
  get oldestWaitMs(): number {
    return oldestWaitMs(this.#ledger, this.#options.now());
  }

  #acknowledged(ack: OutcomeAck): void {
    onAcknowledged(this.#ledger, ack);
    onAdopted(this.#ledger, ack);
    for (const { run, siteKey } of onCancelled(this.#ledger, ack)) {
      run.standing = 'cancelled';
      this.#options.onCancelled(siteKey, run);
    }
  }

  #take(batch: JobBatch, jobs: readonly Job[]): void {
    const { outbox, onAttempts, now } = this.#options;
    const { site } = batch;
    if (site === undefined || !this.#options.mayTakeJobs() || this.#options.isLate(batch)) return;
    const nowMs = now();
    const started: Attempt[] = [];
    let full = 0;
    for (const job of jobs) {
      const attempt = newAttempt(job, nowMs);
      const verdict = onJob(this.#ledger, job, site.key, attempt);
      if (verdict.kind === 'full') full += 1;
      if (verdict.kind === 'stale' || verdict.kind === 'full') continue;
      if (verdict.kind === 'outcome') outbox.outcome(job.partition, verdict.outcome);
      else outbox.accepted(job.partition, job.attemptId);
      if (verdict.kind === 'start') started.push(attempt);
    }
    if (started.length > 0) onAttempts(site, started);
    if (full > 0) this.#options.onFull(full);
  }

  #answer(request: InflightRequest, reply: string): void {
    const { link } = this.#options;
    const known = onInflightRequest(this.#ledger, request);
    const running = known.running.map(({ job, siteKey, checkpointed, passed }) => {
      const { attemptId, queueId, recipients } = job;
      return { attemptId, queueId, recipients, siteKey, checkpointed, passed };
    });
    if (reply === '') return;
    const { instance: worker, payloadMax } = link;
    const unacknowledged = known.unacknowledged.map((outcome) => refitted(outcome, payloadMax));
    // An owner that cannot put parts together takes as much as the server does, or waits for us in vain.
    const octetsMax = request.takesParts ? gatheredMax(payloadMax) : Number.POSITIVE_INFINITY;
    for (const part of partsOf({ worker, running, unacknowledged }, octetsMax)) {
      if (link.publish(reply, InflightAnswer.encode(part).finish())) continue;
      const what = `${part.running.length} attempts and ${part.unacknowledged.length} outcomes`;
      this.#options.onTrouble(`cannot say in one message what is in flight in ${request.partition}: ${what}`);
    }
  }

  #tellAgain(silentForMs: number): void {
    const { outbox, now } = this.#options;
    const nowMs = now();
    const sweep = { nowMs, toldBeforeMs: nowMs - silentForMs, max: TELL_AGAIN_MAX };
    for (const { outcome, partition } of onSwept(this.#ledger, sweep)) outbox.outcome(partition, outcome);
  }
}
