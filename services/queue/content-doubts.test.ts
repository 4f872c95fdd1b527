import { describe, expect, test } from '@jest/globals';
import type { Got } from '#libs/nats/direct-get.ts';
import { encodeFrame } from '#libs/pack/pack.ts';
import type { Chunk, Envelope } from '#proto/postrider/v1/mail.ts';
import { ContentDoubts } from './content-doubts.actor.ts';
import { type Custody, newCustody } from './custody.ts';
import { messageFromPack } from './message.ts';

const CHUNK: Chunk = { stream: 'STORE_0', sequence: 9, length: 3 };

/** One mail in record 1 of SPOOL_0, with one chunk in record 9. */
function bench(changes: Partial<Envelope> = {}) {
  const clock = { nowMs: 1_000_000 };
  const verdicts: string[] = [];
  const unheard = new Set<Custody>();
  const envelope = {
    queueId: '00mail1',
    reversePath: 'me@home.example',
    forwardPaths: ['you@b.example'],
    acceptedAtMs: 1,
    bodyType: 0,
    clientAddress: '',
    clientName: '',
    protocol: '',
    hasDotLines: false,
    chunks: [CHUNK],
    ...changes,
  } as Envelope;
  const frame = Buffer.concat(encodeFrame({ envelope, prepended: Buffer.alloc(0), data: [] }));
  const records = new Map<number, Uint8Array | 'silent'>([
    [1, frame],
    [9, Buffer.from('abc')],
  ]);
  const doubts = new ContentDoubts({
    now: () => clock.nowMs,
    mayBeOut: (custody) => unheard.has(custody),
    direct: {
      bySequence: async (_, sequence): Promise<Got> => {
        const data = records.get(sequence);
        if (data === undefined) return { kind: 'missing' };
        if (data === 'silent') return { kind: 'unavailable' };
        return { kind: 'found', record: { sequence, subject: '', data, header: () => undefined } };
      },
    },
    onVerdict: ({ message }, verdict) => verdicts.push(`${message.queueId} ${verdict}`),
  });
  const place = { offset: 0, length: frame.length };
  const entry = { queueId: '00mail1', ...place, acceptedAtMs: 1, domains: [], size: 1, trace: undefined };
  const ref = { stream: 'SPOOL_0', sequence: 1, ...place };
  const message = messageFromPack({ ...entry, nullReversePath: false }, ref, ['b.example']);
  const custody: Custody = newCustody(message, { sequence: 1, entry: 0 }, 0);
  const pass = async (seconds: number) => {
    for (let i = 0; i < seconds; i++) {
      await doubts.sweep(clock.nowMs);
      clock.nowMs += 1000;
    }
  };
  return { doubts, custody, records, verdicts, unheard, pass };
}

describe('a mail whose content was not found', () => {
  test('is given up when it is missing three times, seconds apart', async () => {
    const { doubts, custody, records, verdicts, pass } = bench();
    records.delete(1);
    doubts.add(custody);
    doubts.add(custody);
    await pass(6);
    expect(verdicts).toEqual([]);
    await pass(1);
    expect(verdicts).toEqual(['00mail1 gone']);
    expect(doubts.waiting).toBe(0);
  });

  test('is not given up when it is there after all', async () => {
    const { doubts, custody, records, verdicts, pass } = bench();
    const frame = records.get(1)!;
    records.delete(1);
    doubts.add(custody);
    await pass(5);
    records.set(1, frame);
    await pass(3);
    expect(verdicts).toEqual(['00mail1 there']);
  });

  test('is not given up while nobody answers, however long', async () => {
    const { doubts, custody, records, verdicts, pass } = bench();
    records.set(1, 'silent');
    doubts.add(custody);
    await pass(600);
    expect(verdicts).toEqual([]);
    expect(doubts.waiting).toBe(1);
  });

  test('is not given up while a worker may have read it', async () => {
    const { doubts, custody, records, verdicts, pass } = bench();
    records.delete(1);
    custody.message.recipients[0]!.phase = 'attempting';
    doubts.add(custody);
    await pass(60);
    expect(verdicts).toEqual([]);
    // It has not: it comes back and says so.
    custody.message.recipients[0]!.phase = 'waiting';
    doubts.add(custody);
    expect(verdicts).toEqual(['00mail1 gone']);
  });

  test('is not given up while a worker that has not been heard may have read it', async () => {
    const { doubts, custody, records, verdicts, unheard, pass } = bench();
    records.delete(1);
    unheard.add(custody);
    doubts.add(custody);
    await pass(60);
    expect(verdicts).toEqual([]);
    unheard.clear();
    await pass(4);
    expect(verdicts).toEqual(['00mail1 gone']);
  });

  test('is forgotten when it is settled meanwhile', async () => {
    const { doubts, custody, records, verdicts, pass } = bench();
    records.delete(1);
    doubts.add(custody);
    custody.message.phase = 'settled';
    await pass(1);
    expect(doubts.waiting).toBe(0);
    expect(verdicts).toEqual([]);
  });

  test.each<[string, Uint8Array | undefined]>([
    ['is missing', undefined],
    ['has another length', Buffer.from('abcd')],
  ])('is damaged when a chunk %s', async (_, data) => {
    const { doubts, custody, records, verdicts, pass } = bench();
    records.delete(9);
    if (data !== undefined) records.set(9, data);
    doubts.add(custody);
    await pass(8);
    expect(verdicts).toEqual(['00mail1 damaged']);
  });

  test('is not damaged while nobody answers for a chunk', async () => {
    const { doubts, custody, records, verdicts, pass } = bench();
    records.set(9, 'silent');
    doubts.add(custody);
    await pass(30);
    expect(verdicts).toEqual([]);
  });

  test.each<[string, Partial<Envelope>]>([
    ['another mail', { queueId: '00mail2' }],
    ['a mail for others', { forwardPaths: ['a@b.example', 'b@b.example'] }],
    ['a mail for nobody', { forwardPaths: [] }],
  ])('is gone when %s stands there', async (_, changes) => {
    const { doubts, custody, verdicts, pass } = bench(changes);
    doubts.add(custody);
    await pass(8);
    expect(verdicts).toEqual(['00mail1 gone']);
  });
});
