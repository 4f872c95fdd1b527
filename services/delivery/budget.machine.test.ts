import { describe, expect, test } from '@jest/globals';
import {
  type BudgetState,
  isCrowded,
  newBudget,
  next,
  roomOf,
  type SiteNeed,
  shareOf,
  update,
} from './budget.machine.ts';

const NONE: SiteNeed = { open: 0, leaving: 0, idle: 0, opening: 0, wanted: 0 };

/** Tells what sites need, in the order of the keys. */
function tell(budget: BudgetState, needs: Record<string, Partial<SiteNeed>>): void {
  for (const [site, need] of Object.entries(needs)) update(budget, site, { ...NONE, ...need });
}

describe('the budget of connections', () => {
  test('has room until as many are open as the limit, those that say goodbye included (B1)', () => {
    const budget = newBudget(3);
    tell(budget, { a: { open: 2 } });
    expect(roomOf(budget)).toBe(1);
    expect(update(budget, 'b', { ...NONE, open: 1, leaving: 1, wanted: 1 })).toBe(true);
    expect(roomOf(budget)).toBe(0);
    expect(next(budget)).toBeUndefined();
    tell(budget, { b: { wanted: 1 } });
    expect(next(budget)).toEqual({ kind: 'open', site: 'b' });
  });

  test('serves who has less than its share first, each line in its order (B3)', () => {
    const budget = newBudget(4);
    tell(budget, {
      a: { open: 3, wanted: 5 },
      b: { open: 1, wanted: 1 },
      c: { wanted: 1 },
      d: { wanted: 1 },
    });
    expect(shareOf(budget)).toBe(1);
    tell(budget, { a: { open: 1, wanted: 5 }, b: { open: 1, wanted: 1 } });
    const served: (string | undefined)[] = [];
    for (let i = 0; i < 5; i++) served.push(next(budget)?.site);
    expect(served).toEqual(['c', 'd', 'a', 'b', undefined]);
  });

  test('asks for the connections that were idle first, and for no more than the hungry need (B2)', () => {
    const budget = newBudget(2);
    tell(budget, { a: { open: 1, idle: 1 }, b: { open: 1, idle: 1 }, c: { wanted: 1 } });
    expect(next(budget)).toEqual({ kind: 'ask', site: 'a' });
    tell(budget, { a: { open: 1, leaving: 1 } });
    expect(next(budget)).toBeUndefined();
    tell(budget, { a: {} });
    expect(next(budget)).toEqual({ kind: 'open', site: 'c' });
    tell(budget, { c: { open: 1 } });
    expect(next(budget)).toBeUndefined();
  });

  test('asks a site with more than its share for a connection that is being opened, when none is idle', () => {
    const budget = newBudget(3);
    tell(budget, { a: { open: 1, opening: 1 }, b: { open: 2, opening: 2 }, c: { wanted: 1 } });
    expect(next(budget)).toEqual({ kind: 'ask', site: 'b' });
    tell(budget, { b: { open: 2 } });
    expect(next(budget)).toBeUndefined();
  });

  test('is crowded for who has more than its share, and for all when there are more sites than connections', () => {
    const budget = newBudget(4);
    tell(budget, { a: { open: 3 }, b: { open: 1 } });
    expect(isCrowded(budget, 'a')).toBe(false);
    tell(budget, { c: { wanted: 1 } });
    expect([isCrowded(budget, 'a'), isCrowded(budget, 'b'), isCrowded(budget, 'x')]).toEqual([
      true,
      false,
      false,
    ]);
    tell(budget, { d: { wanted: 1 }, e: { wanted: 1 } });
    expect(isCrowded(budget, 'b')).toBe(true);
  });

  test('forgets a site that neither has nor wants connections', () => {
    const budget = newBudget(1);
    tell(budget, { a: { open: 1, idle: 1 }, b: { wanted: 1 } });
    tell(budget, { a: {}, b: {} });
    expect([budget.open, budget.needs.size, next(budget)]).toEqual([0, 0, undefined]);
  });
});
