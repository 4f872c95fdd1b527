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
    const ledger = ledgerOf(sender, [arrival('a'), arrival('b'), arrival('u'), arrival('r')], new Map());
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
    const ledger = ledgerOf(sender, [arrival('b')], new Map());
    expect(ledger.lost).toEqual(['a']);
    expect(isKept(ledger)).toBe(false);
    expect(ledgerText(ledger)).toContain('lost                 1\n    a\n');
  });

  test('explains as many copies as attempts were in doubt, and no more', () => {
    const arrivals = [arrival('a', 2), arrival('b', 3)];
    const once = (ids: Record<string, number>) => ledgerOf(sender, arrivals, new Map(Object.entries(ids)));
    const explained = once({ qa: 1, qb: 2 });
    expect(isKept(explained)).toBe(true);
    expect(explained).toMatchObject({ duplicates: 3, inDoubt: 3, inDoubtOnce: 0 });
    const ledger = once({ qa: 2, qb: 1 });
    expect(ledger.unexplained).toEqual([{ token: 'b', queueIds: ['qb'], copies: 2, inDoubt: 1 }]);
    expect(ledger).toMatchObject({ duplicates: 3, inDoubt: 3, inDoubtOnce: 1, unexplainedCopies: 1 });
    expect(isKept(ledger)).toBe(false);
  });

  test('counts copies of a mail with several recipients by site, and misses each of them', () => {
    const several = new Map([['a', ['x@one', 'y@one', 'z@two']]]);
    const recipients = { 'x@one': 2, 'y@one': 2, 'z@two': 1 };
    const came = { token: 'a', times: 3, queueIds: ['qa', 'qa', 'qa'], recipients };
    const whole = ledgerOf({ ...sender, several }, [came, arrival('b')], new Map([['qa', 1]]));
    expect(whole).toMatchObject({ delivered: 2, duplicates: 1, unexplained: [] });
    const part = { ...came, recipients: { 'x@one': 1, 'y@one': 1 } };
    expect(ledgerOf({ ...sender, several }, [part, arrival('b')], new Map()).lost).toEqual(['a']);
  });

  test('does not miss what was reported to its sender', () => {
    const reported = { token: 'a', times: 0, queueIds: [], reports: 1 };
    const ledger = ledgerOf(sender, [reported, arrival('b')], new Map());
    expect(ledger).toMatchObject({ delivered: 1, reported: 1, lost: [] });
    expect(ledgerText(ledger)).toContain('reported             1\n');
  });

  test('names a mail that nobody sent', () => {
    const ledger = ledgerOf(sender, [arrival('a'), arrival('b'), arrival('x')], new Map());
    expect(ledger.strangers).toEqual(['x']);
    expect(isKept(ledger)).toBe(false);
  });
});
