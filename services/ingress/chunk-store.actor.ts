// Stores pieces of large mails in STORE while they arrive, a few at a time for each stream, all sessions together, and removes
// those of mails that came to nothing.
//
// Fails: as RecordWriter; what a full stream refuses goes to another one, and is `full` when none takes any; a chunk that cannot be removed is removed by the stream's age limit.
import { randomBytes } from 'node:crypto';
import { type Layout, storeStream, subjects } from '#libs/nats/layout.ts';
import { type RecordWriter, type Stored, troubleText } from '#libs/nats/records.ts';
import type { Chunk } from '#proto/postrider/v1/mail.ts';
import type { WatchedStreams } from './stream-watch.actor.ts';

export interface ChunkStoreOptions {
  writer: Pick<RecordWriter, 'store'>;
  layout: Pick<Layout, 'partitions' | 'spoolStreams'>;
  /** Those of STORE. */
  streams: Pick<WatchedStreams, 'flying' | 'next' | 'isOpen' | 'isBusy' | 'sent' | 'landed'>;
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

/** Hears what became of a chunk. */
type Done = (stored: Chunk | Exclude<Stored['kind'], 'stored'>) => void;

/** Chunks that wait to be removed; more are left to the age limit. */
const UNWANTED_MAX = 10_000;

export class ChunkStore {
  readonly #options: ChunkStoreOptions;
  readonly #process = randomBytes(9).toString('base64url');
  /** And the stream that each waits for. */
  readonly #waiters = new Map<ChunkWaiter, number>();
  #unwanted: Chunk[] = [];
  #isRemoving = false;
  #chunks = 0;

  constructor(options: ChunkStoreOptions) {
    this.#options = options;
  }

  /** The partition for the next chunk of a mail: `before` (-1: none yet) as long as its stream takes any. */
  partitionFor(before: number): number {
    const { streams, layout } = this.#options;
    if (before >= 0 && streams.isOpen(before % layout.spoolStreams)) return before;
    return this.#partitionOf(this.#anyOpen() ?? 0);
  }

  get inFlight(): number {
    return this.#options.streams.flying;
  }

  hasRoom(partition: number): boolean {
    const { streams, layout } = this.#options;
    return !streams.isBusy(partition % layout.spoolStreams);
  }

  /** `waiter` hears once when the stream of `partition` has room, in its turn. */
  waitForRoom(partition: number, waiter: ChunkWaiter): void {
    this.#waiters.set(waiter, partition % this.#options.layout.spoolStreams);
  }

  stopWaiting(waiter: ChunkWaiter): void {
    this.#waiters.delete(waiter);
  }

  /** Stores one chunk; `onDone` hears in a later turn. The pieces may be forgotten at once. */
  store(partition: number, pieces: readonly Buffer[], onDone: Done): void {
    this.#send(partition, Buffer.concat(pieces), onDone);
  }

  #send(partition: number, payload: Buffer, onDone: Done): void {
    const { writer, layout, streams, commitWaitMaxMs, onTrouble } = this.#options;
    const stream = partition % layout.spoolStreams;
    if (!streams.isOpen(stream)) {
      setImmediate(() => onDone('full'));
      return;
    }
    const { length } = payload;
    streams.sent(stream, length);
    const record = {
      subject: subjects.store(partition),
      payload,
      id: `${this.#process}-${(++this.#chunks).toString(36)}`,
      giveUpAfterMs: commitWaitMaxMs,
    };
    const landed = (stored: Stored) => {
      streams.landed(stream, stored.kind);
      if (stored.kind === 'stored') {
        onDone({ stream: storeStream(partition, layout), sequence: stored.sequence, length });
      } else {
        onTrouble(`STORE_${stream}: a chunk of ${length} octets is not stored: ${troubleText(stored)}`);
        const another = stored.kind === 'full' ? this.#anyOpen() : undefined;
        if (another === undefined) onDone(stored.kind);
        else this.#send(this.#partitionOf(another), payload, onDone);
      }
      this.#callWaiters();
    };
    writer.store(record).then(landed, (error) => {
      onTrouble(`STORE: ${String(error)}`);
      landed({ kind: 'unavailable' });
    });
  }

  /** Any partition of the stream. */
  #partitionOf(stream: number): number {
    const { layout, random } = this.#options;
    const count = Math.ceil((layout.partitions - stream) / layout.spoolStreams);
    return Math.floor(random() * count) * layout.spoolStreams + stream;
  }

  /** The next stream that takes chunks, even if one has to wait for it; undefined when none does. */
  #anyOpen(): number | undefined {
    const { streams, layout } = this.#options;
    const next = streams.next();
    if (typeof next === 'number') return next;
    for (let k = 0; k < layout.spoolStreams; k++) {
      if (streams.isOpen(k)) return k;
    }
    return undefined;
  }

  /** Removes chunks that no envelope will name. Best effort, in the background. */
  forget(chunks: readonly Chunk[]): void {
    const room = UNWANTED_MAX - this.#unwanted.length;
    this.#unwanted.push(...chunks.slice(0, room));
    if (!this.#isRemoving) void this.#remove();
  }

  #callWaiters(): void {
    const { streams } = this.#options;
    for (const [waiter, stream] of this.#waiters) {
      if (streams.isBusy(stream)) continue;
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
