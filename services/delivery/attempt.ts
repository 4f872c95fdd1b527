// One attempt while it is here: the job, when it began, its span; and how its results become the outcome that is told.
import type { LiveSpan } from '#libs/telemetry/tracing.ts';
import { type Job, type Outcome, OutcomeKind, type RecipientOutcome } from '#proto/postrider/v1/job.ts';
import type { Reply } from '#proto/postrider/v1/mail.ts';
import type { WaitingJob } from './site.machine.ts';

/** A job that this worker accepted; it waits for a connection, or is carried by one. */
export interface Attempt extends WaitingJob {
  readonly job: Job;
  readonly startByMs: number;
  /** By the clock of this worker; 0 until a connection carries it. */
  startedAtMs: number;
  span: LiveSpan | undefined;
  /** Its owner wants it; or not any more, and it ends unless its checkpoint is passed; or it has its outcome. */
  standing: 'wanted' | 'cancelled' | 'over';
  /** out: the last octets, without which no host delivers it, may have left us. */
  dot: 'ahead' | 'out';
}

/** What became of one recipient; `position` is that in Envelope.forward_paths. */
export interface RecipientFate {
  position: number;
  kind: OutcomeKind;
  reply: Reply;
}

/** How long a job may wait here whose owner says only until when: by its own clock, of which we know nothing. It means so long, too. */
const START_WITHIN_MS = 300_000;

/** `nowMs`: when it arrived, by the clock that everything in this worker is timed by. */
export function newAttempt(job: Job, nowMs: number): Attempt {
  const startByMs = nowMs + (job.startWithinMs ?? START_WITHIN_MS);
  return { job, startByMs, startedAtMs: 0, span: undefined, standing: 'wanted', dot: 'ahead' };
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

/** What we end before anything of it can have been delivered: as if it had never started. */
export function returnedUnsent(job: Job, text: string): Outcome {
  const reply = { code: 0, enhanced: '4.3.2', text, host: '' };
  return outcomeForAll(job, { kind: OutcomeKind.RETURNED, reply, tls: '' });
}

/**
 * What we end without a word of the host: in doubt when its final dot may have been sent, and only then. `answered` are recipients
 * whose fate is known all the same: those that the host refused before the dot, or answered for behind it.
 */
export function outcomeOfEnded(
  { job, dot }: Attempt,
  reply: Reply,
  answered: readonly RecipientFate[],
): Outcome {
  if (dot === 'ahead') return outcomeForAll(job, { kind: OutcomeKind.RETURNED, reply, tls: '' });
  const recipients = answered.map(({ position, kind, reply }) => ({ recipient: position, kind, reply }));
  return { ...outcomeForAll(job, { kind: OutcomeKind.DEFERRED, reply, tls: '' }), recipients, inDoubt: true };
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
