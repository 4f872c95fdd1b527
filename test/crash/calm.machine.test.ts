import { describe, expect, test } from '@jest/globals';
import { newCalm, type Sample, sampled } from './calm.machine.ts';

const LONG_AGO = -100_000;

/** Samples a second apart. */
function judged(...samples: Partial<Sample>[]) {
  const state = newCalm(32);
  for (const [i, sample] of samples.entries()) {
    sampled(state, {
      atMs: i * 1000,
      owned: 32,
      canOwn: true,
      hitAtMs: LONG_AGO,
      wellSinceMs: LONG_AGO,
      oldestUnacknowledgedS: 0,
      ...sample,
    });
  }
  return state;
}

const times = (count: number, sample: Partial<Sample>) => Array.from({ length: count }, () => sample);

describe('A partition without an owner', () => {
  test('is forgiven for two seconds, and told of once when it is longer', () => {
    expect(judged(...times(4, { owned: 31 }), {}).violations).toEqual([]);
    const state = judged(...times(8, { owned: 31 }), {}, ...times(8, { owned: 16 }));
    expect(state.violations).toEqual([
      '31 of 32 partitions owned for 4.0 s, though no owner was hit',
      '16 of 32 partitions owned for 4.0 s, though no owner was hit',
    ]);
    expect(state.longestGapMs).toEqual({ calm: 7000, hit: 0 });
  });

  test('may be so for as long as a take-over takes after an owner was hit', () => {
    expect(judged({}, ...times(12, { owned: 16, hitAtMs: 500 }), {}).violations).toEqual([]);
    const state = judged({}, ...times(14, { owned: 16, hitAtMs: 500 }));
    expect(state.violations).toEqual([
      '16 of 32 partitions owned for 12.0 s, after an owner or NATS was hit',
    ]);
    expect(state.longestGapMs.hit).toBe(13_000);
  });

  test('counts from the last hit', () => {
    const second = times(10, { owned: 16, hitAtMs: 8000 });
    expect(judged(...times(9, { owned: 16, hitAtMs: 0 }), ...second).violations).toEqual([]);
  });

  test('is nobody’s fault while nobody could own it', () => {
    expect(judged(...times(30, { owned: 0, canOwn: false })).violations).toEqual([]);
  });
});

describe('An outcome without an acknowledgement', () => {
  test('may not wait for more than 5 s once all have been well for a while, and is told of once', () => {
    expect(judged(...times(5, { oldestUnacknowledgedS: 6 })).violations).toEqual([
      'an outcome unacknowledged for 6 s, 100.0 s after all were well',
    ]);
    const again = judged({ oldestUnacknowledgedS: 6 }, {}, { oldestUnacknowledgedS: 7 });
    expect(again.violations).toHaveLength(2);
  });

  test('may wait while one is not well or all have just come to be, and where nobody says', () => {
    expect(judged({ oldestUnacknowledgedS: 9, wellSinceMs: undefined }).violations).toEqual([]);
    expect(judged({ oldestUnacknowledgedS: 9, wellSinceMs: -15_000 }).violations).toEqual([]);
    expect(judged({ oldestUnacknowledgedS: undefined }).violations).toEqual([]);
  });
});
