// Every instance of every service is stopped and started again while mails come in, as in a rolling upgrade.
import { describe, expect, test } from '@jest/globals';
import { isKept, ledgerText } from '#kit/load-ledger.ts';
import { longest, runUpgrade } from '../scale/upgrade-run.ts';

describe('a rolling upgrade of all services under load', () => {
  test('loses no mail, sends none twice, and delays none for long', async () => {
    const options = { instances: 2, perSecond: 100, pauseMs: 300, say: () => undefined };
    await runUpgrade(options, ({ restarts, delaysMs, ledger }, cluster) => {
      if (!isKept(ledger) || ledger.duplicates > 0) {
        throw new Error(`${ledgerText(ledger)}\n${cluster.logTails()}`);
      }
      expect(restarts).toBe(8);
      expect(delaysMs.length).toBeGreaterThanOrEqual(ledger.accepted);
      expect(longest(delaysMs)).toBeLessThan(10_000);
    });
  }, 120_000);
});
