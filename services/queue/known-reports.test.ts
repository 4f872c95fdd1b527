import { describe, expect, test } from '@jest/globals';
import { KnownReports } from './known-reports.ts';

describe('reports', () => {
  test('are known by their first pack', () => {
    const known = new KnownReports();
    known.load('a', 3);
    known.load('a', 4);
    known.add('a', 5, 0);
    known.add('b', 6, 0);
    known.add('b', 7, 0);
    expect(['a', 'b', 'c'].map((id) => known.packOf(id))).toEqual([3, 6, undefined]);
  });

  test('that came are forgotten after ten to twenty minutes, those that were loaded never', () => {
    const known = new KnownReports();
    known.load('loaded', 1);
    known.add('a', 2, 1000);
    known.add('b', 3, 601_000);
    expect(known.packOf('a')).toBe(2);
    known.add('c', 4, 1_201_000);
    expect(['loaded', 'a', 'b', 'c'].map((id) => known.packOf(id))).toEqual([1, undefined, 3, 4]);
  });

  test('that came have a bound', () => {
    const known = new KnownReports();
    for (let i = 0; i <= 100_000; i++) known.add(`${i}`, i + 1, 0);
    expect(['0', '49999', '50000', '100000'].map((id) => known.packOf(id))).toEqual([
      undefined,
      undefined,
      50_001,
      100_001,
    ]);
  });
});
