import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { MailState } from '#proto/postrider/v1/mail.ts';
import { Interned } from './interned.ts';
import {
  domainsOf,
  type Message,
  messageFromPack,
  messageFromState,
  NO_REPLY,
  type Recipient,
  stateOf,
} from './message.ts';
import { decodeState, encodeState } from './state-record.ts';
import { packTrace, unpackTrace } from './trace-text.ts';

const asItIs = (atMs: number) => atMs;
const REF = { stream: 'STORE_0', sequence: 7, offset: 0, length: 900 };
const TRACE = { traceId: Buffer.alloc(16, 0xfe), spanId: Buffer.alloc(8, 0x0a), flags: 1 };

const reply = fc.record({
  code: fc.integer({ min: 200, max: 599 }),
  enhanced: fc.constantFrom('', '4.3.0'),
  text: fc.string(),
  host: fc.constantFrom('', 'mx.example'),
});
const common = {
  domain: fc.domain(),
  siteKey: fc.constantFrom('', 'smtp:mx:25'),
  attempts: fc.nat({ max: 200 }),
  lastAttemptAtMs: fc.nat(),
  lastReply: fc.oneof(reply, fc.constant(NO_REPLY)),
  inDoubt: fc.boolean(),
};
const recipient: fc.Arbitrary<Recipient> = fc.oneof(
  fc.record({
    ...common,
    phase: fc.constantFrom('waiting', 'held'),
    fate: fc.constant('none'),
    nextAttemptAtMs: fc.nat(),
  }),
  fc.record({
    ...common,
    phase: fc.constant('done'),
    fate: fc.constantFrom('delivered', 'relayed', 'failed', 'expired'),
    nextAttemptAtMs: fc.constant(0),
  }),
  fc.record({
    ...common,
    phase: fc.constant('failed'),
    fate: fc.constantFrom('failed', 'expired'),
    nextAttemptAtMs: fc.constant(0),
  }),
) as fc.Arbitrary<Recipient>;
const message: fc.Arbitrary<Message> = fc.record({
  queueId: fc.constantFrom('00abcdefghijklmnopqr', '1zzzzzzzzzzzzzzzzzzz'),
  acceptedAtMs: fc.nat(),
  nullReversePath: fc.boolean(),
  size: fc.nat(),
  trace: fc.constantFrom('', packTrace(TRACE)),
  phase: fc.constant('resting'),
  ref: fc.constant(REF),
  recipients: fc.array(recipient, { minLength: 1, maxLength: 5 }),
  delayReported: fc.boolean(),
  reporting: fc.constant('none'),
}) as fc.Arbitrary<Message>;

describe('a mail that rests', () => {
  test('is the same after it was remembered and taken over', () => {
    fc.assert(
      fc.property(message, (before) => {
        const { payload, headers } = encodeState(stateOf(before, asItIs));
        const subject = `queue.1.m.${before.queueId}`;
        const record = { subject, data: payload, header: (name: string) => headers?.[name] };
        const after = messageFromState(decodeState(record), new Interned());
        const expected = structuredClone(before);
        // When a held recipient would have been due means nothing.
        for (const one of expected.recipients) if (one.phase === 'held') one.nextAttemptAtMs = 0;
        expect(after).toMatchObject(expected);
      }),
    );
  });
});

describe('a mail that is active', () => {
  test.each(['routing', 'ready', 'attempting'] as const)(
    'and %s waits at its next owner, and is due',
    (phase) => {
      const active = newMessage(['a.example']);
      active.recipients[0]!.phase = phase;
      active.recipients[0]!.nextAttemptAtMs = 99;
      const after = messageFromState(
        MailState.decode(MailState.encode(stateOf(active, asItIs)).finish()),
        new Interned(),
      );
      expect(after.phase).toBe('resting');
      expect(after.recipients[0]).toMatchObject({ phase: 'waiting', nextAttemptAtMs: 0 });
    },
  );
});

function newMessage(domains: string[], trace = TRACE): Message {
  const place = { offset: 0, length: 100 };
  const entry = {
    queueId: '00abcdefghijklmnopqr',
    ...place,
    acceptedAtMs: 5,
    domains: [],
    nullReversePath: false,
    size: 90,
    trace,
  };
  return messageFromPack(entry, REF, domains);
}

describe('the state of a mail with very many recipients', () => {
  const many = (count: number, text: (i: number) => string): MailState => {
    const large = newMessage(Array.from({ length: count }, (_, i) => `host${i}.example`));
    large.recipients.forEach((one, i) => {
      one.lastReply = { code: 450, enhanced: '4.2.0', text: text(i), host: `mx${i}.example` };
      one.nextAttemptAtMs = 1_800_000_000_000 + i;
      one.attempts = 3;
    });
    return stateOf(large, asItIs);
  };
  const readBack = (state: MailState) => {
    const { payload, headers } = encodeState(state);
    expect(payload.length).toBeLessThan(1_000_000);
    return decodeState({
      subject: `queue.1.m.${state.queueId}`,
      data: payload,
      header: (name) => headers?.[name],
    });
  };

  test('is deflated and comes back whole', () => {
    const state = many(2000, () => 'mailbox busy');
    const back = readBack(state);
    expect(back.recipients[1999]).toMatchObject({ domain: 'host1999.example', attempts: 3 });
    expect(back.recipients[1999]!.lastReply!.text).toBe('mailbox busy');
  });

  test('loses the words of its replies before it becomes too large for a record', () => {
    const noise = (i: number) =>
      Array.from({ length: 12 }, (_, k) => Math.imul(i + 1, 2654435761 + k)).join(' ');
    const back = readBack(many(50_000, noise));
    expect(back.recipients).toHaveLength(50_000);
    expect(back.recipients[49_999]).toMatchObject({
      domain: 'host49999.example',
      lastReply: { code: 450, enhanced: '4.2.0', text: '', host: '' },
    });
  });
});

describe('a trace context', () => {
  test('survives as a short text', () => {
    const text = packTrace(TRACE);
    expect(text).toHaveLength(25);
    expect(unpackTrace(text)).toEqual(TRACE);
  });

  test('that is absent or malformed is none', () => {
    expect(packTrace(undefined)).toBe('');
    expect(packTrace({ ...TRACE, spanId: Buffer.alloc(7) })).toBe('');
    expect(unpackTrace('')).toBeUndefined();
  });
});

describe('the domains of a mail', () => {
  test('stand in the order of its recipients', () => {
    const domains = [
      { domain: 'a.example', count: 2 },
      { domain: 'b.example', count: 1 },
    ];
    const entry = { ...stateOf(newMessage([]), asItIs), offset: 0, length: 1, domains };
    expect(domainsOf(entry, new Interned())).toEqual(['a.example', 'a.example', 'b.example']);
  });
});
