import { describe, expect, test } from '@jest/globals';
import type { PackEntry } from '#proto/postrider/v1/mail.ts';
import { Interned } from './interned.ts';
import { Mails } from './mails.ts';
import { messageFromPack, stateOf } from './message.ts';
import { PackLedger } from './pack-ledger.ts';

function entry(queueId: string): PackEntry {
  const domains = [{ domain: 'a.example', count: 1 }];
  const place = { offset: 10, length: 100 };
  return { queueId, ...place, acceptedAtMs: 1, domains, nullReversePath: false, size: 90, trace: undefined };
}

function start() {
  const ledger = new PackLedger();
  return { ledger, mails: new Mails({ ledger, interned: new Interned(), stream: 'SPOOL_0' }) };
}

const none = new Set<number>();
const ids = (custodies: Iterable<{ message: { queueId: string } }>) =>
  [...custodies].map(({ message }) => message.queueId);

describe('the mails of a partition', () => {
  test('are those of its packs that have no line', () => {
    const { mails, ledger } = start();
    const fresh = mails.addPack(5, [entry('a'), entry('b')], new Set([0]), 0);
    expect(ids(fresh)).toEqual(['b']);
    expect(mails.get('b')!.message.ref).toEqual({ stream: 'SPOOL_0', sequence: 5, offset: 10, length: 100 });
    expect(mails.size).toBe(1);
    expect(ledger.openPacks).toBe(1);
  });

  test('that have a record of their own only miss the line in their pack', () => {
    const { mails, ledger } = start();
    const ref = { stream: 'STORE_0', sequence: 1, offset: 0, length: 100 };
    mails.addState(stateOf(messageFromPack(entry('a'), ref, ['a.example'])), 0);
    expect(mails.get('a')).toMatchObject({ isStored: true, line: 'stored', packSequence: 0 });
    expect(mails.addPack(5, [entry('x'), entry('a')], none, 0)).toHaveLength(1);
    expect(mails.get('a')).toMatchObject({ line: 'needed', packSequence: 5, packEntry: 1 });
    expect(ledger.freshCount).toBe(0);
  });

  test('that come twice are kept once, where they were first', () => {
    const { mails, ledger } = start();
    mails.addPack(5, [entry('a')], none, 0);
    expect(mails.addPack(6, [entry('a')], none, 0)).toEqual([]);
    expect(mails.get('a')!.packSequence).toBe(5);
    expect(ledger.takeLines()).toEqual([{ sequence: 6, entries: [] }]);
  });

  test('are told once when they are not young any more', () => {
    const { mails } = start();
    const [a] = mails.addPack(5, [entry('a'), entry('b')], none, 1000);
    mails.addPack(6, [entry('c')], none, 2000);
    mails.remove(a!);
    expect(ids(mails.takeStaying(10_999, 10))).toEqual([]);
    expect(ids(mails.takeStaying(11_000, 10))).toEqual(['b']);
    expect(ids(mails.takeStaying(12_000, 10))).toEqual(['c']);
    expect(ids(mails.takeStaying(99_000, 10))).toEqual([]);
  });

  test('do not pile up when they were young', () => {
    const { mails } = start();
    const entries = Array.from({ length: 10_000 }, (_, i) => entry(`mail ${i}`));
    mails.addPack(5, entries, none, 0);
    expect(mails.takeStaying(20_000, 6000)).toHaveLength(6000);
    expect(mails.takeStaying(20_000, 6000)).toHaveLength(4000);
  });

  test('are woken until they are settled', () => {
    const { mails } = start();
    const [a, b] = mails.addPack(5, [entry('a'), entry('b')], none, 0);
    mails.wakeAt(a!, 50);
    mails.wakeAt(b!, 40);
    mails.remove(b!);
    mails.wakeAt(b!, 30);
    expect(ids(mails.takeDue(60, 10))).toEqual(['a']);
    expect(ids(mails.all())).toEqual(['a']);
  });
});
