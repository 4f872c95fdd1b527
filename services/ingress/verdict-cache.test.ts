import { describe, expect, test } from '@jest/globals';
import { VerdictCache } from './verdict-cache.ts';

const path = (name: string) => [`${name}@a.example`, 'a.example'] as const;

describe('The verdict cache', () => {
  test('keeps a verdict of one recipient for its time', () => {
    const cache = new VerdictCache(10);
    cache.keep(...path('x'), { verdict: 'unknown', wholeDomain: false, ttlMs: 100, nowMs: 1000 });
    expect(cache.find(...path('x'), 1099)).toBe('unknown');
    expect(cache.find(...path('y'), 1099)).toBeUndefined();
    expect(cache.find(...path('x'), 1100)).toBeUndefined();
    expect(cache.size).toBe(0);
  });

  test('keeps a verdict of a whole domain for every recipient of it', () => {
    const cache = new VerdictCache(10);
    cache.keep(...path('x'), { verdict: 'relay', wholeDomain: true, ttlMs: 100, nowMs: 1000 });
    expect(cache.find(...path('y'), 1050)).toBe('relay');
    expect(cache.find('y@b.example', 'b.example', 1050)).toBeUndefined();
  });

  test('keeps nothing that it was not allowed to', () => {
    const cache = new VerdictCache(10);
    cache.keep(...path('x'), { verdict: 'deferred', wholeDomain: false, ttlMs: 0, nowMs: 1000 });
    expect(cache.find(...path('x'), 1000)).toBeUndefined();
  });

  test('is bounded: the oldest makes room, a new verdict makes an entry young', () => {
    const cache = new VerdictCache(2);
    const keep = (name: string) =>
      cache.keep(...path(name), { verdict: 'local', wholeDomain: false, ttlMs: 100, nowMs: 0 });
    for (const name of ['x', 'y', 'x', 'z']) keep(name);
    const known = ['x', 'y', 'z'].map((name) => cache.find(...path(name), 1));
    expect(known).toEqual(['local', undefined, 'local']);
    expect(cache.size).toBe(2);
  });
});
