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
const TOO_BIG: Stored = { kind: 'too-big' };
const STORED: Stored = { kind: 'stored', sequence: 55, duplicate: false };

/** Reports of one partition, with a SPOOL that answers what the test wants. */
function bench() {
  const known = new Map<string, number>();
  const records: RecordToStore[] = [];
  const answers: Stored[] = [];
  const stored: [string, readonly number[]][] = [];
  const troubles: string[] = [];
  const missing: string[] = [];
  const lost = new Set<number>();
  const clock = { nowMs: 1_000_000 };
  let payloadMax = 1024 ** 2;
  const setPayloadMax = (octets: number) => {
    payloadMax = octets;
  };
  const may = { say: true };
  const reports = new Reports({
    partition: 0,
    hostname: 'mx.test',
    expireAfterMs: 1000,
    payloadMax: () => payloadMax,
    now: () => clock.nowMs,
    clock: { now: () => clock.nowMs, toWall: (atMs) => atMs },
    writer: {
      store: async (record) => {
        records.push(record);
        return answers.shift() ?? { kind: 'stored', sequence: 100 + records.length, duplicate: false };
      },
    },
    direct: {
      bySequence: async (_, sequence) => (lost.has(sequence) ? { kind: 'missing' } : recordOf(sequence)),
    },
    maySay: () => may.say,
    storedReport: (queueId) => known.get(queueId),
    onStored: ({ custody }, packs) => stored.push([custody.message.queueId, packs]),
    onMissing: ({ message }) => missing.push(message.queueId),
    onTrouble: (reason) => troubles.push(reason),
  });
  const flush = async (afterMs = 60_000) => {
    clock.nowMs += afterMs;
    await reports.flush();
  };
  return { reports, known, records, answers, stored, troubles, missing, lost, setPayloadMax, flush, may };
}

function frameOf(sequence: number): Buffer {
  const envelope = {
    queueId: `00mail${sequence}`,
    reversePath: 'me@home.example',
    forwardPaths: Array.from({ length: 500 }, (_, i) => `you-${i}@b.example`),
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

function request(sequence: number, recipients = 1): ReportRequest {
  const ref = { stream: 'SPOOL_0', sequence, offset: 0, length: frameOf(sequence).length };
  const entry = { queueId: `00mail${sequence}`, offset: 0, length: 1, acceptedAtMs: 1, domains: [], size: 1 };
  const message = messageFromPack(
    { ...entry, nullReversePath: false, trace: undefined },
    ref,
    Array(recipients).fill('b.example'),
  );
  return {
    custody: newCustody(message, { sequence, entry: 0 }, 0),
    report: 'failure',
    positions: [...Array(recipients).keys()],
  };
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

  test('wait while another owner may make them, also those that were being made', async () => {
    const { reports, records, flush, may } = bench();
    may.say = false;
    reports.add(request(1));
    await flush();
    expect(records).toHaveLength(0);
    may.say = true;
    const making = flush();
    may.say = false;
    await making;
    expect(records).toHaveLength(0);
    may.say = true;
    await flush();
    expect([records.length, reports.idle]).toEqual([1, true]);
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

  test('do not wait for one whose mail is not there, and whoever looks for it hears of it', async () => {
    const { reports, lost, stored, missing, flush } = bench();
    lost.add(1);
    const gone = request(1);
    reports.add(gone);
    reports.add(request(2));
    await flush();
    expect(stored.map(([queueId]) => queueId)).toEqual(['00mail2']);
    expect(missing).toEqual(['00mail1']);
    expect(reports.idle).toBe(false);
    lost.clear();
    await flush();
    expect(reports.idle).toBe(true);
  });

  test('that nobody can be told are forgotten', async () => {
    const { reports, records, lost, flush } = bench();
    lost.add(1);
    const gone = request(1);
    reports.add(gone);
    await flush();
    reports.forget(gone.custody);
    expect(reports.idle).toBe(true);
    lost.clear();
    await flush();
    expect(records).toEqual([]);
  });

  test('that are too big together are stored one by one, and one that is too big alone keeps no other away', async () => {
    const { reports, known, records, answers, stored, troubles, flush } = bench();
    for (const sequence of [1, 2, 3, 4]) reports.add(request(sequence));
    answers.push(TOO_BIG, STORED, TOO_BIG, FULL);
    await flush();
    expect(records.map(({ id }) => id.slice(-2))).toEqual(['-4', '-1', '-1', '-1']);
    expect(stored.map(([queueId]) => queueId)).toEqual(['00mail1']);
    expect(troubles).toEqual([
      expect.stringMatching(/^SPOOL: a report of \d+ octets is too big and waits$/),
      'SPOOL: full; 1 reports wait',
    ]);
    // Of a pack that may have been stored, and is too big now, one is known.
    answers.push(UNAVAILABLE, TOO_BIG);
    await flush();
    const [first] = [...records.at(-1)!.id.matchAll(/^dsn-(.*)-/g)];
    known.set(first![1]!, 77);
    await flush();
    expect(new Set(stored.map(([queueId]) => queueId))).toEqual(
      new Set(['00mail1', '00mail2', '00mail3', '00mail4']),
    );
    expect(stored).toHaveLength(4);
    expect(stored.some(([, packs]) => packs[0] === 77)).toBe(true);
    expect(reports.idle).toBe(true);
  });

  test.each([
    [8 * 1024 ** 2, 500],
    [1024 ** 2, 500],
    [512 * 1024, 100],
    [256 * 1024, 0],
  ])(
    'have room in a message of %d octets: of the words of each reply %d characters at most',
    async (payloadMax, textMax) => {
      const { reports, records, setPayloadMax, flush } = bench();
      setPayloadMax(payloadMax);
      const many = request(1, 500);
      many.custody.message.recipients.forEach((recipient, i) => {
        const text = `${i} `.padEnd(500, 'words ');
        recipient.lastReply = {
          code: 550,
          enhanced: '5.1.1',
          text,
          host: 'mx.a-host-with-some-name.example',
        };
      });
      reports.add(many);
      await flush();
      const text = Buffer.concat(records[0]!.payload as Buffer[]).toString('latin1');
      expect(text.length).toBeLessThanOrEqual(payloadMax - 64 * 1024);
      expect(text.match(/^Final-Recipient: /gm)).toHaveLength(500);
      expect(text.includes('words '.repeat(3))).toBe(textMax > 0);
    },
  );
});
