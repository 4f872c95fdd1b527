import { describe, expect, test } from '@jest/globals';
import { runCrash } from '../crash/crash-run.ts';
import { isGood, resultText } from '../crash/result-text.ts';

describe('Processes that are killed and frozen in pairs under load, with clocks that differ', () => {
  test('lose nothing, explain every duplicate, and leave nothing behind', async () => {
    const options = {
      seed: 4,
      lengthMs: 30_000,
      rate: 100,
      octets: 2048,
      hosts: { answerAfterMs: 500, slowAfterMs: 2000 },
      freeze: true,
      pairs: true,
      skew: true,
      say: () => undefined,
    };
    await runCrash(options, (result, stage) => {
      if (!isGood(result)) throw new Error(`${resultText(result)}\n${stage.cluster.logTails()}`);
      expect(result.ledger.accepted).toBeGreaterThanOrEqual(1000);
    });
  }, 240_000);
});
