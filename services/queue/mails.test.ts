import { describe, expect, test } from '@jest/globals';
import type { PackEntry } from '#proto/postrider/v1/mail.ts';
import { Interned } from './interned.ts';
import { type ArrivedPack, Mails } from './mails.ts';
import { messageFromPack, stateOf } from './message.ts';
import { PackLedger } from './pack-ledger.ts';

function entry(queueId: string): PackEntry {
  const domains = [{ domain: 'a.example', count: 1 }];
  const place = { offset: 10, length: 100 };
  return { queueId, ...place, acceptedAtMs: 1, domains, nullReversePath: false, size: 90, trace: undefined };
}

const asItIs = (atMs: number) => atMs;

function pack(sequence: number, entries: PackEntry[], settled: ReadonlySet<number>): ArrivedPack {
  return { sequence, entries, settled, storedAtMs: undefined, isFresh: true };
}

function start() {
  const ledger = new PackLedger();
  const clock = { toWall: asItIs, fromWall: asItIs };
  const options = { ledger, interned: new Interned(), stream: 'SPOOL_0', clock, waitMsMax: () => 1000 };
  return { ledger, mails: new Mails(options) };
}

const none = new Set<number>();
const ids = (custodies: Iterable<{ message: { queueId: string } }>) =>
  [...custodies].map(({ message }) => message.queueId);

describe('the mails of a partition', () => {
  test('are those of its packs that have no line', () => {
    const { mails, ledger } = start();
    const fresh = mails.addPack(pack(5, [entry('a'), entry('b')], new Set([0])), 0);
    expect(ids(fresh)).toEqual(['b']);
    expect(mails.get('b')!.message.ref).toEqual({ stream: 'SPOOL_0', sequence: 5, offset: 10, length: 100 });
    expect(mails.size).toBe(1);
    expect(ledger.openPacks).toBe(1);
  });

  test('that have a record of their own only miss the line in their pack', () => {
    const { mails, ledger } = start();
    const ref = { stream: 'STORE_0', sequence: 1, offset: 0, length: 100 };
    mails.addState(stateOf(messageFromPack(entry('a'), ref, ['a.example']), asItIs), 0);
    expect(mails.get('a')).toMatchObject({ isStored: true, line: 'stored', packSequence: 0 });
    expect(mails.addPack(pack(5, [entry('x'), entry('a')], none), 0)).toHaveLength(1);
    expect(mails.get('a')).toMatchObject({ line: 'needed', packSequence: 5, packEntry: 1 });
    expect(ledger.freshCount).toBe(0);
  });

  test('that come twice are kept once, where they were first', () => {
    const { mails, ledger } = start();
    mails.addPack(pack(5, [entry('a')], none), 0);
    expect(mails.addPack(pack(6, [entry('a')], none), 0)).toEqual([]);
    expect(mails.get('a')!.packSequence).toBe(5);
    expect(ledger.takeLines()).toEqual([{ sequence: 6, entries: [] }]);
  });

  test('that are reports are not taken up again when they were settled and come in another pack', () => {
    const { mails, ledger } = start();
    const report = (queueId: string) => ({ ...entry(queueId), nullReversePath: true });
    // Loaded: one settled in its pack, one with a record of its own.
    const ref = { stream: 'STORE_0', sequence: 1, offset: 0, length: 100 };
    mails.addState(stateOf(messageFromPack(report('b'), ref, ['a.example']), asItIs), 0);
    mails.addPack({ ...pack(5, [report('a')], new Set([0])), isFresh: false }, 0);
    expect(mails.addPack({ ...pack(6, [report('a')], none), isFresh: false }, 0)).toEqual([]);
    mails.remove(mails.get('b')!);
    expect(mails.addPack(pack(7, [report('b'), report('c')], none), 0)).toHaveLength(1);
    mails.remove(mails.get('c')!);
    expect(mails.addPack(pack(8, [report('c'), entry('c')], none), 0)).toHaveLength(1);
    expect(ledger.takeLines()).toEqual([
      { sequence: 6, entries: [] },
      { sequence: 7, entries: [0] },
      { sequence: 8, entries: [0] },
    ]);
    expect(['a', 'b', 'c', 'd'].map((id) => mails.packOfReport(id))).toEqual([5, 0, 8, undefined]);
  });

  test('are told once when they are not young any more', () => {
    const { mails } = start();
    const [a] = mails.addPack(pack(5, [entry('a'), entry('b')], none), 1000);
    mails.addPack(pack(6, [entry('c')], none), 2000);
    mails.remove(a!);
    expect(ids(mails.takeStaying(10_999, 10))).toEqual([]);
    expect(ids(mails.takeStaying(11_000, 10))).toEqual(['b']);
    expect(ids(mails.takeStaying(12_000, 10))).toEqual(['c']);
    expect(ids(mails.takeStaying(99_000, 10))).toEqual([]);
  });

  test('do not pile up when they were young', () => {
    const { mails } = start();
    const entries = Array.from({ length: 10_000 }, (_, i) => entry(`mail ${i}`));
    mails.addPack(pack(5, entries, none), 0);
    expect(mails.takeStaying(20_000, 6000)).toHaveLength(6000);
    expect(mails.takeStaying(20_000, 6000)).toHaveLength(4000);
  });

  test('are woken until they are settled', () => {
    const { mails } = start();
    const [a, b] = mails.addPack(pack(5, [entry('a'), entry('b')], none), 0);
    mails.wakeAt(a!, 50);
    mails.wakeAt(b!, 40);
    mails.remove(b!);
    mails.wakeAt(b!, 30);
    expect(ids(mails.takeDue(60, 10))).toEqual(['a']);
    expect(ids(mails.all())).toEqual(['a']);
  });
});

