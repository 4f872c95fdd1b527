// What an attempt becomes when the trouble is ours and not the host's.
import { type Job, type Outcome, OutcomeKind } from '#proto/postrider/v1/job.ts';
import { outcomeForAll } from './attempt.ts';

/**
 * The mail's data cannot be had. A record that is gone is deferred with words for the operator: its owner decides.
 * One that cannot be read now gives the job back unharmed.
 */
export function dataTrouble(job: Job, trouble: 'missing' | 'unavailable'): Outcome {
  if (trouble === 'missing') {
    const place = `${job.ref?.stream ?? ''} ${job.ref?.sequence ?? 0}`;
    const reply = { code: 451, enhanced: '4.3.0', text: `the stored mail is missing (${place})`, host: '' };
    return outcomeForAll(job, { kind: OutcomeKind.DEFERRED, reply, tls: '' });
  }
  const reply = { code: 451, enhanced: '4.3.0', text: 'the stored mail cannot be read now', host: '' };
  return outcomeForAll(job, { kind: OutcomeKind.RETURNED, reply, tls: '' });
}
