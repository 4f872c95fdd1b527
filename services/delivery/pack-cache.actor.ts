// Gives frames of mails out of the records that hold them. A record is fetched once for all its mails (single flight)
// and kept while there is room; it never holds more than its limit beside what is in use.
//
// Fails: `missing` when the record is gone or is not what it should be; `unavailable` when JetStream does not answer within 4 s, said a
// second late, so that what is given back does not return in a tight loop; and at once when it is the stream that did not a moment ago.
import type { DirectGet, Got } from '#libs/nats/direct-get.ts';
import { decodeFrame, type Frame } from '#libs/pack/pack.ts';
import type { SpoolRef } from '#proto/postrider/v1/mail.ts';
import { SilentStreams } from './silent-streams.ts';

export type RecordRead = { kind: 'found'; data: Uint8Array } | { kind: 'missing' } | { kind: 'unavailable' };
export type FrameRead = { kind: 'found'; frame: Frame } | { kind: 'missing' } | { kind: 'unavailable' };

/** Where a record is. */
export interface RecordPlace {
  readonly stream: string;
  readonly sequence: number;
}

const UNAVAILABLE_PAUSE_MS = 1000;
/** Of a stream with several copies another one may be asked the second time; one that is only slow has longer then. */
const TRIES_MS = [1000, 3000];
const MISSING: FrameRead = { kind: 'missing' };
const UNAVAILABLE: { kind: 'unavailable' } = { kind: 'unavailable' };

type Waiter = (read: RecordRead) => void;

export class PackCache {
  readonly #direct: Pick<DirectGet, 'bySequence'>;
  readonly #octetsMax: number;
  /** Those used longest ago stand first. */
  readonly #records = new Map<string, RecordRead & { kind: 'found' }>();
  readonly #flights = new Map<string, Waiter[]>();
  readonly #silent = new SilentStreams(() => performance.now());
  #octets = 0;
  fetches = 0;

  constructor(direct: Pick<DirectGet, 'bySequence'>, octetsMax: number) {
    this.#direct = direct;
    this.#octetsMax = octetsMax;
  }

  /** Octets that are kept. */
  get octets(): number {
    return this.#octets;
  }

  /**
   * Calls back with the frame at `ref` (views of its record): at once when it is here. A mail is unavailable, too, when a stream that has
   * chunks of it is silent: half of it is better not begun.
   */
  frame(ref: SpoolRef, onRead: (read: FrameRead) => void): void {
    if (this.#silent.isSilent(ref.stream) && !this.#isKept(ref)) {
      setImmediate(() => onRead(UNAVAILABLE));
      return;
    }
    this.record(ref, (read) => {
      const got = read.kind === 'found' ? frameIn(read.data, ref) : read;
      const chunks = got.kind === 'found' ? got.frame.envelope.chunks : [];
      const isHere = chunks.every((chunk) => !this.#silent.isSilent(chunk.stream) || this.#isKept(chunk));
      onRead(isHere ? got : UNAVAILABLE);
    });
  }

  #isKept(place: RecordPlace): boolean {
    return this.#records.has(keyOf(place));
  }

  /** Calls back with a whole record: at once when it is here. */
  record(place: RecordPlace, onRead: Waiter): void {
    const key = keyOf(place);
    const kept = this.#records.get(key);
    if (kept !== undefined) {
      this.#records.delete(key);
      this.#records.set(key, kept);
      onRead(kept);
      return;
    }
    const flight = this.#flights.get(key);
    if (flight !== undefined) {
      flight.push(onRead);
      return;
    }
    this.#flights.set(key, [onRead]);
    void this.#fetch(key, place);
  }

  async #fetch(key: string, { stream, sequence }: RecordPlace): Promise<void> {
    this.fetches += 1;
    this.#silent.tried(stream);
    let got: Got = UNAVAILABLE;
    for (const withinMs of TRIES_MS) {
      if (got.kind === 'unavailable') got = await this.#direct.bySequence(stream, sequence, withinMs);
    }
    if (got.kind === 'unavailable') {
      this.#silent.gaveNoAnswer(stream);
      if (!this.#silent.othersAnswer) await new Promise((done) => setTimeout(done, UNAVAILABLE_PAUSE_MS));
    } else this.#silent.answered(stream);
    const waiters = this.#flights.get(key)!;
    this.#flights.delete(key);
    const read = got.kind === 'found' ? { kind: got.kind, data: got.record.data } : got;
    if (read.kind === 'found') this.#keep(key, read);
    for (const waiter of waiters) waiter(read);
  }

  #keep(key: string, read: RecordRead & { kind: 'found' }): void {
    this.#records.set(key, read);
    this.#octets += read.data.length;
    for (const [oldKey, old] of this.#records) {
      if (this.#octets <= this.#octetsMax) break;
      this.#records.delete(oldKey);
      this.#octets -= old.data.length;
    }
  }
}

function keyOf({ stream, sequence }: RecordPlace): string {
  return `${stream} ${sequence}`;
}

function frameIn(data: Uint8Array, ref: SpoolRef): FrameRead {
  try {
    return { kind: 'found', frame: decodeFrame(data, ref.offset, ref.length) };
  } catch {
    return MISSING;
  }
}