describe('the age of a mail', () => {
  const TODAY = 1_800_000_000_000;
  const DAY = 86_400_000;
  const ageOf = (entryMs: number, pack: Partial<ArrivedPack>) => {
    const { mails } = start();
    const entries = [{ ...entry('a'), acceptedAtMs: entryMs }];
    const base = { sequence: 5, entries, settled: none, storedAtMs: TODAY - 1000, isFresh: false };
    const [a] = mails.addPack({ ...base, ...pack }, TODAY);
    return TODAY - a!.message.ageFromMs;
  };

  test('that comes while we follow is nothing, whatever the clocks say', () => {
    for (const entryMs of [0, 1, TODAY - 300_000, TODAY + DAY])
      expect(ageOf(entryMs, { isFresh: true })).toBe(0);
  });

  test.each([
    ['that was accepted a day ago', TODAY - DAY, TODAY - DAY, DAY],
    ['of an ingress that starts in 1970', 0, TODAY - 5000, 5000],
    ['of an ingress that is 300 s behind', TODAY - 305_000, TODAY - 5000, 5000],
    ['of an ingress that is a day ahead', TODAY + DAY, TODAY - 5000, 5000],
    ['of a JetStream that starts in 1970', TODAY - 5000, 0, 5000],
    ['of two machines that are ahead of us', TODAY + DAY, TODAY + DAY, 0],
    ['without a second witness', TODAY - 5000, undefined, 5000],
  ])('found by a new owner %s is what can be believed', (_, entryMs, storedAtMs, age) => {
    expect(ageOf(entryMs, { storedAtMs })).toBe(age);
  });

  test('that an earlier owner remembered waits for no time that lies far ahead', () => {
    const { mails } = start();
    const before = messageFromPack(entry('a'), { stream: 'STORE_0', sequence: 1, offset: 0, length: 1 }, [
      'a.example',
    ]);
    Object.assign(before.recipients[0]!, { nextAttemptAtMs: TODAY + DAY, lastAttemptAtMs: TODAY + DAY });
    mails.addState(stateOf(before, asItIs), TODAY);
    expect(mails.get('a')!.message.recipients[0]).toMatchObject({
      nextAttemptAtMs: TODAY + 1000,
      lastAttemptAtMs: TODAY,
    });
  });
});
