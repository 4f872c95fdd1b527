// What remembers the mails of one partition, with a JetStream that answers what the test wants.
import type { Got } from '#libs/nats/direct-get.ts';
import type { Draft, Stored } from '#libs/nats/records.ts';
import { encodeFrame } from '#libs/pack/pack.ts';
import type { Envelope } from '#proto/postrider/v1/mail.ts';
import { type Custody, newCustody } from '../../services/queue/custody.ts';
import type { Overruled } from '../../services/queue/erasure.actor.ts';
import { messageFromPack } from '../../services/queue/message.ts';
import { Remember } from '../../services/queue/remember.actor.ts';
import type { Rounds } from '../../services/queue/rounds.ts';
import { freeRounds } from './free-rounds.ts';

const ENVELOPE = { queueId: 'q', reversePath: '', forwardPaths: ['a@b'], acceptedAtMs: 1, chunks: [] };
const MORE = { bodyType: 0, clientAddress: '', clientName: '', protocol: '', hasDotLines: false };
/** Of every mail. */
export const FRAME = Buffer.concat(
  encodeFrame({
    envelope: { ...ENVELOPE, ...MORE, trace: undefined, prependedLength: 0, dataLength: 0 } as Envelope,
    prepended: Buffer.alloc(0),
    data: [Buffer.from('Subject: x\r\n')],
  }),
);

/** A JetStream whose sequences go on from 100. */
class Streams {
  readonly singles: Draft[] = [];
  readonly batches: (readonly Draft[])[] = [];
  /** Instead of "stored", in order. */
  readonly answers: Stored[] = [];
  /** What happens while a single record is being stored. */
  readonly onStore: (() => void)[] = [];
  readonly reads: number[] = [];
  /** Sequences of packs that are gone. */
  readonly lost = new Set<number>();
  #sequence = 100;

  readonly writer = {
    store: async (draft: Draft) => {
      this.singles.push(draft);
      this.onStore.shift()?.();
      return this.#answer(1);
    },
    storeAtomically: async (drafts: readonly Draft[]) => {
      this.batches.push(drafts);
      return this.#answer(drafts.length);
    },
  };

  readonly direct = {
    bySequence: async (_: string, sequence: number): Promise<Got> => {
      this.reads.push(sequence);
      if (this.lost.has(sequence)) return { kind: 'missing' };
      return { kind: 'found', record: { sequence, subject: '', data: FRAME, header: () => undefined } };
    },
  };

  #answer(count: number): Stored {
    const next = this.answers.shift();
    if (next !== undefined) return next;
    this.#sequence += count;
    return { kind: 'stored', sequence: this.#sequence, duplicate: false };
  }
}

export interface BenchOptions {
  replicas?: number;
  /** Shared with others. */
  rounds?: Rounds;
  partition?: number;
}

export function rememberBench({ replicas = 1, rounds, partition = 0 }: BenchOptions = {}) {
  const { singles, batches, answers, onStore, reads, lost, writer, direct } = new Streams();
  const deleted: string[] = [];
  const overruled: string[] = [];
  const heard: string[] = [];
  const troubles: string[] = [];
  const clock = { nowMs: 0 };
  const tell = (what: string, custody: Custody, acks: readonly { attemptId: string }[]) =>
    heard.push([what, custody.message.queueId, ...acks.map(({ attemptId }) => attemptId)].join(' '));
  const remember = new Remember({
    link: { payloadMax: 1024 ** 2 },
    partition,
    epoch: 9,
    layout: { spoolStreams: 2, replicas },
    now: () => clock.nowMs,
    clock: { toWall: (atMs) => atMs },
    rounds: rounds ?? freeRounds(() => clock.nowMs),
    writer,
    direct,
    erasure: {
      add: (one) => overruled.push(textOf(one)),
      remove: (stream, sequence) => deleted.push(`${stream} ${sequence}`),
    },
    endingOf: () => [],
    onStored: (custody, { acks }) => tell('stored', custody, acks),
    onForgotten: (custody, { acks }) => tell('forgotten', custody, acks),
    onMissing: (custody) => tell('missing', custody, []),
    onFenced: () => heard.push('fenced'),
    onTrouble: (reason) => troubles.push(reason),
  });
  const flush = async (afterMs = 60_000) => {
    clock.nowMs += afterMs;
    await remember.flush();
  };
  const seen = { singles, batches, reads, deleted, overruled, heard, troubles };
  return { remember, ...seen, answers, onStore, lost, flush };
}

function textOf({ subject, sequence, isSettled, older = 0 }: Overruled): string {
  return `${subject} ${sequence}${isSettled ? ' settled' : ''}${older > 0 ? ` after ${older}` : ''}`;
}

/** A mail in the pack with this sequence. */
export function custodyOf(queueId: string, sequence = 5): Custody {
  const ref = { stream: 'SPOOL_0', sequence, offset: 0, length: FRAME.length };
  const entry = { queueId, offset: 0, length: 1, acceptedAtMs: 1, domains: [], size: 1, trace: undefined };
  const message = messageFromPack({ ...entry, nullReversePath: false }, ref, ['b.example']);
  return newCustody(message, { sequence, entry: 0 }, 0);
}

/** All of its recipients have it; its line is as far as that. */
export function settle(custody: Custody, line: Custody['line']): void {
  custody.message.phase = 'settled';
  custody.message.recipients[0]!.phase = 'done';
  custody.message.recipients[0]!.fate = 'delivered';
  custody.line = line;
}
