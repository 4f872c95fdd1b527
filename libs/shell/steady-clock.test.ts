import { describe, expect, test } from '@jest/globals';
import { steadyClock } from './steady-clock.ts';

function stepped() {
  const time = { wallMs: 1_800_000_000_000.7, elapsedMs: 12.5 };
  const clock = steadyClock(
    () => time.wallMs,
    () => time.elapsedMs,
  );
  const pass = (ms: number) => {
    time.wallMs += ms;
    time.elapsedMs += ms;
  };
  return { time, clock, pass };
}

describe('A steady clock', () => {
  test('is the wall clock until somebody sets that', () => {
    const { clock, pass } = stepped();
    pass(1500);
    expect(clock.now()).toBe(1_800_000_001_500);
    expect(clock.toWall(clock.now() + 5)).toBe(1_800_000_001_505);
    expect(clock.fromWall(1_800_000_009_000)).toBe(1_800_000_009_000);
  });

  test.each([-3_600_000, 86_400_000])('goes on as before when the wall clock is set by %d ms', (stepMs) => {
    const { clock, time, pass } = stepped();
    const retryAtMs = clock.now() + 60_000;
    time.wallMs += stepMs;
    pass(1000);
    expect(retryAtMs - clock.now()).toBe(59_000);
    const storedMs = clock.toWall(retryAtMs);
    expect(storedMs).toBe(1_800_000_060_000 + stepMs);
    expect(clock.fromWall(storedMs)).toBe(retryAtMs);
  });

  test('has whole milliseconds', () => {
    const { clock } = stepped();
    const times = [clock.now(), clock.toWall(clock.now()), clock.fromWall(7)];
    expect(times.every(Number.isInteger)).toBe(true);
  });
});
