import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { longestWaitMs, nextAttemptAtMs } from './retry.ts';

const POLICY = { scheduleMs: [60_000, 300_000], expireAfterMs: 0, delayWarningAfterMs: 0 };

describe('the next attempt', () => {
  test('follows the schedule, whose last wait repeats, within a tenth', () => {
    fc.assert(
      fc.property(fc.string(), fc.integer({ min: 1, max: 100 }), (queueId, deferrals) => {
        const waitMs = deferrals === 1 ? 60_000 : 300_000;
        const atMs = nextAttemptAtMs(queueId, deferrals, 1_000_000, POLICY);
        expect(Math.abs(atMs - 1_000_000 - waitMs)).toBeLessThanOrEqual(waitMs / 10);
        expect(nextAttemptAtMs(queueId, deferrals, 1_000_000, POLICY)).toBe(atMs);
      }),
    );
  });

  test('is never later than the longest wait after as many deferrals', () => {
    fc.assert(
      fc.property(fc.string(), fc.integer({ min: 1, max: 100 }), (queueId, deferrals) => {
        const aheadMs = nextAttemptAtMs(queueId, deferrals, 0, POLICY);
        expect(aheadMs).toBeLessThanOrEqual(longestWaitMs(deferrals, POLICY));
      }),
    );
    expect([0, 1, 2, 3, 4_000_000_000].map((deferrals) => longestWaitMs(deferrals, POLICY))).toEqual([
      66_000, 66_000, 330_000, 330_000, 330_000,
    ]);
  });

  test('is the same in every version: what one has stored, another one computes', () => {
    expect(nextAttemptAtMs('00abcdefghijklmnopqr', 1, 0, POLICY)).toBe(61_987);
  });

  test('is spread over mails that were deferred together', () => {
    const ids = Array.from({ length: 1000 }, (_, i) => `00abcdefghijklm${i.toString(36).padStart(5, '0')}`);
    const times = ids.map((id) => nextAttemptAtMs(id, 1, 0, POLICY));
    const inSlot = (slot: number) =>
      times.filter((atMs) => Math.floor((atMs - 54_000) / 1200) === slot).length;
    for (let slot = 0; slot < 10; slot++) expect(inSlot(slot)).toBeGreaterThan(50);
  });
});
