import { describe, expect, test } from '@jest/globals';
import { AuditBudget } from './audit-budget.ts';

/** A budget of 1 ms by a clock that only steps move. */
function bench() {
  let nowMs = 0;
  const budget = new AuditBudget({ budgetMs: 1, clock: () => nowMs });
  const read: number[] = [];
  const takes =
    (ms: number, more = 0) =>
    (one: number) => {
      nowMs += ms;
      read.push(one);
      return more;
    };
  return { budget, read, takes, at: () => nowMs };
}

const numbers = (count: number) => Array.from({ length: count }, (_, i) => i)[Symbol.iterator]();

describe('The budget of audits', () => {
  test('ends a slice when the time is up, and the next turn goes on where it ended', () => {
    const { budget, read, takes, at } = bench();
    const left = numbers(1000);
    expect(budget.spend(left, takes(0.01))).toBe(false);
    // Sixteen steps may pass between two looks at the clock.
    expect(at()).toBeGreaterThanOrEqual(1);
    expect(at()).toBeLessThan(1.17);
    expect(budget.spend(left, takes(0.01))).toBe(false);
    const first = read.length;
    budget.renew();
    budget.spend(left, takes(0.01));
    expect(read.slice(first, first + 2)).toEqual([first, first + 1]);
    expect(at()).toBeLessThan(2.4);
  });

  test('is one for all partitions: what the first has not used is for the next', () => {
    const { budget, takes, at } = bench();
    expect(budget.spend(numbers(30), takes(0.01))).toBe(true);
    for (let partition = 1; partition < 32; partition++) budget.spend(numbers(500), takes(0.01));
    expect(at()).toBeLessThan(1.2);
    budget.renew();
    expect(budget.spend(numbers(0), takes(0))).toBe(true);
  });

  test('looks at the clock behind each mail with very many recipients', () => {
    const { budget, read, takes } = bench();
    expect(budget.spend(numbers(100), takes(0.8, 3000))).toBe(false);
    expect(read).toEqual([0, 1]);
  });

  test('reads no further than is wanted', () => {
    const { budget } = bench();
    const left = numbers(10);
    expect(budget.spend(left, (one) => (one === 3 ? 'enough' : 0))).toBe(true);
    expect(left.next().value).toBe(4);
  });
});
