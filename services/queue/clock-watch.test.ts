import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import type { ClockSpread } from '#libs/nats/clock-skew.ts';
import { watchClocks } from './clock-watch.ts';

beforeEach(() => {
  jest.useFakeTimers();
});

afterEach(() => {
  jest.useRealTimers();
});

test('says whose clock it is, once in ten minutes, and only above two seconds', () => {
  const said: string[] = [];
  let spread: ClockSpread | undefined;
  const stop = watchClocks({ spread: () => spread, say: (words) => said.push(words) });
  jest.advanceTimersByTime(60_000);
  spread = { differMs: 2000, instance: 'queue-b', isAhead: true };
  jest.advanceTimersByTime(60_000);
  expect(said).toEqual([]);
  spread = { differMs: 12_340, instance: 'queue-b', isAhead: true };
  jest.advanceTimersByTime(590_000);
  expect(said).toEqual(['clocks differ by up to 12.3 s: that of queue-b is ahead']);
  spread = { differMs: 5000, instance: 'delivery-c', isAhead: false };
  jest.advanceTimersByTime(20_000);
  expect(said.slice(1)).toEqual(['clocks differ by up to 5.0 s: that of delivery-c is behind']);
  stop();
  jest.advanceTimersByTime(3_600_000);
  expect(said).toHaveLength(2);
});
