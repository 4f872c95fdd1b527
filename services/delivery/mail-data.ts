// The octets of a mail as they go out: its prepended fields, then its data, from its frame or chunk by chunk. Holds at
// most one chunk of a large mail.
//
// Fails: `missing` and `unavailable` as the cache says; a chunk of the wrong length is missing.
import type { Frame } from '#libs/pack/pack.ts';
import type { PackCache, RecordRead } from './pack-cache.actor.ts';

export type MailDataRead =
  | { kind: 'pieces'; pieces: readonly Uint8Array[] }
  | { kind: 'end' }
  | { kind: 'missing' }
  | { kind: 'unavailable' };

const END: MailDataRead = { kind: 'end' };

export class MailData {
  readonly #cache: PackCache;
  readonly #frame: Frame;
  #next = -1;

  constructor(cache: PackCache, frame: Frame) {
    this.#cache = cache;
    this.#frame = frame;
  }

  /** True when all of it is in the frame: then the first read has everything. */
  get isWhole(): boolean {
    return this.#frame.envelope.chunks.length === 0;
  }

  /** Calls back with what comes next: at once when it is here. */
  read(onRead: (read: MailDataRead) => void): void {
    const at = this.#next++;
    const { envelope, prepended, data } = this.#frame;
    const chunk = envelope.chunks[at];
    if (at < 0) onRead({ kind: 'pieces', pieces: [prepended, data] });
    else if (chunk === undefined) onRead(END);
    else this.#cache.record(chunk, (read) => onRead(pieceOf(read, chunk.length)));
  }

  /** The same, for a reader that can wait. Throws MailDataError when a piece cannot be had. */
  async *pieces(): AsyncGenerator<readonly Uint8Array[]> {
    for (;;) {
      const read = await new Promise<MailDataRead>((resolve) => this.read(resolve));
      if (read.kind === 'end') return;
      if (read.kind !== 'pieces') throw new MailDataError(read.kind);
      yield read.pieces;
    }
  }
}

function pieceOf(read: RecordRead, length: number): MailDataRead {
  if (read.kind !== 'found') return read;
  return read.data.length === length ? { kind: 'pieces', pieces: [read.data] } : { kind: 'missing' };
}

/** A piece of the mail's data cannot be had. */
export class MailDataError extends Error {
  readonly trouble: 'missing' | 'unavailable';

  constructor(trouble: 'missing' | 'unavailable') {
    super(`mail data is ${trouble}`);
    this.trouble = trouble;
  }
}
