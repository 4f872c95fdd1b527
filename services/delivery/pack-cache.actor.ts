// Gives frames of mails out of the records that hold them. A record is fetched once for all its mails (single flight)
// and kept while there is room; it never holds more than its limit beside what is in use.
//
// Fails: `missing` when the record is gone or is not what it should be; `unavailable` when JetStream does not answer,
// said a second late, so that what is given back does not return in a tight loop.
import type { DirectGet } from '#libs/nats/direct-get.ts';
import { decodeFrame, type Frame } from '#libs/pack/pack.ts';
import type { SpoolRef } from '#proto/postrider/v1/mail.ts';

export type RecordRead = { kind: 'found'; data: Uint8Array } | { kind: 'missing' } | { kind: 'unavailable' };
export type FrameRead = { kind: 'found'; frame: Frame } | { kind: 'missing' } | { kind: 'unavailable' };

/** Where a record is. */
export interface RecordPlace {
  readonly stream: string;
  readonly sequence: number;
}

const UNAVAILABLE_PAUSE_MS = 1000;
const MISSING: FrameRead = { kind: 'missing' };

type Waiter = (read: RecordRead) => void;

export class PackCache {
  readonly #direct: Pick<DirectGet, 'bySequence'>;
  readonly #octetsMax: number;
  /** Those used longest ago stand first. */
  readonly #records = new Map<string, RecordRead & { kind: 'found' }>();
  readonly #flights = new Map<string, Waiter[]>();
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

  /** Calls back with the frame at `ref` (views of its record): at once when it is here. */
  frame(ref: SpoolRef, onRead: (read: FrameRead) => void): void {
    this.record(ref, (read) => {
      onRead(read.kind === 'found' ? frameIn(read.data, ref) : read);
    });
  }

  /** Calls back with a whole record: at once when it is here. */
  record(place: RecordPlace, onRead: Waiter): void {
    const key = `${place.stream} ${place.sequence}`;
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

  async #fetch(key: string, place: RecordPlace): Promise<void> {
    this.fetches += 1;
    const got = await this.#direct.bySequence(place.stream, place.sequence);
    if (got.kind === 'unavailable') await new Promise((done) => setTimeout(done, UNAVAILABLE_PAUSE_MS));
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

function frameIn(data: Uint8Array, ref: SpoolRef): FrameRead {
  try {
    return { kind: 'found', frame: decodeFrame(data, ref.offset, ref.length) };
  } catch {
    return MISSING;
  }
}
