import { describe, expect, test } from '@jest/globals';
import { newCustody } from './custody.ts';
import { messageFromPack } from './message.ts';
import { partsOf } from './report-draft.ts';
import { addLines, type Loaded } from './takeover.ts';

function loaded(): Pick<Loaded, 'settled' | 'settleRecords'> {
  return { settled: new Map(), settleRecords: [] };
}

describe('settle lines', () => {
  test('of one pack add up, and a line for all of it counts whatever the others say', () => {
    const lines = loaded();
    addLines(lines, 1, {
      packs: [
        { sequence: 5, entries: [0, 2] },
        { sequence: 6, entries: [] },
      ],
    });
    addLines(lines, 2, {
      packs: [
        { sequence: 5, entries: [3] },
        { sequence: 6, entries: [1] },
      ],
    });
    expect(lines.settled.get(5)).toEqual(new Set([0, 2, 3]));
    expect(lines.settled.get(6)).toBe('all');
    addLines(lines, 3, { packs: [{ sequence: 5, entries: [] }] });
    expect(lines.settled.get(5)).toBe('all');
    expect(lines.settleRecords).toEqual([
      { sequence: 1, newestPack: 6 },
      { sequence: 2, newestPack: 6 },
      { sequence: 3, newestPack: 5 },
    ]);
  });
});

describe('the queue id of a report', () => {
  const entry = { offset: 0, length: 1, acceptedAtMs: 0, domains: [], size: 1, trace: undefined };
  const ref = { stream: 'SPOOL_0', sequence: 1, offset: 0, length: 1 };
  const message = messageFromPack({ ...entry, queueId: '0zabc', nullReversePath: false }, ref, []);
  const custody = newCustody(message, { sequence: 1, entry: 0 }, 0);
  const idsOf = (report: 'failure' | 'delay', positions: number[]) =>
    partsOf({ custody, report, positions }).map(({ dsnQueueId }) => dsnQueueId);

  test('is in the partition of its mail and follows from what is reported', () => {
    const [id] = idsOf('failure', [0, 1]);
    expect(id).toMatch(/^0z[0-9a-z]{18}$/);
    expect(idsOf('failure', [0, 1])).toEqual([id]);
    expect(new Set([id, ...idsOf('delay', [0, 1]), ...idsOf('failure', [0])]).size).toBe(3);
  });

  test('is another one for each 500 recipients', () => {
    const ids = idsOf(
      'failure',
      Array.from({ length: 1001 }, (_, i) => i),
    );
    expect(new Set(ids).size).toBe(3);
  });
});
