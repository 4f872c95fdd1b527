import { describe, expect, test } from '@jest/globals';
import type { Got } from '#libs/nats/direct-get.ts';
import type { Link } from '#libs/nats/link.ts';
import type { RecordToStore, Stored } from '#libs/nats/records.ts';
import { encodeFrame } from '#libs/pack/pack.ts';
import { type Envelope, MailState } from '#proto/postrider/v1/mail.ts';
import { type Custody, newCustody } from './custody.ts';
import { Gate } from './gate.ts';
import { messageFromPack } from './message.ts';
import { Remember } from './remember.actor.ts';

type Draft = Omit<RecordToStore, 'giveUpAfterMs'>;

const ACK = { worker: 'w', attemptId: 'a' };
const ENVELOPE = { queueId: 'q', reversePath: '', forwardPaths: ['a@b'], acceptedAtMs: 1, chunks: [] };
const MORE = { bodyType: 0, clientAddress: '', clientName: '', protocol: '', hasDotLines: false };
const FRAME = Buffer.concat(
  encodeFrame({
    envelope: { ...ENVELOPE, ...MORE, trace: undefined, prependedLength: 0, dataLength: 0 } as Envelope,
    prepended: Buffer.alloc(0),
    data: [Buffer.from('Subject: x\r\n')],
  }),
);

/** The writer of one partition, with a JetStream that answers what the test wants. */
function bench(replicas = 1) {
  const singles: Draft[] = [];
  const batches: (readonly Draft[])[] = [];
  const answers: Stored[] = [];
  const deleted: string[] = [];
  const overruled: string[] = [];
  const reads: number[] = [];
  const heard: string[] = [];
  const troubles: string[] = [];
  const lost = new Set<number>();
  const clock = { nowMs: 0 };
  let sequence = 100;
  const answer = (count: number): Stored => {
    const next = answers.shift();
    if (next !== undefined) return next;
    sequence += count;
    return { kind: 'stored', sequence, duplicate: false };
  };
  const link = {
    request: async (subject: string, payload: Uint8Array) => {
      const { seq } = JSON.parse(Buffer.from(payload).toString()) as { seq: number };
      deleted.push(`${subject.split('.').at(-1)} ${seq}`);
      return { kind: 'answer', data: Buffer.from('{}') } as const;
    },
  } as unknown as Link;
  const tell = (what: string, custody: Custody, acks: readonly { attemptId: string }[]) =>
    heard.push([what, custody.message.queueId, ...acks.map(({ attemptId }) => attemptId)].join(' '));
  const remember = new Remember({
    partition: 0,
    epoch: 9,
    link,
    layout: { spoolStreams: 1, replicas },
    now: () => clock.nowMs,
    rounds: new Gate({ places: 1, rest: async () => {}, now: () => 0 }),
    writer: {
      store: async (draft) => {
        singles.push(draft);
        return answer(1);
      },
      storeAtomically: async (drafts) => {
        batches.push(drafts);
        return answer(drafts.length);
      },
    },
    direct: {
      bySequence: async (_, at): Promise<Got> => {
        reads.push(at);
        if (lost.has(at)) return { kind: 'missing' };
        return { kind: 'found', record: { sequence: at, subject: '', data: FRAME, header: () => undefined } };
      },
    },
    erasure: {
      add: ({ subject, sequence, isSettled }) => {
        overruled.push(`${subject} ${sequence}${isSettled ? ' settled' : ''}`);
      },
    },
    onStored: (custody, { acks }) => tell('stored', custody, acks),
    onForgotten: (custody, { acks }) => tell('forgotten', custody, acks),
    onFenced: () => heard.push('fenced'),
    onTrouble: (reason) => troubles.push(reason),
  });
  const flush = async (afterMs = 60_000) => {
    clock.nowMs += afterMs;
    await remember.flush();
  };
  return { remember, singles, batches, answers, deleted, overruled, reads, heard, troubles, lost, flush };
}

function custodyOf(queueId: string, sequence = 5): Custody {
  const ref = { stream: 'SPOOL_0', sequence, offset: 0, length: FRAME.length };
  const entry = { queueId, offset: 0, length: 1, acceptedAtMs: 1, domains: [], size: 1, trace: undefined };
  const message = messageFromPack({ ...entry, nullReversePath: false }, ref, ['b.example']);
  return newCustody(message, { sequence, entry: 0 }, 0);
}

function settle(custody: Custody, line: Custody['line']): void {
  custody.message.phase = 'settled';
  custody.message.recipients[0]!.phase = 'done';
  custody.message.recipients[0]!.fate = 'delivered';
  custody.line = line;
}

