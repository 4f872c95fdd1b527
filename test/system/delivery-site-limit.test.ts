// The limit of connections to one site, which holds for the whole cluster, while the workers that share it come and go.
import { describe, expect, test } from '@jest/globals';
import { isKept, ledgerText } from '#kit/load-ledger.ts';
import { runExactness } from '../scale/exactness-run.ts';

describe('the connections to one site', () => {
  test('are exactly as many as its limit when its worker is drained, killed, slow, or cut off from NATS', async () => {
    const options = {
      steps: ['drain', 'kill', 'stutter', 'cut'] as const,
      workers: 3,
      siteConnectionsMax: 10,
      perSecond: 150,
      say: () => undefined,
    };
    await runExactness(options, ({ steps, ledger }, cluster) => {
      const most = steps.map((one) => `${one.step} ${one.most}`);
      if (!isKept(ledger))
        throw new Error(`${most.join(', ')}\n${ledgerText(ledger)}\n${cluster.logTails()}`);
      expect(most).toEqual(options.steps.map((step) => `${step} 10`));
    });
  }, 120_000);
});
