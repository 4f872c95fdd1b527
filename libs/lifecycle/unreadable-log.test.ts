import { describe, expect, test } from '@jest/globals';
import { UnreadableLog } from './unreadable-log.ts';

describe('Messages that cannot be read', () => {
  test('are counted by kind of subject, and one of a kind in ten seconds is logged', () => {
    const counted: string[] = [];
    const said: object[] = [];
    let nowMs = 0;
    const counter = {
      add: (n: number, labels?: Record<string, string>) => counted.push(`${n} ${labels?.subject}`),
    };
    const log = new UnreadableLog({
      metrics: { counter: () => counter },
      logger: { error: (fields) => said.push(fields) },
      now: () => nowMs,
    });
    const dropped = (kind: string) => log.heard({ kind, octets: 4, reason: 'no protobuf' });
    dropped('presence');
    dropped('presence');
    dropped('outcome');
    nowMs = 10_000;
    dropped('presence');
    expect(counted).toEqual(['0 none', '1 presence', '1 presence', '1 outcome', '1 presence']);
    const rest = { octets: 4, reason: 'no protobuf' };
    expect(said).toEqual([
      { subject: 'presence', ...rest },
      { subject: 'outcome', ...rest },
      { subject: 'presence', ...rest },
    ]);
  });
});
