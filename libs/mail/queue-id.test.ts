import { describe, expect, test } from '@jest/globals';
import { madeAtMsOf, newQueueId, partitionOf } from './queue-id.ts';

describe('a queue id', () => {
  test('has 20 characters and tells its partition', () => {
    for (const partition of [0, 1, 31, 35, 36, 255, 1295]) {
      const queueId = newQueueId(partition, Date.now());
      expect(queueId).toMatch(/^[0-9a-z]{20}$/);
      expect(partitionOf(queueId)).toBe(partition);
    }
  });

  test('is new each time, within and across milliseconds', () => {
    const ids = new Set<string>();
    for (let i = 0; i < 10_000; i++) ids.add(newQueueId(1, 1_764_000_000_000 + (i % 3)));
    expect(ids.size).toBe(10_000);
  });

  test('tells when it was made', () => {
    expect(madeAtMsOf(newQueueId(7, 1_764_000_000_123))).toBe(1_764_000_000_123);
  });

  test('sorts by time within a partition', () => {
    expect(newQueueId(1, 1_764_000_000_000) < newQueueId(1, 1_764_000_000_001)).toBe(true);
  });

  test.each(['', 'short', '0amb3kq1x2abcde0001Z', '0amb3kq1x2abcde0001zz', '0 mb3kq1x2abcde0001z'])(
    'is not %j',
    (text) => {
      expect(partitionOf(text)).toBeNaN();
      expect(madeAtMsOf(text)).toBeNaN();
    },
  );
});
