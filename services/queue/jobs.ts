// Makes the jobs of one owner, each with an attempt id of its own.
import { attemptIdOf } from '#libs/mail/attempt-id.ts';
import type { Job } from '#proto/postrider/v1/job.ts';
import type { QueueContext } from './context.ts';
import type { Custody } from './custody.ts';
import { dispatchMailSpan, dueAtMsOf, traceOfAttempt } from './mail-span.ts';

/** A worker that cannot start a job within this gives it back. */
const START_WITHIN_MS = 300_000;

type JobsContext = Pick<QueueContext, 'clock' | 'sameTraceWindowMs'>;

export class Jobs {
  readonly #owner: { readonly number: number; readonly epoch: number };
  readonly #context: JobsContext;
  #count = 0;

  constructor(owner: { readonly number: number; readonly epoch: number }, context: JobsContext) {
    this.#owner = owner;
    this.#context = context;
  }

  /** Of attempts so far; the number of the last one. */
  get count(): number {
    return this.#count;
  }

  /** For these recipients; the first of them says how often it was deferred. */
  make(
    custody: Custody,
    { positions, siteKey, nowMs }: { positions: readonly number[]; siteKey: string; nowMs: number },
  ): Job {
    const { number, epoch } = this.#owner;
    const { clock, sameTraceWindowMs } = this.#context;
    const { message } = custody;
    const { attempts } = message.recipients[positions[0]!]!;
    const dueAtMs = dueAtMsOf(message, positions, nowMs);
    dispatchMailSpan(custody, { siteKey, attempt: attempts + 1, nowMs, dueAtMs });
    return {
      attemptId: this.#nextId(custody),
      queueId: message.queueId,
      partition: number,
      epoch,
      ref: message.ref,
      recipients: positions.length === message.recipients.length ? [] : [...positions],
      startByMs: clock.toWall(nowMs + START_WITHIN_MS),
      startWithinMs: START_WITHIN_MS,
      fenced: true,
      attempts,
      acceptedAtMs: message.acceptedAtMs,
      dueAtMs: clock.toWall(dueAtMs),
      ...traceOfAttempt(custody, attempts, nowMs, sameTraceWindowMs),
    };
  }

  /** As it would be made now, under a new id. */
  again(job: Job, custody: Custody, nowMs: number): Job {
    return {
      ...job,
      attemptId: this.#nextId(custody),
      ref: custody.message.ref,
      startByMs: this.#context.clock.toWall(nowMs + START_WITHIN_MS),
    };
  }

  #nextId({ message }: Custody): string {
    this.#count += 1;
    return attemptIdOf({ queueId: message.queueId, number: this.#count, epoch: this.#owner.epoch });
  }
}
