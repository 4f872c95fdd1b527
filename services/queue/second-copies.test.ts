import { beforeEach, describe, expect, test } from '@jest/globals';
import { newCustody } from './custody.ts';
import { messageFromPack, NO_REPLY } from './message.ts';
import type { RecipientResult } from './recipient-steps.ts';
import { SecondCopies } from './second-copies.ts';

const EPOCH = 10;
/** Attempts of this owner, an earlier and a later one. */
const [ours, earlier, later] = ['q.1.a', 'q.1.9', 'q.1.b'];

let counted: string[];
let copies: SecondCopies;

beforeEach(() => {
  counted = [];
  const onInDoubt = (queueId: string, attemptId: string) => counted.push(`${queueId} ${attemptId}`);
  copies = new SecondCopies({ owner: { epoch: EPOCH }, now: () => 0, onInDoubt });
});

const said = (result: RecipientResult) => [{ position: 0, result, reply: NO_REPLY }];

function mail(fate: 'none' | 'relayed') {
  const place = { offset: 0, length: 1 };
  const entry = { queueId: 'q', ...place, acceptedAtMs: 0, domains: [], size: 1, nullReversePath: false };
  const ref = { stream: 'SPOOL_0', sequence: 1, ...place };
  const message = messageFromPack({ ...entry, trace: undefined }, ref, ['a.example']);
  message.recipients[0]!.fate = fate;
  return newCustody(message, { sequence: 1, entry: 0 }, 0);
}

describe('An attempt', () => {
  test('is counted once', () => {
    copies.count(ours);
    copies.count(ours);
    expect(counted).toEqual(['q q.1.a']);
  });

  test('that was given up is counted when it passes its checkpoint all the same', () => {
    copies.lost(ours);
    copies.passed(ours);
    expect(counted).toEqual(['q q.1.a']);
  });

  test('of an earlier owner is counted when it passes behind our fence, unless we adopted it', () => {
    copies.passed(earlier);
    copies.over('q.2.9');
    copies.passed('q.2.9');
    expect(counted).toEqual(['q q.1.9']);
  });

  test('that is over, or that a later owner began, is no business of ours', () => {
    for (const id of [ours, later]) {
      copies.passed(id);
      copies.heard(id, 'in doubt', undefined);
      copies.heard(id, said('relayed'), mail('relayed'));
    }
    expect(counted).toEqual([]);
  });
});

describe('A late word', () => {
  test.each([
    ['in doubt, of a mail that is settled', 'in doubt', undefined, 1],
    ['in doubt, of a mail that is here', 'in doubt', mail('none'), 1],
    ['delivered, of a mail that somebody delivered', said('relayed'), mail('relayed'), 1],
    ['delivered, of a mail that nobody delivered', said('relayed'), mail('none'), 0],
    ['delivered, of a mail that is settled', said('delivered'), undefined, 1],
    ['deferred, of a mail that is settled', said('deferred'), undefined, 0],
    ['deferred, of a mail that somebody delivered', said('deferred'), mail('relayed'), 0],
    ['given back', 'returned', mail('relayed'), 0],
  ] as const)('%s, of an attempt that was given up', (_, word, custody, times) => {
    copies.lost(ours);
    copies.heard(ours, word, custody);
    expect(counted).toHaveLength(times);
  });

  test('of an earlier owner counts when it is in doubt, or delivered what somebody delivered', () => {
    copies.heard(earlier, 'in doubt', undefined);
    copies.heard('q.2.9', said('relayed'), mail('relayed'));
    copies.heard('q.3.9', said('relayed'), undefined);
    copies.heard(earlier, 'in doubt', undefined);
    expect(counted).toEqual(['q q.1.9', 'q q.2.9']);
  });

  test('is counted by what it said first: said again after it was acted on, it is no second copy', () => {
    const custody = mail('none');
    for (const id of [ours, earlier]) {
      if (id === ours) copies.lost(id);
      custody.message.recipients[0]!.fate = 'none';
      copies.heard(id, said('relayed'), custody);
      copies.actedOn(id);
      custody.message.recipients[0]!.fate = 'relayed';
      copies.heard(id, said('relayed'), custody);
      copies.heard(id, said('relayed'), undefined);
    }
    expect(counted).toEqual([]);
    copies.heard('q.7.9', said('relayed'), custody);
    copies.actedOn('q.7.9');
    copies.heard('q.7.9', said('relayed'), custody);
    expect(counted).toEqual(['q q.7.9']);
  });
});
