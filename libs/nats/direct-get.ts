// Reads single records: those that stay as they are from any replica, and from the leader when that one does not have it (yet);
// the last one of a subject from the leader alone, since a replica may lag behind.
//
// Fails: `missing` when the leader does not have it, or no stream can; `unavailable` when JetStream does not answer in time.
import { callApi } from './api.ts';
import { isToken } from './layout.ts';
import type { Link, RecordAnswer } from './link.ts';

export interface StoredRecord {
  readonly sequence: number;
  readonly subject: string;
  readonly data: Uint8Array;
  /** When it was stored, milliseconds since 1970 by the clock of the server; known of records that are read in order. */
  readonly storedAtMs?: number;
  header(name: string): string | undefined;
}

export type Got = { kind: 'found'; record: StoredRecord } | { kind: 'missing' } | { kind: 'unavailable' };

const TRY_MS = 3000;
const TRIES = 3;
const AGAIN_MS = 200;
const BY_SEQUENCE_MS = TRIES * (TRY_MS + AGAIN_MS);
const NOT_FOUND = 404;
const NO_MESSAGE_FOUND = 10037;

const MISSING: Got = { kind: 'missing' };
const UNAVAILABLE: Got = { kind: 'unavailable' };

interface RawMessage {
  message: { seq: number; subject: string; data?: string; hdrs?: string };
}

export class DirectGet {
  readonly #link: Link;

  constructor(link: Link) {
    this.#link = link;
  }

  /** The record with this sequence; `unavailable` when it is not read within so many milliseconds. */
  async bySequence(stream: string, sequence: number, withinMs = BY_SEQUENCE_MS): Promise<Got> {
    if (!isToken(stream) || sequence < 1) return MISSING;
    const [subject, payload] = [`$JS.API.DIRECT.GET.${stream}`, Buffer.from(`{"seq":${sequence}}`)];
    const untilMs = performance.now() + withinMs;
    const timeoutMs = () => Math.min(TRY_MS, Math.max(1, untilMs - performance.now()));
    for (let tries = 1; ; tries++) {
      const got = gotOf(await this.#link.askRecord({ subject, payload, timeoutMs: timeoutMs() }));
      if (got.kind === 'found') return got;
      const isMissing = got.kind === 'missing';
      const ask = { seq: sequence };
      const atLeader = isMissing ? await fromLeader(this.#link, stream, ask, timeoutMs()) : got;
      const isOver = tries === TRIES || performance.now() + AGAIN_MS >= untilMs;
      if (atLeader.kind !== 'unavailable' || isOver) return atLeader;
      await pause();
    }
  }

  /** The last record of a subject, which may have wildcards. */
  async lastOf(stream: string, subject: string): Promise<Got> {
    for (let tries = 1; ; tries++) {
      const last = await lastRecord(this.#link, stream, subject);
      if (last.kind !== 'unavailable' || tries === TRIES) return last;
      await pause();
    }
  }
}

/** The last record of a subject, which may have wildcards, as the leader has it. Asks once. */
export function lastRecord(link: Pick<Link, 'request'>, stream: string, subject: string): Promise<Got> {
  return fromLeader(link, stream, { last_by_subj: subject }, TRY_MS);
}

/** The first record of a subject that is left, as the leader has it. Asks once. */
export function firstRecord(link: Pick<Link, 'request'>, stream: string, subject: string): Promise<Got> {
  return fromLeader(link, stream, { seq: 1, next_by_subj: subject }, TRY_MS);
}

/** The record with this sequence, as the leader has it. Asks once. */
export function recordAtLeader(link: Pick<Link, 'request'>, stream: string, sequence: number): Promise<Got> {
  return fromLeader(link, stream, { seq: sequence }, TRY_MS);
}

async function fromLeader(
  link: Pick<Link, 'request'>,
  stream: string,
  ask: object,
  timeoutMs: number,
): Promise<Got> {
  const answer = await callApi<RawMessage>(link, `STREAM.MSG.GET.${stream}`, ask, timeoutMs);
  if (answer.kind === 'ok') return { kind: 'found', record: recordOf(answer.value) };
  if (answer.kind === 'error' && answer.error.err_code === NO_MESSAGE_FOUND) return MISSING;
  return UNAVAILABLE;
}

const pause = () => new Promise((done) => setTimeout(done, AGAIN_MS));

function gotOf(answer: RecordAnswer): Got {
  if (answer.kind !== 'answer') return UNAVAILABLE;
  const { record } = answer;
  if (record.status === NOT_FOUND) return MISSING;
  const sequence = record.header('Nats-Sequence');
  if (record.status !== 0 || sequence === undefined) return UNAVAILABLE;
  return {
    kind: 'found',
    record: {
      sequence: Number(sequence),
      subject: record.header('Nats-Subject') ?? '',
      data: record.data,
      header: (name) => record.header(name),
    },
  };
}

function recordOf({ message }: RawMessage): StoredRecord {
  const lines = Buffer.from(message.hdrs ?? '', 'base64')
    .toString('latin1')
    .split('\r\n');
  return {
    sequence: message.seq,
    subject: message.subject,
    data: Buffer.from(message.data ?? '', 'base64'),
    header: (name) => {
      const line = lines.find((one) => one.startsWith(`${name}:`));
      return line?.slice(name.length + 1).trim();
    },
  };
}