describe('remembering a mail', () => {
  test('moves its data, then stores its state under the fence, then says so', async () => {
    const { remember, singles, overruled, heard, flush } = bench();
    const custody = custodyOf('m');
    custody.acks = [ACK];
    remember.add(custody);
    await flush();
    expect(singles.map(({ subject }) => subject)).toEqual(['store.0', 'queue.0.m.m']);
    expect(Buffer.from(singles[0]!.payload as Uint8Array)).toEqual(FRAME);
    expect(singles[1]!.fence).toEqual({ subject: 'queue.0.owner', sequence: 9 });
    const ref = { stream: 'STORE_0', sequence: 101, offset: 0, length: FRAME.length };
    expect(MailState.decode(singles[1]!.payload as Uint8Array).ref).toEqual(ref);
    expect(custody.message.ref).toEqual(ref);
    expect(custody).toMatchObject({ isStored: true, isDirty: false, acks: [] });
    expect(heard).toEqual(['stored m a']);
    expect(overruled).toEqual([]);
    remember.add(custody);
    await flush();
    expect(singles).toHaveLength(3);
    expect(overruled).toEqual(['queue.0.m.m 103']);
  });

  test('reads a pack once for the mails that it has, and stores many in one batch', async () => {
    const { remember, batches, reads, flush } = bench();
    const custodies = Array.from({ length: 20 }, (_, i) => custodyOf(`m${i}`, i < 10 ? 5 : 6));
    for (const custody of custodies) remember.add(custody);
    await flush();
    expect(reads).toEqual([5, 6]);
    expect(batches.map((drafts) => drafts.length)).toEqual([20, 20]);
    expect(custodies.map(({ message }) => message.ref.sequence)).toEqual(
      Array.from({ length: 20 }, (_, i) => 101 + i),
    );
  });

  test('batches two already when the stream is replicated', async () => {
    const { remember, batches, singles, flush } = bench(3);
    for (const name of ['a', 'b']) remember.add(custodyOf(name));
    await flush();
    expect(batches).toHaveLength(2);
    expect(singles).toHaveLength(0);
  });

  test('begins with those that a worker waits for', async () => {
    const { remember, heard, flush } = bench();
    for (let i = 0; i < 150; i++) remember.add(custodyOf(`patient${i}`));
    const urgent = custodyOf('urgent');
    remember.add(urgent);
    urgent.acks = [ACK];
    remember.add(urgent);
    await flush();
    expect(heard[0]).toBe('stored urgent a');
    expect(heard).toHaveLength(100);
    expect(remember.waiting).toBe(51);
  });
});

describe('forgetting a mail', () => {
  test('waits until its line is stored, then says so in its state and removes its data', async () => {
    const { remember, singles, heard, deleted, overruled, flush } = bench();
    const custody = custodyOf('m');
    custody.isStored = true;
    custody.message.ref = { stream: 'STORE_0', sequence: 7, offset: 0, length: FRAME.length };
    settle(custody, 'given');
    custody.acks = [ACK];
    remember.add(custody);
    await flush();
    expect(singles).toEqual([]);
    custody.line = 'stored';
    await flush();
    expect(singles).toHaveLength(1);
    expect(singles[0]).toMatchObject({ subject: 'queue.0.m.m', fence: { sequence: 9 } });
    expect(singles[0]!.payload).toHaveLength(0);
    expect(heard).toEqual(['forgotten m a']);
    expect(deleted).toEqual(['STORE_0 7']);
    expect(overruled).toEqual(['queue.0.m.m 101 settled']);
  });

  test('follows at once when it was settled while it was being stored', async () => {
    const { remember, heard, flush } = bench();
    const custody = custodyOf('m');
    remember.add(custody);
    const storing = flush();
    settle(custody, 'stored');
    await storing;
    expect(heard).toEqual(['stored m']);
    expect(remember.idle).toBe(false);
    await flush();
    expect(heard).toEqual(['stored m', 'forgotten m']);
    expect(remember.idle).toBe(true);
  });

  test('stores nothing for one that was never stored, but removes a copy that was made of it', async () => {
    const { remember, singles, answers, deleted, flush } = bench();
    const custody = custodyOf('m');
    answers.push({ kind: 'stored', sequence: 77, duplicate: false }, { kind: 'unavailable' });
    remember.add(custody);
    await flush();
    settle(custody, 'stored');
    await flush();
    expect(singles).toHaveLength(2);
    expect(deleted).toEqual(['STORE_0 77']);
    expect(remember.idle).toBe(true);
  });
});

describe('a store that fails', () => {
  test('leaves the mail in its pack, and is tried again after a growing pause', async () => {
    const { remember, singles, answers, heard, troubles, flush } = bench();
    answers.push({ kind: 'full' }, { kind: 'full' });
    const custody = custodyOf('m');
    custody.acks = [ACK];
    remember.add(custody);
    await flush();
    await flush(499);
    expect(singles).toHaveLength(1);
    await flush(1);
    await flush(999);
    expect(singles).toHaveLength(2);
    expect(custody.message.ref.stream).toBe('SPOOL_0');
    await flush(1);
    expect(heard).toEqual(['stored m a']);
    expect(troubles).toEqual(Array(2).fill('STORE: full; 1 mails stay in their packs'));
  });

  test('does not copy a mail again whose copy is stored', async () => {
    const { remember, singles, answers, heard, flush } = bench();
    answers.push({ kind: 'stored', sequence: 77, duplicate: false }, { kind: 'unavailable' });
    const custody = custodyOf('m');
    custody.acks = [ACK];
    custody.reportPacks = [3];
    remember.add(custody);
    await flush();
    expect(custody).toMatchObject({ acks: [ACK], reportPacks: [3], isStored: false });
    await flush();
    expect(singles.map(({ subject }) => subject)).toEqual(['store.0', 'queue.0.m.m', 'queue.0.m.m']);
    expect(custody.message.ref.sequence).toBe(77);
    expect(heard).toEqual(['stored m a']);
  });

  test('for want of one pack does not hold the others', async () => {
    const { remember, lost, heard, troubles, flush } = bench();
    lost.add(6);
    remember.add(custodyOf('gone', 6));
    remember.add(custodyOf('here', 5));
    await flush();
    expect(heard).toEqual(['stored here']);
    expect(troubles).toEqual(['cannot read from its pack: gone: missing']);
    expect(remember.waiting).toBe(1);
  });

  test('because of the fence ends everything, and removes what nobody will refer to', async () => {
    const { remember, answers, heard, deleted, flush } = bench();
    answers.push({ kind: 'stored', sequence: 77, duplicate: false }, { kind: 'conflict' });
    remember.add(custodyOf('m'));
    await flush();
    expect(heard).toEqual(['fenced']);
    expect(deleted).toEqual(['STORE_0 77']);
  });
});
