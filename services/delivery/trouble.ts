// What an attempt becomes when the trouble is ours and not the host's.
import { type Job, type Outcome, OutcomeKind } from '#proto/postrider/v1/job.ts';
import { outcomeForAll } from './attempt.ts';
import type { FrameRead } from './pack-cache.actor.ts';

/** `read`, or missing when what stands there is another mail, or one without the recipients that the job is for. */
export function frameFor(job: Job, read: FrameRead): FrameRead {
  if (read.kind !== 'found') return read;
  const { queueId, forwardPaths } = read.frame.envelope;
  const hasThem =
    forwardPaths.length > 0 && job.recipients.every((position) => position < forwardPaths.length);
  return queueId === job.queueId && hasThem ? read : { kind: 'missing' };
}

/**
 * The mail's data cannot be had: the job is given back unharmed. When its record is gone its owner hears that, too: it knows
 * whether it has moved the mail since, or the content is lost.
 */
export function dataTrouble(job: Job, trouble: 'missing' | 'unavailable'): Outcome {
  const isMissing = trouble === 'missing';
  const place = `${job.ref?.stream ?? ''} ${job.ref?.sequence ?? 0}`;
  const text = isMissing ? `the stored mail is missing (${place})` : 'the stored mail cannot be read now';
  const reply = { code: 451, enhanced: '4.3.0', text, host: '' };
  const outcome = outcomeForAll(job, { kind: OutcomeKind.RETURNED, reply, tls: '' });
  return isMissing ? { ...outcome, contentMissing: true } : outcome;
}
