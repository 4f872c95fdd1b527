import { describe, expect, test } from '@jest/globals';
import type { Custody, PendingAck } from './custody.ts';
import { namedAsEnded, noted, takeTooMany } from './ended-attempts.ts';
import { type Message, messageFromPack, NO_REPLY } from './message.ts';

function messageOf(recipients: number, fates: number[] = []): Message {
  const place = { offset: 0, length: 1 };
  const entry = { queueId: 'q', ...place, acceptedAtMs: 0, domains: [], size: 1, nullReversePath: false };
  const ref = { stream: 'SPOOL_0', sequence: 1, ...place };
  const message = messageFromPack(
    { ...entry, trace: undefined },
    ref,
    Array.from({ length: recipients }, () => 'a.example'),
  );
  for (const position of fates) message.recipients[position]!.fate = 'relayed';
  return message;
}

const ack = (number: number, more: Partial<PendingAck> = {}): PendingAck => ({
  worker: 'w',
  attemptId: `q.${number}.a`,
  positions: [0],
  ...more,
});
const deferrals = (count: number): PendingAck[] =>
  Array.from({ length: count }, (_, i) => ack(i, { isDeferral: true }));

function custodyWith(acks: PendingAck[], recipients = 1) {
  return { acks, message: messageOf(recipients) } as Pick<Custody, 'acks' | 'message'>;
}
const namesOf = (acks: readonly PendingAck[]) => acks.map(({ attemptId }) => attemptId);

describe('Outcomes of a mail that wait for its state', () => {
  test('are let go when there are too many, the oldest deferrals first (E2)', () => {
    const custody = custodyWith(deferrals(102));
    expect(namesOf(takeTooMany(custody))).toEqual(['q.0.a', 'q.1.a']);
    expect(custody.acks).toHaveLength(100);
    expect(takeTooMany(custody)).toEqual([]);
    expect(takeTooMany(custodyWith(deferrals(300), 300))).toEqual([]);
  });

  test('wait, however many there are, when a recipient has its fate by them or is in doubt (E1)', () => {
    const custody = custodyWith([ack(1000), ...deferrals(99), ack(1001), ack(1002)]);
    expect(namesOf(takeTooMany(custody))).toEqual(['q.0.a', 'q.1.a']);
    const others = custodyWith(Array.from({ length: 200 }, (_, i) => ack(i)));
    expect(takeTooMany(others)).toEqual([]);
    expect(others.acks).toHaveLength(200);
  });

  test('are deferrals when no recipient got anything else', () => {
    const of = (...results: ('deferred' | 'relayed' | 'failed')[]) =>
      noted(
        ack(1),
        results.map((result, position) => ({ position, result, reply: NO_REPLY })),
      ).isDeferral === true;
    expect([of('deferred', 'deferred'), of('deferred', 'failed'), of('relayed')]).toEqual([
      true,
      false,
      false,
    ]);
  });
});

describe('A state names as ended', () => {
  test('attempts that left somebody without a fate, and those that it named before (E3)', () => {
    const message = messageOf(4, [0, 1]);
    const acks = [ack(5, { positions: [0, 1] }), ack(6, { positions: [1, 2] }), ack(7, { positions: [3] })];
    expect(namedAsEnded(message, acks, ['4.a'])).toEqual(['4.a', '6.a', '7.a']);
    const whole: PendingAck = { worker: 'w', attemptId: 'q.8.a' };
    expect(namedAsEnded(message, [whole], [])).toEqual(['8.a']);
    expect(namedAsEnded(messageOf(2, [0, 1]), [whole], [])).toEqual([]);
  });

  test('the newest, should it ever be more than a state can name', () => {
    const named = namedAsEnded(messageOf(1), deferrals(99), ['x.a', 'y.a', 'z.a']);
    expect([named.length, named[0], named.at(-1)]).toEqual([100, 'z.a', '98.a']);
  });
});
