import { describe, expect, test } from '@jest/globals';
import { receive } from './message.machine.ts';
import { type Message, messageFromPack, NO_REPLY } from './message.ts';
import type { MessagePolicy } from './message-reviews.ts';
import type { RecipientResult } from './recipient-steps.ts';

const base = { scheduleMs: [1000], expireAfterMs: 1_000_000, delayWarningAfterMs: 500_000 };
const place = { offset: 0, length: 1 };
const entry = { queueId: 'q', ...place, acceptedAtMs: 0, domains: [], size: 1, nullReversePath: false };

/** A mail that is out while somebody else may have delivered it, and what its attempt says then. */
function doubtedThen(
  result: RecipientResult,
  inDoubt: MessagePolicy['inDoubt'],
): { mail: Message; effects: string[] } {
  const policy: MessagePolicy = { ...base, inDoubt };
  const ref = { stream: 'SPOOL_0', sequence: 1, ...place };
  const mail = messageFromPack({ ...entry, trace: undefined }, ref, ['a.example']);
  receive(mail, { kind: 'adopted', positions: [0], siteKey: 's' }, policy);
  expect(receive(mail, { kind: 'doubted', nowMs: 1, positions: [0] }, policy)).toEqual([]);
  const results = [{ position: 0, result, reply: NO_REPLY }];
  const effects = receive(mail, { kind: 'outcome', nowMs: 2, results }, policy).map(({ kind }) => kind);
  return { mail, effects };
}

describe('A mail that another attempt may have delivered', () => {
  test('is held when the one that is out is deferred, where the policy says so', () => {
    const { mail, effects } = doubtedThen('deferred', 'hold');
    expect(mail.recipients[0]).toMatchObject({ phase: 'held', inDoubt: true });
    expect(effects).toContain('remember');
  });

  test('waits for its next attempt where it is to be delivered again', () => {
    const { mail } = doubtedThen('deferred', 'redeliver');
    expect(mail.recipients[0]).toMatchObject({ phase: 'waiting', inDoubt: false });
  });

  test.each(['relayed', 'failed'] as const)('is done when the one that is out is %s', (result) => {
    const { mail } = doubtedThen(result, 'hold');
    expect(mail.recipients[0]).toMatchObject({ fate: result, inDoubt: false });
  });
});

test('A late word that it was delivered ends the doubt, and says when', () => {
  const { mail } = doubtedThen('deferred', 'hold');
  const results = [{ position: 0, result: 'relayed' as const, reply: NO_REPLY }];
  receive(mail, { kind: 'late', nowMs: 70, results }, { ...base, inDoubt: 'hold' });
  expect(mail.recipients[0]).toMatchObject({ fate: 'relayed', inDoubt: false, lastAttemptAtMs: 70 });
});
