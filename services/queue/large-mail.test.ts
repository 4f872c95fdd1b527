import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import type { Got } from '#libs/nats/direct-get.ts';
import { encodeFrame } from '#libs/pack/pack.ts';
import type { Envelope } from '#proto/postrider/v1/mail.ts';
import { type Custody, newCustody } from './custody.ts';
import { dropChunks, dropData, notePieces } from './large-mail.ts';
import { messageFromPack } from './message.ts';

const UNAVAILABLE: Got = { kind: 'unavailable' };
const MORE = { bodyType: 0, clientAddress: '', clientName: '', protocol: '', hasDotLines: false };
const ENVELOPE = { queueId: 'q', reversePath: '', forwardPaths: ['a@b'], acceptedAtMs: 1, ...MORE };
const CHUNKS = [7, 9].map((sequence) => ({ stream: 'STORE_0', sequence, length: 1 }));
const envelope = { ...ENVELOPE, chunks: CHUNKS } as unknown as Envelope;
const FRAME = Buffer.concat(encodeFrame({ envelope, prepended: Buffer.alloc(0), data: [] }));
const FOUND: Got = {
  kind: 'found',
  record: { sequence: 3, subject: '', data: FRAME, header: () => undefined },
};

let answers: Got[];
let acts: string[];

const source = {
  direct: { bySequence: async () => answers.shift() ?? UNAVAILABLE },
  ledger: {
    pin: (pack: number) => void acts.push(`pin ${pack}`),
    unpin: (pack: number) => void acts.push(`unpin ${pack}`),
  },
  onTrouble: (reason: string) => void acts.push(reason),
};
const erasure = {
  remove: (stream: string, sequence: number) => void acts.push(`remove ${stream} ${sequence}`),
};

/** A mail of that size in pack 3. */
function mailOf(size: number): Custody {
  const place = { offset: 0, length: FRAME.length };
  const entry = { queueId: 'q', ...place, acceptedAtMs: 0, domains: [], size, nullReversePath: false };
  const ref = { stream: 'SPOOL_0', sequence: 3, ...place };
  const message = messageFromPack({ ...entry, trace: undefined }, ref, ['a.example']);
  return newCustody(message, { sequence: 3, entry: 0 }, 0);
}

beforeEach(() => {
  jest.useFakeTimers();
  answers = [];
  acts = [];
});

afterEach(() => {
  jest.useRealTimers();
});

describe('The chunks of a large mail that is settled', () => {
  test('are removed when its envelope has been read, and its data and its pack stay until then', async () => {
    const large = mailOf(1_000_000);
    answers = [UNAVAILABLE, UNAVAILABLE, FOUND];
    notePieces(large, source);
    dropChunks(erasure, large);
    dropData(erasure, large, { stream: 'STORE_0', sequence: 5, offset: 0, length: 1 });
    await jest.advanceTimersByTimeAsync(1000);
    expect(acts).toEqual(['pin 3']);
    await jest.advanceTimersByTimeAsync(1000);
    const removed = ['remove STORE_0 7', 'remove STORE_0 9', 'remove STORE_0 5'];
    expect(acts).toEqual(['pin 3', 'unpin 3', ...removed]);
  });

  test('are unknown when the envelope is gone', async () => {
    const large = mailOf(1_000_000);
    answers = [{ kind: 'missing' }];
    notePieces(large, source);
    dropChunks(erasure, large);
    await jest.advanceTimersByTimeAsync(0);
    expect(acts).toEqual(['pin 3', 'unpin 3']);
  });

  test('stay, with a word, when it cannot be read for an hour', async () => {
    notePieces(mailOf(1_000_000), source);
    await jest.advanceTimersByTimeAsync(3_600_000);
    const words = 'q: its chunks stay, since its envelope cannot be read';
    expect(acts).toEqual(['pin 3', words, 'unpin 3']);
  });

  test('are none of a mail whose data is with its envelope', () => {
    const small = mailOf(10);
    notePieces(small, source);
    dropChunks(erasure, small);
    dropData(erasure, small, { stream: 'STORE_0', sequence: 5, offset: 0, length: 1 });
    expect(acts).toEqual(['remove STORE_0 5']);
  });
});
