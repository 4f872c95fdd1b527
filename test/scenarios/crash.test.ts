import { describe, expect, test } from '@jest/globals';
import { isKept, ledgerText } from '#kit/load-ledger.ts';
import { runCrash } from '../crash/crash-run.ts';

describe('kill -9 of a queue instance and of a delivery worker under load', () => {
  test('loses nothing, and explains every duplicate', async () => {
    const options = {
      kills: 2,
      mails: 500,
      perSecond: 100,
      seed: 11,
      victims: ['queue', 'delivery'] as const,
      say: () => undefined,
    };
    await runCrash(options, (ledger, cluster) => {
      if (!isKept(ledger)) throw new Error(`${ledgerText(ledger)}\n${cluster.logTails()}`);
      expect(ledger.accepted).toBeGreaterThanOrEqual(500);
    });
  }, 120_000);
});
