import { describe, expect, test } from '@jest/globals';
import type { Link } from '#libs/nats/link.ts';
import { Erasure } from './erasure.actor.ts';

/** An erasure whose calls the test answers; "purge a 5" removes what is older than 5, "delete 5" that record. */
function bench() {
  const calls: string[] = [];
  const answers: ((text: string) => void)[] = [];
  const link = {
    request: (subject: string, payload: Uint8Array) => {
      const { filter, seq } = JSON.parse(Buffer.from(payload).toString()) as { filter?: string; seq: number };
      calls.push(subject.includes('PURGE') ? `purge ${filter} ${seq}` : `delete ${seq}`);
      return new Promise((resolve) => {
        answers.push((text) => resolve({ kind: 'answer', data: Buffer.from(text) }));
      });
    },
  } as unknown as Link;
  const answer = async (text = '{}') => {
    answers.shift()!(text);
    await new Promise((done) => setImmediate(done));
  };
  return { erasure: new Erasure(link), calls, answer };
}

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
