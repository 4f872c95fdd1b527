import { describe, expect, test } from '@jest/globals';
import { Tally } from './tally.ts';

describe('a tally', () => {
  test('hands on what was counted, by label, once', () => {
    const handed: unknown[] = [];
    const tally = new Tally({ add: (n, labels) => handed.push([n, labels]) }, 'outcome');
    for (const value of ['relayed', 'failed', 'relayed']) tally.count(value);
    tally.sweep();
    tally.sweep();
    expect(handed).toEqual([
      [2, { outcome: 'relayed' }],
      [1, { outcome: 'failed' }],
    ]);
  });
});
