import { describe, expect, test } from '@jest/globals';
import type { DnsAnswer } from './answer.ts';
import { AnswerCache } from './cache.ts';

const LIMITS = { entriesMax: 3, ttlMaxMs: 60_000, negativeTtlMaxMs: 30_000 };

function foundFor(ttlMs: number): DnsAnswer<string> {
  return { kind: 'found', records: ['192.0.2.1'], ttlMs };
}

describe('the cache of answers', () => {
  test('gives an answer with the rest of its life, then no more', () => {
    const cache = new AnswerCache(LIMITS);
    cache.put('a', 'A', { answer: foundFor(5000), nowMs: 1000 });
    expect(cache.get('a', 'A', 1000)).toEqual(foundFor(5000));
    expect(cache.get('a', 'A', 5999)).toEqual(foundFor(1));
    expect(cache.get('a', 'A', 6000)).toBeUndefined();
    expect(cache.get('a', 'AAAA', 1000)).toBeUndefined();
    expect(cache.size).toBe(0);
  });

  test('limits every life, what is not there more than what is', () => {
    const cache = new AnswerCache(LIMITS);
    const long = 7 * 86_400_000;
    expect(cache.put('a', 'A', { answer: foundFor(long), nowMs: 0 })).toEqual(foundFor(60_000));
    const none = { kind: 'nxdomain', ttlMs: long } as const;
    expect(cache.put('b', 'A', { answer: none, nowMs: 0 })).toEqual({ ...none, ttlMs: 30_000 });
    expect(cache.get('b', 'A', 29_999)).toEqual({ ...none, ttlMs: 1 });
    expect(cache.get('b', 'A', 30_000)).toBeUndefined();
  });

  test('keeps trouble for a second, and nothing without a life', () => {
    const cache = new AnswerCache(LIMITS);
    const answer = { kind: 'trouble', reason: 'servfail' } as const;
    cache.put('a', 'A', { answer: foundFor(5000), nowMs: 0 });
    cache.put('a', 'A', { answer, nowMs: 0 });
    expect(cache.get('a', 'A', 999)).toEqual(answer);
    expect(cache.get('a', 'A', 1000)).toBeUndefined();
    cache.put('a', 'A', { answer: { kind: 'nodata', ttlMs: 0 }, nowMs: 0 });
    expect(cache.size).toBe(0);
  });

  test('drops what was not used for the longest time', () => {
    const cache = new AnswerCache(LIMITS);
    for (const name of ['a', 'b', 'c']) cache.put(name, 'A', { answer: foundFor(5000), nowMs: 0 });
    cache.get('a', 'A', 0);
    cache.put('d', 'A', { answer: foundFor(5000), nowMs: 0 });
    expect(['a', 'b', 'c', 'd'].filter((name) => cache.get(name, 'A', 0) !== undefined)).toEqual([
      'a',
      'c',
      'd',
    ]);
  });
});
