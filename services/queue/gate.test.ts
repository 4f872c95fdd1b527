import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { type Ended, Gate, restAsLong } from './gate.ts';
import { GrowingPause } from './pause-growing.ts';

const nextTurn = () => new Promise((done) => setImmediate(done));

/** Work that ends when the test says so. */
function works(count: number, gate: Gate) {
  const begun: number[] = [];
  const ends: ((how: Ended | 'badly') => void)[] = [];
  const all = Array.from({ length: count }, (_, n) =>
    gate.run(() => {
      begun.push(n);
      return new Promise<Ended>((resolve, reject) => {
        ends[n] = (how) => (how === 'badly' ? reject(new Error('no')) : resolve(how));
      });
    }),
  );
  return { begun, ends, all };
}

describe('a gate', () => {
  test('lets so many run at a time, in order, whatever becomes of them', async () => {
    const gate = new Gate({ places: 2, rest: async () => {}, now: () => 0 });
    const { begun, ends, all } = works(4, gate);
    const settled = Promise.allSettled(all);
    await nextTurn();
    expect(begun).toEqual([0, 1]);
    ends[0]!('badly');
    await expect(all[0]).rejects.toThrow('no');
    await nextTurn();
    expect(begun).toEqual([0, 1, 2]);
    ends[2]!('done');
    expect(await all[2]).toBe('done');
    await nextTurn();
    expect(begun).toEqual([0, 1, 2, 3]);
    ends[1]!('done');
    ends[3]!('done');
    await settled;
  });

  test('lets a place rest when its work is over, which nobody waits for who did the work', async () => {
    let nowMs = 100;
    const rests: [number, () => void][] = [];
    const rest = (workedMs: number) => new Promise<void>((over) => rests.push([workedMs, over]));
    const { begun, ends, all } = works(2, new Gate({ places: 1, rest, now: () => nowMs }));
    nowMs = 130;
    ends[0]!('done');
    expect(await all[0]).toBe('done');
    await nextTurn();
    expect(begun).toEqual([0]);
    expect(rests[0]![0]).toBe(30);
    rests[0]![1]();
    await nextTurn();
    expect(begun).toEqual([0, 1]);
    ends[1]!('done');
    expect(await all[1]).toBe('done');
  });
});

describe('work that failed', () => {
  test.each(['failed', 'badly'] as const)('(%s) leaves its place at once', async (how) => {
    const { begun, ends, all } = works(
      2,
      new Gate({ places: 1, rest: () => new Promise(() => {}), now: () => 0 }),
    );
    const first = Promise.allSettled([all[0]]);
    ends[0]!(how);
    await first;
    await nextTurn();
    expect(begun).toEqual([0, 1]);
    ends[1]!('done');
    await all[1];
  });
});

describe('a rest', () => {
  beforeEach(() => {
    jest.useFakeTimers();
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  test.each([
    [40, 40],
    [250, 250],
    [12_369, 250],
  ])('after %d ms takes %d ms: a stall is not work', async (workedMs, restMs) => {
    let isOver = false;
    void restAsLong(workedMs).then(() => {
      isOver = true;
    });
    await jest.advanceTimersByTimeAsync(restMs - 1);
    expect(isOver).toBe(false);
    await jest.advanceTimersByTimeAsync(1);
    expect(isOver).toBe(true);
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
    expect([pause.leftMs(1100), pause.leftMs(2000)]).toEqual([200, 0]);
    pause.succeeded();
    expect(pause.isOver(0)).toBe(true);
  });
});
