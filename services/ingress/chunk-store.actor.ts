// Stores pieces of large mails in STORE while they arrive, a few at a time for all sessions together, and removes those
// of mails that came to nothing.
//
// Fails: as RecordWriter; a chunk that cannot be removed is removed by the stream's age limit.
import { randomBytes } from 'node:crypto';
import { type Layout, storeStream, subjects } from '#libs/nats/layout.ts';
import { type RecordWriter, type Stored, troubleText } from '#libs/nats/records.ts';
import type { Chunk } from '#proto/postrider/v1/mail.ts';

export interface ChunkStoreOptions {
  writer: Pick<RecordWriter, 'store'>;
  layout: Pick<Layout, 'partitions' | 'spoolStreams'>;
  commitWaitMaxMs: number;
  random: () => number;
  /** Removes a record; false when it could not. */
  remove: (stream: string, sequence: number) => Promise<boolean>;
  onTrouble: (reason: string) => void;
}

/** Who waits for room. */
export interface ChunkWaiter {
  chunkRoom(): void;
}

/** Chunks in flight, of all sessions: the link holds copies of them that no budget counts. */
const IN_FLIGHT_MAX = 16;
/** Chunks that wait to be removed; more are left to the age limit. */
const UNWANTED_MAX = 10_000;

export class ChunkStore {
  readonly #options: ChunkStoreOptions;
  readonly #process = randomBytes(9).toString('base64url');
  readonly #waiters = new Set<ChunkWaiter>();
  #unwanted: Chunk[] = [];
  #isRemoving = false;
  #inFlight = 0;
  #chunks = 0;

  constructor(options: ChunkStoreOptions) {
    this.#options = options;
  }

  /** The partition for the chunks of one mail. */
  choosePartition(): number {
    return Math.floor(this.#options.random() * this.#options.layout.partitions);
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  get hasRoom(): boolean {
    return this.#inFlight < IN_FLIGHT_MAX;
  }

  /** `waiter` hears once when there is room, in its turn. */
  waitForRoom(waiter: ChunkWaiter): void {
    this.#waiters.add(waiter);
  }

  stopWaiting(waiter: ChunkWaiter): void {
    this.#waiters.delete(waiter);
  }

  /** Stores one chunk; `onDone` hears in a later turn. The pieces may be forgotten at once. */
  store(
    partition: number,
    pieces: readonly Buffer[],
    onDone: (stored: Chunk | Exclude<Stored['kind'], 'stored'>) => void,
  ): void {
    const { writer, layout, commitWaitMaxMs, onTrouble } = this.#options;
    const payload = Buffer.concat(pieces);
    const { length } = payload;
    this.#inFlight++;
    const record = {
      subject: subjects.store(partition),
      payload,
      id: `${this.#process}-${(++this.#chunks).toString(36)}`,
      giveUpAfterMs: commitWaitMaxMs,
    };
    const landed = (stored: Stored) => {
      this.#inFlight--;
      if (stored.kind === 'stored') {
        onDone({ stream: storeStream(partition, layout), sequence: stored.sequence, length });
      } else {
        onTrouble(`STORE: a chunk of ${length} octets is not stored: ${troubleText(stored)}`);
        onDone(stored.kind);
      }
      this.#callWaiters();
    };
    writer.store(record).then(landed, (error) => {
      onTrouble(`STORE: ${String(error)}`);
      landed({ kind: 'unavailable' });
    });
  }

  /** Removes chunks that no envelope will name. Best effort, in the background. */
  forget(chunks: readonly Chunk[]): void {
    const room = UNWANTED_MAX - this.#unwanted.length;
    this.#unwanted.push(...chunks.slice(0, room));
    if (!this.#isRemoving) void this.#remove();
  }

  #callWaiters(): void {
    for (const waiter of this.#waiters) {
      if (!this.hasRoom) return;
      this.#waiters.delete(waiter);
      waiter.chunkRoom();
    }
  }

  async #remove(): Promise<void> {
    this.#isRemoving = true;
    while (this.#unwanted.length > 0) {
      const batch = this.#unwanted;
      this.#unwanted = [];
      for (const { stream, sequence } of batch)
        await this.#options.remove(stream, sequence).catch(() => false);
    }
    this.#isRemoving = false;
  }
}
