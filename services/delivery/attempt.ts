// One attempt while it is here: the job, when it began, its span; and how its results become the outcome that is told.
import type { LiveSpan } from '#libs/telemetry/tracing.ts';
import { type Job, type Outcome, OutcomeKind, type RecipientOutcome } from '#proto/postrider/v1/job.ts';
import type { Reply } from '#proto/postrider/v1/mail.ts';
import type { WaitingJob } from './site.machine.ts';

/** A job that this worker accepted; it waits for a connection, or is carried by one. */
export interface Attempt extends WaitingJob {
  readonly job: Job;
  readonly startByMs: number;
  /** 0 until a connection carries it. */
  startedAtMs: number;
  span: LiveSpan | undefined;
}

/** What became of one recipient; `position` is that in Envelope.forward_paths. */
export interface RecipientFate {
  position: number;
  kind: OutcomeKind;
  reply: Reply;
}

export function newAttempt(job: Job): Attempt {
  return { job, startByMs: job.startByMs, startedAtMs: 0, span: undefined };
}

/** Positions that the job is for; `forwardPaths` counts those of the envelope. */
export function positionsOf(job: Job, forwardPaths: number): readonly number[] {
  return job.recipients.length > 0 ? job.recipients : Array.from({ length: forwardPaths }, (_, i) => i);
}

/** One result for the whole job. */
export function outcomeForAll(job: Job, result: { kind: OutcomeKind; reply: Reply; tls: string }): Outcome {
  const { kind, reply, tls } = result;
  const { attemptId, queueId, recipients } = job;
  return { attemptId, queueId, kind, reply, recipients: [], tls, jobRecipients: recipients };
}

/** Results by recipient, said once when they are all the same. `fates` has one for each recipient of the job. */
export function outcomeOf(job: Job, fates: readonly RecipientFate[], tls: string): Outcome {
  const first = fates[0]!;
  if (fates.every((fate) => fate.kind === first.kind && fate.reply === first.reply)) {
    return outcomeForAll(job, { kind: first.kind, reply: first.reply, tls });
  }
  const recipients: RecipientOutcome[] = fates.map(({ position, kind, reply }) => ({
    recipient: position,
    kind,
    reply,
  }));
  return { ...outcomeForAll(job, { kind: worst(fates), reply: first.reply, tls }), recipients };
}

/** What the job as a whole counts as: a deferral before a failure before a success. */
function worst(fates: readonly RecipientFate[]): OutcomeKind {
  const kinds = new Set(fates.map((fate) => fate.kind));
  if (kinds.has(OutcomeKind.DEFERRED)) return OutcomeKind.DEFERRED;
  if (kinds.has(OutcomeKind.FAILED)) return OutcomeKind.FAILED;
  return fates[0]!.kind;
}
