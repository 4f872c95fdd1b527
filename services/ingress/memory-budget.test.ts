import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { MemoryBudget } from './memory-budget.ts';

describe('The memory budget', () => {
  test('lets mails in up to seven eighths, and the rest is for those that are in', () => {
    const budget = new MemoryBudget(800);
    expect(budget.admit(700)).toBe(true);
    expect(budget.admit(1)).toBe(false);
    expect(budget.grow(100)).toBe(true);
    expect(budget.grow(1)).toBe(false);
    expect(budget.used).toBe(800);
    budget.giveBack(300);
    expect(budget.admit(200)).toBe(true);
  });

  test('knows when more is given back than taken', () => {
    const budget = new MemoryBudget(800);
    budget.grow(5);
    expect(() => budget.giveBack(6)).toThrow('more memory');
  });

  test('is never exceeded (B1)', () => {
    const step = fc.tuple(fc.constantFrom('admit', 'grow', 'giveBack'), fc.nat(400));
    fc.assert(
      fc.property(fc.array(step), (steps) => {
        const budget = new MemoryBudget(1000);
        let used = 0;
        for (const [what, octets] of steps) {
          if (what === 'giveBack') {
            const back = Math.min(octets, used);
            budget.giveBack(back);
            used -= back;
          } else if (budget[what as 'admit' | 'grow'](octets)) used += octets;
          expect(budget.used).toBe(used);
          expect(used).toBeLessThanOrEqual(1000);
        }
      }),
    );
  });
});
