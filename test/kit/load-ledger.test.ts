import { describe, expect, test } from '@jest/globals';
import { isKept, ledgerOf, ledgerText } from './load-ledger.ts';

const sender = {
  accepted: new Map([
    ['a', 'qa'],
    ['b', 'qb'],
  ]),
  unknown: new Set(['u', 'v']),
  refused: new Set(['r']),
};

const arrival = (token: string, times = 1) => ({ token, times, queueIds: Array(times).fill(`q${token}`) });

describe('the ledger', () => {
  test('is kept when every accepted mail came once, whatever came of the others', () => {
    const ledger = ledgerOf(sender, [arrival('a'), arrival('b'), arrival('u'), arrival('r')], new Set());
    expect(ledger).toMatchObject({
      accepted: 2,
      delivered: 2,
      unknownArrived: 1,
      refusedArrived: 1,
      duplicates: 0,
    });
    expect(isKept(ledger)).toBe(true);
  });

  test('names an accepted mail that did not come', () => {
    const ledger = ledgerOf(sender, [arrival('b')], new Set());
    expect(ledger.lost).toEqual(['a']);
    expect(isKept(ledger)).toBe(false);
    expect(ledgerText(ledger)).toContain('lost                 1\n    a\n');
  });

  test('explains a duplicate by the queue id in doubt, and no other', () => {
    const arrivals = [arrival('a', 2), arrival('b', 3)];
    expect(isKept(ledgerOf(sender, arrivals, new Set(['qa', 'qb'])))).toBe(true);
    const ledger = ledgerOf(sender, arrivals, new Set(['qb']));
    expect(ledger).toMatchObject({ duplicates: 3, unexplained: ['a qa qa'] });
    expect(isKept(ledger)).toBe(false);
  });

  test('names a mail that nobody sent', () => {
    const ledger = ledgerOf(sender, [arrival('a'), arrival('b'), arrival('x')], new Set());
    expect(ledger.strangers).toEqual(['x']);
    expect(isKept(ledger)).toBe(false);
  });
});
