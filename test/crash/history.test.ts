import { describe, expect, test } from '@jest/globals';
import { ledgerOf } from '#kit/load-ledger.ts';
import { reasonsToExplain } from './history.ts';

describe('Mails that need to be explained', () => {
  test('are those unexplained, lost, and slow, and two of those in doubt that came once', () => {
    const tokens = ['twice', 'doubted', 'doubted2', 'doubted3', 'fine', 'slow'];
    const accepted = new Map([...tokens, 'lost'].map((token) => [token, `q-${token}`]));
    const sender = { accepted, unknown: new Set<string>(), refused: new Set<string>() };
    const arrivals = tokens.map((token) => {
      const times = token === 'twice' ? 2 : 1;
      return { token, times, queueIds: Array(times).fill(`q-${token}`) };
    });
    const inDoubt = new Map(['doubted', 'doubted2', 'doubted3'].map((token) => [`q-${token}`, 1]));
    const ledger = ledgerOf(sender, arrivals, inDoubt);
    const reasons = reasonsToExplain({ ledger, slow: ['slow', 'lost'], arrivals, inDoubt });
    expect(Object.fromEntries(reasons)).toEqual({
      twice: 'UNEXPLAINED',
      lost: 'LOST',
      slow: 'slow',
      doubted: 'in doubt, once at the sink',
      doubted2: 'in doubt, once at the sink',
    });
  });
});
