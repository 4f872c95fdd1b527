import { describe, expect, test } from '@jest/globals';
import type { TraceContext } from '#proto/postrider/v1/mail.ts';
import { dueAtMsOf, traceOfAttempt } from './mail-span.ts';
import { type Message, recipientsOf } from './message.ts';
import { packTrace, unpackTrace } from './trace-text.ts';

const ACCEPTED_AT_MS = 1_000_000;
const WINDOW_MS = 60_000;

function traceWith(flags: number, spanOctet = 2): TraceContext {
  return { traceId: Buffer.alloc(16, 1), spanId: Buffer.alloc(8, spanOctet), flags };
}

function messageWith(trace: TraceContext | undefined): Message {
  return {
    queueId: 'q1',
    acceptedAtMs: ACCEPTED_AT_MS,
    ageFromMs: ACCEPTED_AT_MS,
    hasStayed: false,
    nullReversePath: false,
    size: 1,
    trace: packTrace(trace),
    phase: 'active',
    ref: { stream: 'SPOOL_0', sequence: 1, offset: 0, length: 1 },
    recipients: recipientsOf(['a.example', 'b.example']),
    delayReported: false,
    reporting: 'none',
  };
}

describe('The trace of an attempt', () => {
  const sampled = traceWith(1);
  const spanContext = traceWith(1, 9);
  const of = (trace: TraceContext | undefined, deferrals: number, afterMs: number, span = spanContext) =>
    traceOfAttempt(
      { message: messageWith(trace), spanContext: span },
      deferrals,
      ACCEPTED_AT_MS + afterMs,
      WINDOW_MS,
    );

  test.each([0, 1])(
    "is the mail's within the window, whether it is the first or a later one (%i)",
    (before) => {
      expect(of(sampled, before, WINDOW_MS)).toEqual({ trace: spanContext, ownTrace: false });
    },
  );

  test('is one of its own, linked to the accepted mail, after the window', () => {
    const { trace, ownTrace } = of(sampled, 3, WINDOW_MS + 1);
    expect({ trace, ownTrace }).toEqual({ trace: unpackTrace(packTrace(sampled)), ownTrace: true });
  });

  test.each([undefined, traceWith(0)])(
    'is none for the first attempt of a mail that is not traced',
    (trace) => {
      expect(of(trace, 0, 0)).toEqual({ trace: undefined, ownTrace: false });
      expect(of(trace, 0, 10 * WINDOW_MS)).toEqual({ trace: undefined, ownTrace: false });
    },
  );

  test.each([undefined, traceWith(0)])(
    'is one of its own for every later attempt of such a mail',
    (trace) => {
      expect(of(trace, 1, 5)).toEqual({ trace: undefined, ownTrace: true });
      expect(of(trace, 7, 10 * WINDOW_MS)).toEqual({ trace: undefined, ownTrace: true });
    },
  );
});

describe('An attempt is due', () => {
  const message = messageWith(undefined);
  const [a, b] = message.recipients;

  test('at acceptance when it is the first', () => {
    expect(dueAtMsOf(message, [0, 1], ACCEPTED_AT_MS + 500)).toBe(ACCEPTED_AT_MS);
  });

  test('when the first of its recipients is', () => {
    a!.nextAttemptAtMs = ACCEPTED_AT_MS + 2000;
    b!.nextAttemptAtMs = ACCEPTED_AT_MS + 3000;
    expect(dueAtMsOf(message, [0, 1], ACCEPTED_AT_MS + 9000)).toBe(ACCEPTED_AT_MS + 2000);
    expect(dueAtMsOf(message, [1], ACCEPTED_AT_MS + 9000)).toBe(ACCEPTED_AT_MS + 3000);
  });

  test('now when somebody wanted it earlier than that', () => {
    expect(dueAtMsOf(message, [1], ACCEPTED_AT_MS + 2500)).toBe(ACCEPTED_AT_MS + 2500);
  });
});
