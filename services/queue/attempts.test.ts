import { describe, expect, test } from '@jest/globals';
import { type Attempt, AttemptLedger } from './attempts.ts';
import { newCustody } from './custody.ts';
import { messageFromPack } from './message.ts';

const ENTRY = { queueId: 'q', offset: 0, length: 1, acceptedAtMs: 0, domains: [], size: 1, trace: undefined };
const REF = { stream: 'SPOOL_0', sequence: 1, offset: 0, length: 1 };
const CUSTODY = newCustody(
  messageFromPack({ ...ENTRY, nullReversePath: false }, REF, ['a.example']),
  { sequence: 1, entry: 0 },
  0,
);

function attempt(id: string, sentAtMs: number, worker = ''): Attempt {
  return {
    id,
    custody: CUSTODY,
    positions: [0],
    siteKey: 'site',
    origin: { kind: 'adopted' },
    sentAtMs,
    worker,
    checkpointed: false,
    finished: false,
  };
}

const ids = (attempts: Iterable<Attempt>) => [...attempts].map(({ id }) => id);

describe('the attempts that are out', () => {
  const ledger = new AttemptLedger();
  ledger.add(attempt('early', 10));
  ledger.add(attempt('accepted', 20, 'w1'));
  ledger.add(attempt('orphan', 30, 'w2'));
  ledger.add({ ...attempt('finished', 40, 'w2'), finished: true });
  ledger.add(attempt('late', 50));

  test('that nobody accepted are told by their age', () => {
    expect(ids(ledger.unaccepted(9))).toEqual([]);
    expect(ids(ledger.unaccepted(49))).toEqual(['early']);
    expect(ids(ledger.unaccepted(50))).toEqual(['early', 'late']);
  });

  test('that have been out for long are told, unless they are over', () => {
    expect(ids(ledger.sentBefore(9))).toEqual([]);
    expect(ids(ledger.sentBefore(45))).toEqual(['early', 'accepted', 'orphan']);
    expect(ids(ledger.sentBefore(50))).toEqual(['early', 'accepted', 'orphan', 'late']);
    expect(ids(ledger.all())).toEqual(['early', 'accepted', 'orphan', 'finished', 'late']);
  });

  test('whose workers are gone are told unless they are over', () => {
    expect(ids(ledger.ofLostWorkers(new Set(['w1'])))).toEqual(['orphan']);
    expect(ids(ledger.unfinished())).toEqual(['early', 'accepted', 'orphan', 'late']);
  });

  test('count as the newest when they are sent anew', () => {
    ledger.renew(ledger.get('early')!, 60);
    expect(ids(ledger.unaccepted(55))).toEqual(['late']);
    expect(ids(ledger.unaccepted(60))).toEqual(['late', 'early']);
    ledger.remove('late');
    expect(ledger.get('late')).toBeUndefined();
    expect(ledger.size).toBe(4);
  });
});
