// The span of what the queue makes of an outcome: from the moment it is heard until what it changed is stored. A child of
// the attempt's span, so that every trace of an attempt ends with what comes next.
import type { LiveSpan, Tracing } from '#libs/telemetry/tracing.ts';
import type { Outcome } from '#proto/postrider/v1/job.ts';
import type { Custody } from './custody.ts';
import type { Message } from './message.ts';
import type { PositionResult } from './recipient-steps.ts';

/** Undefined when the attempt's trace is not kept. Before the outcome is applied. */
export function startOutcomeSpan(
  tracing: Tracing,
  heard: { custody: Custody; outcome: Outcome; results: readonly PositionResult[] },
): LiveSpan | undefined {
  const { custody, outcome, results } = heard;
  if (outcome.trace === undefined || results.length === 0) return undefined;
  const { queueId, recipients } = custody.message;
  const [first] = results;
  const recipient = recipients[first!.position];
  return tracing.start('queue outcome', outcome.trace, {
    kind: 'consumer',
    attributes: {
      'mail.queue_id': queueId,
      'mail.site': recipient?.siteKey ?? '',
      'mail.attempt': (recipient?.attempts ?? 0) + 1,
      'mail.outcome': results.every(({ result }) => result === first!.result) ? first!.result : 'mixed',
    },
  });
}

/** Says when those that were deferred are tried again, the first of them. After the outcome was applied. */
export function noteNextAttempt(
  span: LiveSpan,
  message: Message,
  results: readonly PositionResult[],
  toWall: (atMs: number) => number,
): void {
  let atMs = Number.POSITIVE_INFINITY;
  for (const { position } of results) {
    const recipient = message.recipients[position];
    if (recipient?.phase === 'waiting') atMs = Math.min(atMs, recipient.nextAttemptAtMs);
  }
  if (atMs !== Number.POSITIVE_INFINITY) {
    span.set({ 'mail.next_attempt_at': new Date(toWall(atMs)).toISOString() });
    span.event('deferred');
  } else if (message.phase === 'settled') span.event('settled');
}

/** The partition is given up: the next owner hears these outcomes again. */
export function abandonOutcomeSpans(custody: Custody): void {
  for (const { span } of custody.acks) {
    span?.event('given up');
    span?.end();
  }
}
