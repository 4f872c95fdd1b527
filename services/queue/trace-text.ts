// Trace contexts as short strings, so that a waiting mail keeps one small object instead of three, and no view of the
// record that it came in. Pure.
import type { TraceContext } from '#proto/postrider/v1/mail.ts';

const TRACE_OCTETS = 16;
const SPAN_OCTETS = 8;
const TEXT_LENGTH = TRACE_OCTETS + SPAN_OCTETS + 1;

/** 25 characters, one per octet; "" for none, or for one that is not of the right form. */
export function packTrace(trace: TraceContext | undefined): string {
  if (trace === undefined) return '';
  const { traceId, spanId, flags } = trace;
  if (traceId.length !== TRACE_OCTETS || spanId.length !== SPAN_OCTETS) return '';
  const octets = Buffer.allocUnsafe(TEXT_LENGTH);
  octets.set(traceId, 0);
  octets.set(spanId, TRACE_OCTETS);
  octets[TEXT_LENGTH - 1] = flags;
  return octets.toString('latin1');
}

export function unpackTrace(text: string): TraceContext | undefined {
  if (text === '') return undefined;
  const octets = Buffer.from(text, 'latin1');
  return {
    traceId: octets.subarray(0, TRACE_OCTETS),
    spanId: octets.subarray(TRACE_OCTETS, TRACE_OCTETS + SPAN_OCTETS),
    flags: octets[TEXT_LENGTH - 1]!,
  };
}
