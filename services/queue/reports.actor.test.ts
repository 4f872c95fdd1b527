import { describe, expect, test } from '@jest/globals';
import type { Got } from '#libs/nats/direct-get.ts';
import type { RecordToStore, Stored } from '#libs/nats/records.ts';
import { encodeFrame } from '#libs/pack/pack.ts';
import type { Envelope } from '#proto/postrider/v1/mail.ts';
import { newCustody } from './custody.ts';
import { messageFromPack } from './message.ts';
import type { ReportRequest } from './report-draft.ts';
import { Reports } from './reports.actor.ts';

const UNAVAILABLE: Stored = { kind: 'unavailable' };
const FULL: Stored = { kind: 'full' };

/** Reports of one partition, with a SPOOL that answers what the test wants. */
function bench() {
  const known = new Map<string, number>();
  const records: RecordToStore[] = [];
  const answers: Stored[] = [];
  const stored: [string, readonly number[]][] = [];
  const troubles: string[] = [];
  const lost = new Set<number>();
  const clock = { nowMs: 1_000_000 };
  const reports = new Reports({
    partition: 0,
    hostname: 'mx.test',
    expireAfterMs: 1000,
    now: () => clock.nowMs,
    writer: {
      store: async (record) => {
        records.push(record);
        return answers.shift() ?? { kind: 'stored', sequence: 100 + records.length, duplicate: false };
      },
    },
    direct: {
      bySequence: async (_, sequence) => (lost.has(sequence) ? { kind: 'missing' } : recordOf(sequence)),
    },
    storedReport: (queueId) => known.get(queueId),
    onStored: ({ custody }, packs) => stored.push([custody.message.queueId, packs]),
    onTrouble: (reason) => troubles.push(reason),
  });
  const flush = async (afterMs = 60_000) => {
    clock.nowMs += afterMs;
    await reports.flush();
  };
  return { reports, known, records, answers, stored, troubles, lost, flush };
}

function frameOf(sequence: number): Buffer {
  const envelope = {
    queueId: `00mail${sequence}`,
    reversePath: 'me@home.example',
    forwardPaths: ['you@b.example'],
    acceptedAtMs: 1,
    chunks: [],
  } as unknown as Envelope;
  const full = {
    ...envelope,
    bodyType: 0,
    clientAddress: '',
    clientName: '',
    protocol: '',
    hasDotLines: false,
  };
  return Buffer.concat(encodeFrame({ envelope: full as Envelope, prepended: Buffer.alloc(0), data: [] }));
}

function recordOf(sequence: number): Got {
  return {
    kind: 'found',
    record: { sequence, subject: '', data: frameOf(sequence), header: () => undefined },
  };
}

function request(sequence: number): ReportRequest {
  const ref = { stream: 'SPOOL_0', sequence, offset: 0, length: frameOf(sequence).length };
  const entry = { queueId: `00mail${sequence}`, offset: 0, length: 1, acceptedAtMs: 1, domains: [], size: 1 };
  const message = messageFromPack({ ...entry, nullReversePath: false, trace: undefined }, ref, ['b.example']);
  return { custody: newCustody(message, { sequence, entry: 0 }, 0), report: 'failure', positions: [0] };
}

describe('reports', () => {
  test('gather in one pack, and their mails hear of it', async () => {
    const { reports, records, stored, flush } = bench();
    for (const sequence of [1, 2, 3]) reports.add(request(sequence));
    await flush();
    expect(records).toHaveLength(1);
    expect(records[0]).toMatchObject({
      subject: 'spool.0',
      id: expect.stringMatching(/^dsn-00[0-9a-z]{18}-3$/),
    });
    expect(stored).toEqual([1, 2, 3].map((sequence) => [`00mail${sequence}`, [101]]));
    expect(reports.idle).toBe(true);
  });

  test('that may be stored are stored again as they were, whatever came meanwhile', async () => {
    const { reports, records, answers, stored, flush } = bench();
    answers.push(UNAVAILABLE);
    reports.add(request(1));
    await flush();
    expect(stored).toEqual([]);
    reports.add(request(2));
    await flush();
    expect(records[1]).toBe(records[0]);
    expect(records).toHaveLength(3);
    expect(stored).toEqual([
      ['00mail1', [102]],
      ['00mail2', [103]],
    ]);
  });

  test('that turn out to be stored are not stored again', async () => {
    const { reports, known, records, answers, stored, flush } = bench();
    answers.push(UNAVAILABLE);
    reports.add(request(1));
    await flush();
    known.set(/^dsn-(.*)-1$/.exec(records[0]!.id)![1]!, 77);
    await flush();
    expect(records).toHaveLength(1);
    expect(stored).toEqual([['00mail1', [77]]]);
  });

  test('that an earlier owner stored are not stored again', async () => {
    const { reports, known, records, stored, flush } = bench();
    reports.add(request(1));
    await flush();
    known.set(/^dsn-(.*)-1$/.exec(records[0]!.id)![1]!, 101);
    reports.add(request(1));
    await flush();
    expect(records).toHaveLength(1);
    expect(stored).toHaveLength(2);
  });

  test('for which there is no room wait, longer each time, and may be packed anew', async () => {
    const { reports, records, answers, stored, troubles, flush } = bench();
    answers.push(FULL, FULL);
    reports.add(request(1));
    await flush();
    await flush(100);
    expect(records).toHaveLength(1);
    await flush(500);
    reports.add(request(2));
    await flush(500);
    expect(records).toHaveLength(2);
    await flush(500);
    expect(stored.map(([queueId]) => queueId)).toEqual(['00mail1', '00mail2']);
    expect(records.at(-1)!.id).toMatch(/-2$/);
    expect(troubles).toEqual(Array(2).fill('SPOOL: full; 1 reports wait'));
  });

  test('do not wait for one whose mail cannot be read', async () => {
    const { reports, lost, stored, troubles, flush } = bench();
    lost.add(1);
    reports.add(request(1));
    reports.add(request(2));
    await flush();
    expect(stored.map(([queueId]) => queueId)).toEqual(['00mail2']);
    expect(troubles).toEqual(['the content of 00mail1 is gone: its sender cannot be told']);
    expect(reports.idle).toBe(false);
    lost.clear();
    await flush();
    expect(reports.idle).toBe(true);
  });
});
