import { describe, expect, test } from '@jest/globals';
import { PAYLOAD_OCTETS_MIN, recipientRoom, singleMax } from '#libs/nats/payload.ts';
import { Outcome, OutcomeKind, type RecipientOutcome } from '#proto/postrider/v1/job.ts';
import type { Reply } from '#proto/postrider/v1/mail.ts';
import { fitted, outcomeOctets, refitted } from './outcome-octets.ts';

const MIB = 1024 * 1024;
const OK: Reply = { code: 250, enhanced: '2.1.5', text: 'Ok', host: 'mx.example' };

/** The reply that every other recipient gets: 450 characters, none alike. */
const refusal = (position: number): Reply => ({
  code: 550,
  enhanced: '5.1.1',
  text: `${position} `.padEnd(450, 'no such user '),
  host: 'mx.example',
});

function outcomeOf(recipients: RecipientOutcome[], jobRecipients: number[] = []): Outcome {
  const base = { attemptId: '00mail.1.1', queueId: '00mail', kind: OutcomeKind.FAILED, tls: 'TLSv1.3' };
  return { ...base, reply: OK, recipients, jobRecipients };
}

function everyOtherRefused(count: number): Outcome {
  const each = Array.from({ length: count }, (_, recipient) =>
    recipient % 2 === 0
      ? { recipient, kind: OutcomeKind.RELAYED, reply: OK }
      : { recipient, kind: OutcomeKind.FAILED, reply: refusal(recipient) },
  );
  return outcomeOf(each);
}

const encoded = (outcome: Outcome) => Outcome.encode(outcome).finish().length;
/** What an owner reads in it, by recipient: who is not listed has the result of the whole. */
function heard(outcome: Outcome, count: number): string[] {
  const read = Outcome.decode(Outcome.encode(outcome).finish());
  const own = new Map(read.recipients.map((one) => [one.recipient, one]));
  return Array.from({ length: count }, (_, position) => {
    const { kind, reply } = own.get(position) ?? read;
    return `${kind} ${(reply ?? read.reply)?.code}`;
  });
}

describe('The octets of an outcome', () => {
  test('are never counted too low', () => {
    const outcomes = [
      outcomeOf([]),
      { ...outcomeOf([]), reply: undefined },
      outcomeOf(
        [],
        Array.from({ length: 3000 }, (_, i) => 47_000 + i),
      ),
      everyOtherRefused(500),
      { ...everyOtherRefused(500), inDoubt: true, reply: { ...OK, text: 'é'.repeat(200) } },
    ];
    for (const outcome of outcomes) expect(outcomeOctets(outcome)).toBeGreaterThanOrEqual(encoded(outcome));
  });
});

describe('An outcome', () => {
  test('that is small is told as it is', () => {
    const outcome = everyOtherRefused(300);
    expect(fitted(outcome, MIB)).toBe(outcome);
  });

  test('that is larger keeps its words as long as they fit', () => {
    const outcome = everyOtherRefused(1500);
    const told = fitted(outcome, 8 * MIB);
    expect(encoded(told)).toBeLessThan(256 * 1024);
    const own = told.recipients.find(({ recipient }) => recipient === 7);
    expect(own?.reply).toEqual({ ...refusal(7), text: refusal(7).text.slice(0, 100) });
    expect(heard(told, 1500)).toEqual(heard(outcome, 1500));
  });

  test('for very many recipients loses words, and no result of any of them', () => {
    const outcome = everyOtherRefused(40_000);
    expect(encoded(outcome)).toBeGreaterThan(8 * MIB);
    const told = fitted(outcome, MIB);
    expect(encoded(told)).toBeLessThan(MIB);
    expect(heard(told, 40_000)).toEqual(heard(outcome, 40_000));
    const one = told.recipients[0] ?? told;
    expect(one.reply).toMatchObject({ text: '', host: 'mx.example' });
    expect(one.reply?.enhanced).toMatch(/^[25]\.1\.[15]$/);
  });

  test('that was fitted is fitted again to less, and means the same', () => {
    const outcome = everyOtherRefused(20_000);
    const told = fitted(outcome, 8 * MIB);
    expect(refitted(told, 8 * MIB)).toBe(told);
    const less = refitted(told, PAYLOAD_OCTETS_MIN);
    expect(encoded(less)).toBeLessThanOrEqual(singleMax(PAYLOAD_OCTETS_MIN));
    expect(encoded(less)).toBeLessThan(encoded(told));
    expect(heard(less, 20_000)).toEqual(heard(outcome, 20_000));
    // A third server takes even less than we ask for: nothing is left to cut, and it is still true.
    const least = refitted(told, 64 * 1024);
    expect(heard(least, 20_000)).toEqual(heard(outcome, 20_000));
  });

  test('that has one long reply for all is cut as well', () => {
    const outcome = { ...outcomeOf([]), reply: { ...OK, text: 'x'.repeat(300_000) } };
    expect(fitted(outcome, MIB).reply).toEqual({ ...OK, text: 'x'.repeat(100) });
    const jobRecipients = Array.from({ length: 60_000 }, (_, i) => i);
    const silent = { ...outcomeOf([], jobRecipients), reply: undefined };
    expect(fitted(silent, PAYLOAD_OCTETS_MIN)).toMatchObject({ kind: OutcomeKind.FAILED, recipients: [] });
  });

  test.each([PAYLOAD_OCTETS_MIN, MIB, 8 * MIB])(
    'fits for as many recipients as a mail may have at %d octets',
    (max) => {
      const count = Math.min(50_000, recipientRoom(max).recipients);
      const positions = Array.from({ length: count }, (_, i) => i);
      // No two neighbours are alike, and no code is common.
      const each = positions.map((recipient) => ({
        recipient,
        kind: recipient % 3 === 0 ? OutcomeKind.DEFERRED : OutcomeKind.FAILED,
        reply: {
          code: 400 + (recipient % 190),
          enhanced: '5.111.111',
          text: refusal(recipient).text,
          host: 'mx.example',
        },
      }));
      const outcome = outcomeOf(each, positions);
      const told = fitted(outcome, max);
      expect(encoded(told)).toBeLessThanOrEqual(singleMax(max));
      expect(heard(told, count)).toEqual(heard(outcome, count));
    },
  );

  test('without replies of its recipients takes the one that it has itself', () => {
    const each = Array.from({ length: 30_000 }, (_, recipient) => ({
      recipient,
      kind: recipient % 2 === 0 ? OutcomeKind.RELAYED : OutcomeKind.DEFERRED,
      reply: undefined,
    }));
    const outcome = outcomeOf(each);
    const told = fitted(outcome, MIB);
    expect(told.recipients.length).toBe(15_000);
    expect(heard(told, 30_000)).toEqual(heard(outcome, 30_000));
  });
});
