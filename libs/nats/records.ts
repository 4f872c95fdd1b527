// Stores records in JetStream and knows when they are durable. Retries with the same id until it is sure or out of time.
//
// Fails: `full` (no room: nothing was stored), `too-big` (the server or the stream takes no record of this size: nothing was
// stored), `conflict` (the fence has moved: nothing was stored), `unavailable` (out of time: it may have been stored), `refused`
// (JetStream says no for a reason that does not pass by itself, with its number and words; told at once: a sealed stream, a number
// that nobody knows, an answer that cannot be read).
import { randomBytes } from 'node:crypto';
import type { Link, RecordAnswer } from './link.ts';
import { headerOctets } from './payload.ts';
import { meaningOf, type PublishError } from './publish-errors.ts';

export interface RecordToStore {
  subject: string;
  /** Pieces are joined. */
  payload: Uint8Array | readonly Uint8Array[];
  /** Nats-Msg-Id, which makes a repeated record harmless; '' for none. Never anything that a sender controls. */
  id: string;
  headers?: Readonly<Record<string, string>>;
  /** Stored only while the last record of `subject` has this sequence; 0: while there is none. */
  fence?: { subject: string; sequence: number };
  giveUpAfterMs: number;
}

export type Draft = Omit<RecordToStore, 'giveUpAfterMs'>;

export type Stored =
  /** `again`: it was sent more than once. Without an id it may be stored more than once, also when the last try says conflict. */
  | { kind: 'stored'; sequence: number; duplicate: boolean; again?: true }
  | { kind: 'full' }
  | { kind: 'conflict'; again?: true }
  | { kind: 'too-big' }
  | { kind: 'unavailable' }
  | { kind: 'refused'; code: number; words: string };

/** Why a record is not stored, in words for a log. */
export function troubleText(stored: Exclude<Stored, { kind: 'stored' }>): string {
  return stored.kind === 'refused' ? `refused: ${stored.words} (${stored.code})` : stored.kind;
}

/** One wait for an acknowledgement; a lost one must not cost much more. */
const TRY_MS = 3000;
const AGAIN_MS = 50;
/** Id, position and commit of a batch as headers: at most. */
const BATCH_HEADERS_OCTETS = 128;
const AGAIN_MAX_MS = 1000;

/** What who waits for it is told: that there is no room, that it never fits, or that nobody knows when. */
export function commitTrouble(kind: Exclude<Stored['kind'], 'stored'>): 'full' | 'too-big' | 'unavailable' {
  return kind === 'full' || kind === 'too-big' ? kind : 'unavailable';
}

interface PubAck {
  seq?: number;
  duplicate?: boolean;
  error?: PublishError;
}

const CONFLICT: Stored = { kind: 'conflict' };
const FULL: Stored = { kind: 'full' };
const TOO_BIG: Stored = { kind: 'too-big' };
const UNAVAILABLE: Stored = { kind: 'unavailable' };

const WORDS_MAX = 200;

/** The acknowledgement; undefined when it is none. */
function pubAckOf(data: Uint8Array): PubAck | undefined {
  try {
    const ack: unknown = JSON.parse(
      Buffer.from(data.buffer, data.byteOffset, data.length).toString('latin1'),
    );
    return typeof ack === 'object' && ack !== null ? (ack as PubAck) : undefined;
  } catch {
    return undefined;
  }
}

/** What an acknowledgement means; undefined when the record should be sent again. */
function outcomeOf(answer: RecordAnswer): Stored | undefined {
  if (answer.kind === 'too-big') return TOO_BIG;
  if (answer.kind !== 'answer') return undefined;
  const ack = pubAckOf(answer.record.data);
  if (ack?.error !== undefined) return failureOf(ack.error);
  if (ack?.seq === undefined) return { kind: 'refused', code: 0, words: 'the answer is no acknowledgement' };
  return { kind: 'stored', sequence: ack.seq, duplicate: ack.duplicate ?? false };
}

