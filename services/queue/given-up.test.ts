import { describe, expect, test } from '@jest/globals';
import { GivenUp } from './given-up.ts';

describe('What was given up', () => {
  test('is known for half an hour at least, by what it was last', () => {
    const given = new GivenUp();
    given.note('a', 'lost', 0);
    given.note('a', 'in doubt', 1_000_000);
    given.note('b', 'over', 1_900_000);
    expect(['a', 'b', 'c'].map((id) => given.of(id))).toEqual(['in doubt', 'over', undefined]);
    given.note('c', 'lost', 4_000_000);
    expect(['a', 'b', 'c'].map((id) => given.of(id))).toEqual([undefined, 'over', 'lost']);
  });

  test('takes no more room than two generations', () => {
    const given = new GivenUp();
    for (let i = 0; i < 250_000; i++) given.note(`${i}`, 'lost', 0);
    expect([given.of('0'), given.of('150000'), given.of('249999')]).toEqual([undefined, 'lost', 'lost']);
  });
});
