import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { nextAttemptAtMs } from './retry.ts';

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

  test('is spread over mails that were deferred together', () => {
    const ids = Array.from({ length: 1000 }, (_, i) => `00abcdefghijklm${i.toString(36).padStart(5, '0')}`);
    const times = ids.map((id) => nextAttemptAtMs(id, 1, 0, POLICY));
    const inSlot = (slot: number) =>
      times.filter((atMs) => Math.floor((atMs - 54_000) / 1200) === slot).length;
    for (let slot = 0; slot < 10; slot++) expect(inSlot(slot)).toBeGreaterThan(50);
  });
});
