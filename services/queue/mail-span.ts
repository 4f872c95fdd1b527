// The span of a mail in the queue: from the search for a route to its first job, or to its rest. A child of the span that
// accepted the mail; the resolver's span and the attempts hang on it, also when it has ended.
import type { Tracing } from '#libs/telemetry/tracing.ts';
import type { Custody } from './custody.ts';
import { unpackTrace } from './trace-text.ts';

/** Begins it; much later than acceptance there is none: attempts have traces of their own then. */
export function startMailSpan(
  custody: Custody,
  context: { tracing: Tracing; sameTraceWindowMs: number; now: () => number },
): void {
  const { message } = custody;
  endMailSpan(custody, 'routed again');
  custody.spanContext = undefined;
  if (message.trace === '' || context.now() - message.acceptedAtMs > context.sameTraceWindowMs) return;
  custody.span = context.tracing.start('queue mail', unpackTrace(message.trace), {
    kind: 'consumer',
    attributes: { 'mail.queue_id': message.queueId },
  });
  custody.spanContext = custody.span?.context;
}

/** Ends it, if it has not ended. */
export function endMailSpan(custody: Custody, why: string): void {
  custody.span?.event(why);
  custody.span?.end();
  custody.span = undefined;
}
