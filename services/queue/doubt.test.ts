import { describe, expect, test } from '@jest/globals';
import { doubtfulPositions, verdictOf, type Witnesses } from './doubt.ts';
import { type Message, messageFromPack } from './message.ts';

const place = { offset: 0, length: 100 };
const entry = { queueId: 'q', ...place, acceptedAtMs: 0, domains: [], size: 90, nullReversePath: false };
const mail = (): Message => {
  const ref = { stream: 'SPOOL_0', sequence: 1, ...place };
  return messageFromPack({ ...entry, trace: undefined }, ref, ['a.example', 'b.example']);
};
const checkpoint = { attemptId: 'q.1.a', worker: 'w', recipients: [] };
const none = new Set<string>();
const base = (): Witnesses => ({
  message: mail(),
  endedAttempts: [],
  told: none,
  answered: none,
  live: none,
});

describe('An open checkpoint of an earlier owner', () => {
  test('is in doubt when its worker is gone', () => {
    expect(verdictOf(checkpoint, base())).toBe('in doubt');
    expect(verdictOf(checkpoint, { ...base(), live: new Set(['other']) })).toBe('in doubt');
  });

  test('waits for a worker that lives and has not answered', () => {
    expect(verdictOf(checkpoint, { ...base(), live: new Set(['w']) })).toBe('unheard');
  });

  test('is what its worker says', () => {
    const answered = { ...base(), live: new Set(['w']), answered: new Set(['w']) };
    expect(verdictOf(checkpoint, { ...answered, told: new Set(['q.1.a']) })).toBe('told');
    expect(verdictOf(checkpoint, answered)).toBe('over');
  });

  test('is over when what is stored of its mail says so', () => {
    expect(verdictOf(checkpoint, { ...base(), message: undefined })).toBe('over');
    expect(verdictOf(checkpoint, { ...base(), endedAttempts: ['1.a'] })).toBe('over');
    const done = mail();
    done.recipients[1]!.fate = 'relayed';
    expect(verdictOf({ ...checkpoint, recipients: [1] }, { ...base(), message: done })).toBe('over');
    expect(verdictOf(checkpoint, { ...base(), message: done })).toBe('in doubt');
    expect(doubtfulPositions(checkpoint, done)).toEqual([0]);
    expect(doubtfulPositions({ ...checkpoint, recipients: [1, 7] }, mail())).toEqual([1]);
  });

  test('waits until it is known whom its mail is for, since those are marked or held', () => {
    const unlisted = { ...base(), message: { ...mail(), recipients: [] } };
    expect(verdictOf(checkpoint, unlisted)).toBe('unread');
    const told = { ...unlisted, told: new Set(['q.1.a']) };
    expect(
      [told, { ...unlisted, answered: new Set(['w']) }].map((one) => verdictOf(checkpoint, one)),
    ).toEqual(['told', 'over']);
  });
});
