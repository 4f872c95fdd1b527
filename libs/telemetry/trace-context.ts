// Trace context as it travels in envelopes and jobs (bytes), and as OpenTelemetry and logs want it (hexadecimal).
import { type SpanContext, TraceFlags } from '@opentelemetry/api';
import type { TraceContext } from '#proto/postrider/v1/mail.ts';

const TRACE_ID_OCTETS = 16;
const SPAN_ID_OCTETS = 8;

/** True when `context` names a span whose trace is kept. */
export function isSampled(context: TraceContext | undefined): context is TraceContext {
  return (
    context !== undefined &&
    (context.flags & TraceFlags.SAMPLED) !== 0 &&
    context.traceId.length === TRACE_ID_OCTETS &&
    context.spanId.length === SPAN_ID_OCTETS
  );
}

export function toSpanContext(context: TraceContext): SpanContext {
  return {
    traceId: context.traceId.toString('hex'),
    spanId: context.spanId.toString('hex'),
    traceFlags: context.flags & TraceFlags.SAMPLED,
    isRemote: true,
  };
}

export function fromSpanContext({ traceId, spanId, traceFlags }: SpanContext): TraceContext {
  return { traceId: Buffer.from(traceId, 'hex'), spanId: Buffer.from(spanId, 'hex'), flags: traceFlags };
}

/** Keys for a log line; none when there is no trace. */
export function traceFields(context: TraceContext | undefined): { trace_id?: string; span_id?: string } {
  if (context === undefined || context.traceId.length === 0) return {};
  return { trace_id: context.traceId.toString('hex'), span_id: context.spanId.toString('hex') };
}
