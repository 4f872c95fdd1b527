import { describe, expect, test } from '@jest/globals';
import { clockSpread, OffsetEstimate, showClockSkew, skewMsOf } from './clock-skew.ts';

const OURS_MS = 1_700_000_000_000;

/** Heartbeats of one second, each later by what it took; 'mute' is one of a version that does not say its clock. */
function estimateOf(aheadMs: number, delaysMs: readonly (number | 'mute')[]): number | undefined {
  const estimate = new OffsetEstimate();
  delaysMs.forEach((delayMs, second) => {
    const ourWallMs = OURS_MS + second * 1000;
    const wallMs = delayMs === 'mute' ? 0 : ourWallMs + aheadMs - delayMs;
    estimate.heard({ wallMs, ourWallMs, atMs: second * 1000 });
  });
  return estimate.aheadMs;
}

describe('The offset of a clock', () => {
  test.each([
    ['ahead', 12_300],
    ['behind', -12_300],
    ['right', 0],
  ])('that is %s is seen through a slow way', (_, aheadMs) => {
    expect(estimateOf(aheadMs, [3000, 2500, 0, 4000, 12_300])).toBe(aheadMs);
  });

  test('is not known of one that does not say it', () => {
    expect(estimateOf(0, ['mute', 'mute'])).toBeUndefined();
    expect(estimateOf(500, ['mute', 0])).toBe(500);
  });

  test('holds over the border between two samples, and not for ever', () => {
    expect(estimateOf(0, [0, 0, 0, 0, 0, 4000])).toBe(0);
    expect(estimateOf(0, [0, 0, 0, 0, 0, ...new Array(10).fill(4000)])).toBe(-4000);
  });

  test('that was heard before a long silence counts no more', () => {
    const estimate = new OffsetEstimate();
    estimate.heard({ wallMs: OURS_MS + 9000, ourWallMs: OURS_MS, atMs: 0 });
    estimate.heard({ wallMs: OURS_MS, ourWallMs: OURS_MS, atMs: 60_000 });
    expect(estimate.aheadMs).toBe(0);
  });
});

describe('Clocks', () => {
  const others = [
    { instance: 'queue-b', aheadMs: 100 },
    { instance: 'delivery-c', aheadMs: -4000 },
  ];

  test('differ from ours by the largest amount', () => {
    expect(skewMsOf(others)).toBe(4000);
    expect(skewMsOf([])).toBe(0);
  });

  test('are apart as the two that differ most, and the one is named that the others are not near', () => {
    expect(clockSpread('queue-a', others)).toEqual({
      differMs: 4100,
      instance: 'delivery-c',
      isAhead: false,
    });
  });

  test('make us the odd one when all others agree', () => {
    const agreeing = ['queue-b', 'queue-c'].map((instance) => ({ instance, aheadMs: -9000 }));
    expect(clockSpread('queue-a', agreeing)).toEqual({ differMs: 9000, instance: 'queue-a', isAhead: true });
  });

  test('of two: the one that is ahead is named', () => {
    expect(clockSpread('queue-a', [{ instance: 'queue-b', aheadMs: 5000 }])).toEqual({
      differMs: 5000,
      instance: 'queue-b',
      isAhead: true,
    });
    expect(clockSpread('queue-a', [])).toBeUndefined();
  });

  test('are shown in seconds', () => {
    const shown: Record<string, number> = {};
    const gauge = (name: string, _help: string, read: () => number) => {
      shown[name] = read();
    };
    showClockSkew({ gauge }, () => others);
    expect(shown).toEqual({ postrider_clock_skew_seconds: 4 });
  });
});
