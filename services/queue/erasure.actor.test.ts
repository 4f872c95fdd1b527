import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import type { Link } from '#libs/nats/link.ts';
import { Erasure } from './erasure.actor.ts';

/** An erasure whose calls the test answers; "purge a 5" removes what is older than 5, "delete 5" that record. */
function bench() {
  const calls: string[] = [];
  const answers: ((text: string) => void)[] = [];
  const link = {
    request: (subject: string, payload: Uint8Array) => {
      const { filter, seq } = JSON.parse(Buffer.from(payload).toString()) as { filter?: string; seq: number };
      const stream = subject.split('.').at(-1)!;
      const where = stream === 'QUEUE' ? '' : ` of ${stream}`;
      calls.push(subject.includes('PURGE') ? `purge ${filter} ${seq}` : `delete ${seq}${where}`);
      return new Promise((resolve) => {
        answers.push((text) => resolve({ kind: 'answer', data: Buffer.from(text) }));
      });
    },
  } as unknown as Link;
  const troubles: string[] = [];
  const clock = { nowMs: 0 };
  const answer = async (text = '{}') => {
    answers.shift()!(text);
    await jest.advanceTimersByTimeAsync(0);
  };
  const pass = async (ms: number) => {
    clock.nowMs += ms;
    await jest.advanceTimersByTimeAsync(ms);
  };
  const erasure = new Erasure({ link, now: () => clock.nowMs, onTrouble: (words) => troubles.push(words) });
  return { erasure, calls, answer, pass, troubles };
}

const REFUSED = '{"error":{"code":500,"err_code":10051,"description":"no space left"}}';

beforeEach(() => {
  jest.useFakeTimers();
});

afterEach(() => {
  jest.useRealTimers();
});

describe('Erasure', () => {
  test('removes what is older, and only then the record that overruled it', async () => {
    const { erasure, calls, answer } = bench();
    erasure.add({ subject: 'a', sequence: 5, isSettled: true });
    expect(calls).toEqual(['purge a 5']);
    await answer();
    expect(calls).toEqual(['purge a 5', 'delete 5']);
  });

  test('leaves the record that overrules what could not be removed', async () => {
    const { erasure, calls, answer } = bench();
    erasure.add({ subject: 'a', sequence: 5, isSettled: true });
    await answer('{"error":{"code":503,"err_code":10008}}');
    expect(calls).toEqual(['purge a 5']);
  });

  test('removes a state by its sequence when it is known to be the only older one', async () => {
    const { erasure, calls, answer } = bench();
    erasure.add({ subject: 'a', sequence: 5, isSettled: false, older: 2 });
    expect(calls).toEqual(['delete 2']);
    await answer();
    erasure.add({ subject: 'a', sequence: 9, isSettled: true, older: 5 });
    await answer();
    await answer();
    expect(calls).toEqual(['delete 2', 'delete 5', 'delete 9']);
  });

  test.each([
    ['is still to be removed', undefined],
    ['could not be removed', REFUSED],
  ])('removes by subject while an older state %s: it must not come back', async (_, text) => {
    const { erasure, calls, answer } = bench();
    erasure.add({ subject: 'a', sequence: 5, isSettled: false, older: 2 });
    if (text !== undefined) await answer(text);
    erasure.add({ subject: 'a', sequence: 9, isSettled: true, older: 5 });
    if (text !== undefined) jest.advanceTimersByTime(500);
    expect(calls.at(-1)).toBe(text === undefined ? 'purge a 9' : 'purge a 5');
    if (text === undefined) return;
    await answer();
    expect(calls.slice(2)).toContain('delete 5');
  });

  test('goes on with other streams while one refuses, and tries that one again alone, with growing pauses', async () => {
    const { erasure, calls, answer, pass, troubles } = bench();
    for (let i = 1; i <= 20; i++) erasure.remove('STORE_1', i);
    expect(calls).toHaveLength(16);
    for (let i = 0; i < 16; i++) await answer(REFUSED);
    expect(calls).toHaveLength(16);
    erasure.remove('STORE_0', 7);
    expect(calls.at(-1)).toBe('delete 7 of STORE_0');
    await answer();
    await pass(499);
    expect(calls).toHaveLength(17);
    await pass(1);
    expect(calls).toHaveLength(18);
    await answer(REFUSED);
    await pass(999);
    expect(calls).toHaveLength(18);
    await pass(1);
    for (let i = 0; i < 20; i++) await answer();
    expect(erasure.waiting).toBe(0);
    expect(new Set(calls.slice(18)).size).toBe(20);
    expect(troubles).toEqual(['STORE_1: a removal failed; 5 wait', 'STORE_1: a removal failed; 20 wait']);
  });

  test('gives up what cannot be removed after many tries, and says so', async () => {
    const { erasure, calls, answer, pass, troubles } = bench();
    erasure.remove('STORE_0', 7);
    for (let i = 0; i < 20; i++) {
      await answer(REFUSED);
      await pass(30_000);
    }
    await pass(60_000);
    expect(calls).toHaveLength(20);
    expect(troubles.at(-1)).toBe('STORE_0: a removal is given up: the record stays');
  });

  test('keeps the newest state of a mail that is not settled', async () => {
    const { erasure, calls, answer } = bench();
    erasure.add({ subject: 'a', sequence: 5, isSettled: false });
    await answer();
    expect(calls).toEqual(['purge a 5']);
  });

  test('makes a few calls at a time, and gets through all', async () => {
    const { erasure, calls, answer } = bench();
    for (let i = 1; i <= 5000; i++) erasure.add({ subject: 'a', sequence: i, isSettled: false });
    expect(calls).toHaveLength(16);
    expect(erasure.waiting).toBe(4984);
    for (let i = 0; i < 5000; i++) await answer();
    expect(calls).toHaveLength(5000);
    expect(erasure.waiting).toBe(0);
  });
});
