import { describe, expect, test } from '@jest/globals';
import { runSteps, Wait } from './stop-steps.ts';

function bench() {
  const lines: unknown[] = [];
  const clock = { nowMs: 0 };
  const logger = { info: (fields: object, text: string) => lines.push({ ...fields, text }) };
  const options = { logger: logger as never, now: () => clock.nowMs };
  return { lines, clock, options };
}

describe('The steps of a stop', () => {
  test('run in order, and each says how long it took', async () => {
    const { lines, clock, options } = bench();
    const takes = (ms: number) => async () => {
      await Promise.resolve();
      clock.nowMs += ms;
    };
    const steps = [
      { done: 'sessions ended', run: takes(120.4) },
      { done: 'NATS closed', run: takes(3) },
    ];
    await runSteps(steps, options);
    expect(lines).toEqual([
      { took_ms: 120, text: 'stopping: sessions ended' },
      { took_ms: 3, text: 'stopping: NATS closed' },
    ]);
  });

  test('end with the one that fails', async () => {
    const { lines, options } = bench();
    const fails = { done: 'never', run: () => Promise.reject(new Error('no')) };
    await expect(runSteps([fails, { done: 'later', run: () => {} }], options)).rejects.toThrow('no');
    expect(lines).toEqual([]);
  });
});

describe('A wait', () => {
  test('of nothing is over at once, and cannot be cut', async () => {
    const wait = new Wait();
    const over = wait.elapse(0);
    expect(wait.cut()).toBe(false);
    await over;
  });

  test('can be cut once', async () => {
    const wait = new Wait();
    const over = wait.elapse(3_600_000);
    expect(wait.cut()).toBe(true);
    await over;
    expect(wait.cut()).toBe(false);
  });
});
