import { describe, expect, test } from '@jest/globals';
import { Gate } from './gate.ts';
import { GrowingPause } from './pause-growing.ts';
import { Tally } from './tally.ts';

describe('a gate', () => {
  test('lets so many run at a time, in order, whatever becomes of them', async () => {
    const gate = new Gate(2);
    const begun: number[] = [];
    const ends: (() => void)[] = [];
    const fails: (() => void)[] = [];
    const all = [0, 1, 2, 3].map((n) =>
      gate.run(() => {
        begun.push(n);
        return new Promise<number>((resolve, reject) => {
          ends[n] = () => resolve(n);
          fails[n] = () => reject(new Error('no'));
        });
      }),
    );
    const settled = Promise.allSettled(all);
    await Promise.resolve();
    expect(begun).toEqual([0, 1]);
    fails[0]!();
    await expect(all[0]).rejects.toThrow('no');
    await new Promise((done) => setImmediate(done));
    expect(begun).toEqual([0, 1, 2]);
    ends[2]!();
    expect(await all[2]).toBe(2);
    await new Promise((done) => setImmediate(done));
    expect(begun).toEqual([0, 1, 2, 3]);
    ends[1]!();
    ends[3]!();
    await settled;
  });
});

describe('a growing pause', () => {
  test('doubles up to its limit, and is over when something succeeds', () => {
    const pause = new GrowingPause({ firstMs: 100, lastMs: 300 });
    expect(pause.isOver(0)).toBe(true);
    for (const [waitMs] of [[100], [200], [300], [300]] as const) {
      pause.failed(1000);
      expect(pause.isOver(1000 + waitMs - 1)).toBe(false);
      expect(pause.isOver(1000 + waitMs)).toBe(true);
    }
    pause.succeeded();
    expect(pause.isOver(0)).toBe(true);
  });
});

describe('a tally', () => {
  test('hands on what was counted, by label, once', () => {
    const handed: unknown[] = [];
    const tally = new Tally({ add: (n, labels) => handed.push([n, labels]) }, 'outcome');
    for (const value of ['relayed', 'failed', 'relayed']) tally.count(value);
    tally.flush();
    tally.flush();
    expect(handed).toEqual([
      [2, { outcome: 'relayed' }],
      [1, { outcome: 'failed' }],
    ]);
  });
});
