import { describe, expect, test } from '@jest/globals';
import type { OversizedMessage } from '#libs/nats/link.ts';
import { OversizedLog } from './oversized-log.ts';

describe('Messages that are larger than the server takes', () => {
  test('are counted by kind, and one of a kind in ten seconds is logged', () => {
    let hear: (message: OversizedMessage) => void = () => {};
    const counted: string[] = [];
    const said: object[] = [];
    let nowMs = 0;
    const counter = {
      add: (n: number, labels?: Record<string, string>) => counted.push(`${n} ${labels?.kind}`),
    };
    new OversizedLog(
      {
        onOversized: (watch) => {
          hear = watch;
        },
      },
      {
        metrics: { counter: () => counter },
        logger: { error: (fields) => said.push(fields) },
        now: () => nowMs,
      },
    );
    const tooBig = (kind: string) => hear({ kind, octets: 300_000, payloadMax: 262_144 });
    tooBig('outcome');
    tooBig('outcome');
    tooBig('spool');
    nowMs = 10_000;
    tooBig('outcome');
    expect(counted).toEqual(['0 none', '1 outcome', '1 outcome', '1 spool', '1 outcome']);
    const line = { octets: 300_000, max_payload: 262_144 };
    expect(said).toEqual([
      { kind: 'outcome', ...line },
      { kind: 'spool', ...line },
      { kind: 'outcome', ...line },
    ]);
  });
});
