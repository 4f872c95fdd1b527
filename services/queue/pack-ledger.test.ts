import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { SettledPack } from '#proto/postrider/v1/mail.ts';
import { PackLedger } from './pack-ledger.ts';

describe('the ledger of packs', () => {
  test('says that all may go when nothing is open', () => {
    const ledger = new PackLedger();
    expect(ledger.lowWater()).toBe(1);
    ledger.add(7, 2, [0, 1]);
    expect(ledger.openPacks).toBe(0);
    expect(ledger.lowWater()).toBe(8);
  });

  test('writes a whole pack as one line, and a part of it entry by entry', () => {
    const ledger = new PackLedger();
    ledger.add(1, 2, []);
    ledger.add(2, 3, []);
    for (const [sequence, entry] of [
      [1, 0],
      [1, 1],
      [2, 1],
    ] as const)
      ledger.settle(sequence, entry);
    expect(ledger.freshCount).toBe(3);
    const lines = ledger.takeLines();
    expect(lines).toEqual([
      { sequence: 1, entries: [] },
      { sequence: 2, entries: [1] },
    ]);
    expect(ledger.takeLines()).toEqual([]);
    expect(ledger.lowWater()).toBe(1);
    ledger.confirm(lines);
    expect(ledger.lowWater()).toBe(2);
  });

  test('does not take the rest of a pack for the whole of it', () => {
    const ledger = new PackLedger();
    ledger.add(1, 3, [1]);
    ledger.settle(1, 0);
    ledger.settle(1, 2);
    const lines = ledger.takeLines();
    expect(lines).toEqual([{ sequence: 1, entries: [0, 2] }]);
    ledger.confirm(lines);
    expect(ledger.openPacks).toBe(0);
  });

  test('keeps a pinned pack until it is unpinned as often', () => {
    const ledger = new PackLedger();
    ledger.pin(4);
    ledger.pin(4);
    ledger.add(9, 1, [0]);
    expect(ledger.lowWater()).toBe(4);
    ledger.unpin(4);
    expect(ledger.lowWater()).toBe(4);
    ledger.unpin(4);
    expect(ledger.lowWater()).toBe(10);
  });

  test('knows nothing of packs that it was not given, and takes each once', () => {
    const ledger = new PackLedger();
    ledger.settle(5, 0);
    ledger.confirm([{ sequence: 5, entries: [] }]);
    ledger.restore([{ sequence: 5, entries: [] }]);
    expect(ledger.freshCount).toBe(0);
    ledger.add(5, 1, []);
    ledger.add(5, 1, []);
    expect(ledger.openPacks).toBe(1);
  });

  test('lets long histories go', () => {
    const ledger = new PackLedger();
    for (let sequence = 1; sequence <= 3000; sequence++) ledger.add(sequence, 1, []);
    for (let sequence = 1; sequence <= 2000; sequence++) ledger.settle(sequence, 0);
    ledger.confirm(ledger.takeLines());
    expect(ledger.lowWater()).toBe(2001);
    expect(ledger.openPacks).toBe(1000);
  });
});

type Entry = 'open' | 'settled' | 'durable';

/** What is true of every entry, written down as simply as possible. */
class Model {
  readonly packs: { sequence: number; entries: Entry[] }[] = [];

  lowWater(): number {
    const open = this.packs.find(({ entries }) => entries.some((entry) => entry !== 'durable'));
    return open?.sequence ?? (this.packs.at(-1)?.sequence ?? 0) + 1;
  }

  add(sequence: number, size: number, settled: number): void {
    const entries = Array.from({ length: size }, (_, i) => (i < settled ? 'durable' : 'open'));
    this.packs.push({ sequence, entries: entries as Entry[] });
  }

  /** Settles one of the open entries, if there is one. */
  settleOne(pick: number): { sequence: number; entry: number } | undefined {
    const open = this.packs.flatMap((pack) =>
      pack.entries.flatMap((state, entry) => (state === 'open' ? [{ pack, entry }] : [])),
    );
    const chosen = open[pick % Math.max(1, open.length)];
    if (chosen === undefined) return undefined;
    chosen.pack.entries[chosen.entry] = 'settled';
    return { sequence: chosen.pack.sequence, entry: chosen.entry };
  }

  /** Entries that are settled and have no stored line. */
  settled(): number {
    return this.packs.flatMap(({ entries }) => entries).filter((entry) => entry === 'settled').length;
  }

  mark(lines: readonly SettledPack[]): void {
    for (const { sequence, entries } of lines) {
      const pack = this.packs.find((one) => one.sequence === sequence)!;
      const marked = entries.length > 0 ? entries : [...pack.entries.keys()];
      for (const entry of marked) {
        expect(pack.entries[entry]).toBe('settled');
        pack.entries[entry] = 'durable';
      }
    }
  }
}

interface Step {
  what: 'add' | 'settle' | 'store' | 'fail';
  size: number;
  before: number;
  pick: number;
}

function act(ledger: PackLedger, model: Model, { what, size, before, pick }: Step): void {
  if (what === 'add') {
    const sequence = (model.packs.at(-1)?.sequence ?? 0) + 1 + (pick % 3);
    const settled = Math.min(before, size);
    model.add(sequence, size, settled);
    ledger.add(sequence, size, [...Array(settled).keys()]);
  } else if (what === 'settle') {
    const chosen = model.settleOne(pick);
    if (chosen !== undefined) ledger.settle(chosen.sequence, chosen.entry);
  } else {
    const lines = ledger.takeLines();
    if (what === 'fail') ledger.restore(lines);
    else {
      model.mark(lines);
      ledger.confirm(lines);
    }
  }
}

describe('any history of packs', () => {
  test('never frees a pack with an entry that has no stored line (P1), and writes each line once (P2)', () => {
    const step: fc.Arbitrary<Step> = fc.record({
      what: fc.constantFrom('add', 'settle', 'settle', 'settle', 'store', 'fail'),
      size: fc.integer({ min: 1, max: 5 }),
      before: fc.integer({ min: 0, max: 5 }),
      pick: fc.nat(),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const ledger = new PackLedger();
        const model = new Model();
        for (const one of steps) {
          act(ledger, model, one);
          expect(ledger.freshCount).toBe(model.settled());
          expect(ledger.lowWater()).toBe(model.lowWater());
        }
      }),
      { numRuns: 300 },
    );
  });
});
