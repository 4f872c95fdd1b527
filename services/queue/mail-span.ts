// The span of a mail in the queue: from the search for a route to its first job, or to its rest. A child of the span that
// accepted the mail; the resolver's span and the attempts hang on it, also when it has ended.
import { isSampled } from '#libs/telemetry/trace-context.ts';
import type { Tracing } from '#libs/telemetry/tracing.ts';
import type { TraceContext } from '#proto/postrider/v1/mail.ts';
import type { Custody } from './custody.ts';
import type { Message } from './message.ts';
import { unpackTrace } from './trace-text.ts';

/** Begins it; much later than acceptance there is none: attempts have traces of their own then. */
export function startMailSpan(
  custody: Custody,
  context: { tracing: Tracing; sameTraceWindowMs: number; now: () => number },
): void {
  const { message } = custody;
  endMailSpan(custody, 'routed again');
  custody.spanContext = undefined;
  if (message.trace === '' || context.now() - message.ageFromMs > context.sameTraceWindowMs) return;
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

/** Ends it with the job. `attempt` counts from 1. */
export function dispatchMailSpan(
  custody: Custody,
  job: { siteKey: string; attempt: number; nowMs: number; dueAtMs: number },
): void {
  const { span, message } = custody;
  if (span === undefined) return;
  span.set({
    'mail.site': job.siteKey,
    'mail.attempt': job.attempt,
    'mail.wait_ms': job.nowMs - job.dueAtMs,
    'mail.queue_ms': job.nowMs - message.ageFromMs,
  });
  span.end();
  custody.span = undefined;
}

/** When the first of these recipients became due: at acceptance, or when its last deferral said. */
export function dueAtMsOf(message: Message, positions: readonly number[], nowMs: number): number {
  let dueAtMs = nowMs;
  for (const position of positions) {
    dueAtMs = Math.min(dueAtMs, message.recipients[position]!.nextAttemptAtMs);
  }
  return Math.max(message.ageFromMs, dueAtMs);
}

/**
 * What an attempt's span hangs on, or is linked to. A mail whose trace is kept has it continued for `windowMs`; a mail whose
 * trace is not kept has every attempt after the first kept all the same.
 */
export function traceOfAttempt(
  { message, spanContext }: Pick<Custody, 'message' | 'spanContext'>,
  deferrals: number,
  nowMs: number,
  windowMs: number,
): { trace: TraceContext | undefined; ownTrace: boolean } {
  const accepted = unpackTrace(message.trace);
  if (!isSampled(accepted)) return { trace: undefined, ownTrace: deferrals > 0 };
  const ownTrace = nowMs - message.ageFromMs > windowMs;
  return { trace: ownTrace || spanContext === undefined ? accepted : spanContext, ownTrace };
}