function failureOf(error: PublishError): Stored | undefined {
  switch (meaningOf(error)) {
    case 'again':
      return undefined;
    case 'full':
      return FULL;
    case 'too-big':
      return TOO_BIG;
    case 'conflict':
      return CONFLICT;
    case 'refused':
      return {
        kind: 'refused',
        code: error.err_code ?? error.code,
        words: (error.description ?? '').slice(0, WORDS_MAX),
      };
  }
}

function headersOf(draft: Draft): Record<string, string> | undefined {
  const { id, fence, headers } = draft;
  if (id === '' && fence === undefined && headers === undefined) return undefined;
  const all: Record<string, string> = { ...headers };
  if (id !== '') all['Nats-Msg-Id'] = id;
  if (fence !== undefined) {
    all['Nats-Expected-Last-Subject-Sequence'] = String(fence.sequence);
    all['Nats-Expected-Last-Subject-Sequence-Subject'] = fence.subject;
  }
  return all;
}

function joined(payload: RecordToStore['payload']): Uint8Array {
  return payload instanceof Uint8Array ? payload : Buffer.concat(payload);
}

export class RecordWriter {
  readonly #link: Link;

  constructor(link: Link) {
    this.#link = link;
  }

  /** Resolves when the record is durable, or cannot become so. */
  store(record: RecordToStore): Promise<Stored> {
    const headers = headersOf(record);
    const payload = joined(record.payload);
    const { subject } = record;
    return this.#untilSure(record.giveUpAfterMs, (timeoutMs) =>
      this.#link.askRecord({ subject, payload, timeoutMs, ...(headers !== undefined && { headers }) }),
    );
  }

  /** Stores all of them or none, in order, in one stream; at most 1000. The sequence is that of the last. */
  storeAtomically(drafts: readonly Draft[], options: { giveUpAfterMs: number }): Promise<Stored> {
    const ready = drafts.map((draft) => ({
      subject: draft.subject,
      payload: joined(draft.payload),
      headers: headersOf(draft) ?? {},
    }));
    const { payloadMax } = this.#link;
    // Before any is sent: what is staged of a batch that cannot be whole would only wait there.
    const isTooBig = ready.some(
      ({ payload, headers }) => payload.length + headerOctets(headers) + BATCH_HEADERS_OCTETS > payloadMax,
    );
    if (isTooBig) return Promise.resolve(TOO_BIG);
    return this.#untilSure(options.giveUpAfterMs, (timeoutMs) => {
      const batchId = randomBytes(12).toString('hex');
      ready.forEach(({ subject, payload, headers }, i) => {
        if (i === ready.length - 1) return;
        const position = { 'Nats-Batch-Id': batchId, 'Nats-Batch-Sequence': String(i + 1) };
        this.#link.publishRecord(subject, payload, { ...headers, ...position });
      });
      const last = ready.at(-1)!;
      const commit = {
        'Nats-Batch-Id': batchId,
        'Nats-Batch-Sequence': String(ready.length),
        'Nats-Batch-Commit': '1',
      };
      return this.#link.askRecord({ ...last, headers: { ...last.headers, ...commit }, timeoutMs });
    });
  }

  async #untilSure(
    giveUpAfterMs: number,
    send: (timeoutMs: number) => Promise<RecordAnswer>,
  ): Promise<Stored> {
    const untilMs = performance.now() + giveUpAfterMs;
    for (let waitMs = AGAIN_MS, isFirst = true; ; waitMs = Math.min(AGAIN_MAX_MS, waitMs * 2)) {
      const leftMs = untilMs - performance.now();
      if (leftMs <= 0) return UNAVAILABLE;
      const outcome = outcomeOf(await send(Math.min(TRY_MS, leftMs)));
      if (!isFirst && (outcome?.kind === 'stored' || outcome?.kind === 'conflict')) {
        return { ...outcome, again: true };
      }
      if (outcome !== undefined) return outcome;
      isFirst = false;
      await new Promise((done) =>
        setTimeout(done, Math.min(waitMs, Math.max(1, untilMs - performance.now()))),
      );
    }
  }
}
