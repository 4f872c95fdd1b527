import { describe, expect, test } from '@jest/globals';
import { InflightAnswer, type Outcome, OutcomeKind } from '#proto/postrider/v1/job.ts';
import { partsOf } from './inflight-parts.ts';

const KIB = 1024;

const attempt = (i: number, recipients: number[] = []) => ({
  attemptId: `00mail${i}.a.b`,
  queueId: `00mail${i}`,
  recipients,
  siteKey: 'smtp:mx.example:25',
  checkpointed: true,
});

const outcome = (i: number): Outcome => ({
  attemptId: `00mail${i}.a.b`,
  queueId: `00mail${i}`,
  kind: OutcomeKind.DEFERRED,
  reply: { code: 451, enhanced: '4.3.0', text: 'later '.repeat(50), host: 'mx.example' },
  recipients: [],
  tls: '',
  jobRecipients: [],
});

const many = <T>(count: number, make: (i: number) => T) => Array.from({ length: count }, (_, i) => make(i));

describe('What is in flight', () => {
  test('is one message when there is little of it, or nothing', () => {
    expect(partsOf({ worker: 'w', running: [], unacknowledged: [] }, 256 * KIB)).toEqual([
      { worker: 'w', running: [], unacknowledged: [], part: 0, parts: 0 },
    ]);
    const little = { worker: 'w', running: [attempt(1)], unacknowledged: [outcome(2)] };
    expect(partsOf(little, 256 * KIB)).toEqual([{ ...little, part: 0, parts: 0 }]);
  });

  test('is told in parts that have room in a message, and nothing is told twice or not at all', () => {
    const all = {
      worker: 'w',
      running: many(15_000, (i) => attempt(i)),
      unacknowledged: many(5000, outcome),
    };
    const parts = partsOf(all, 256 * KIB);
    expect(parts.length).toBeGreaterThan(3);
    expect(parts.map(({ part }) => part)).toEqual([...parts.keys()]);
    for (const part of parts) {
      expect(InflightAnswer.encode(part).finish().length).toBeLessThan(257 * KIB);
      expect(part).toMatchObject({ worker: 'w', parts: parts.length });
    }
    expect(parts.flatMap(({ running }) => running)).toEqual(all.running);
    expect(parts.flatMap(({ unacknowledged }) => unacknowledged)).toEqual(all.unacknowledged);
  });

  test('has a part of its own for what is larger than a part', () => {
    const large = attempt(
      1,
      many(50_000, (i) => i),
    );
    const parts = partsOf(
      { worker: 'w', running: [attempt(0), large, attempt(2)], unacknowledged: [] },
      64 * KIB,
    );
    expect(parts.map(({ running }) => running.length)).toEqual([1, 1, 1]);
  });
});
