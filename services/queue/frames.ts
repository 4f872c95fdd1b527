// Reads the frame of a mail out of the record that holds it.
//
// Fails: `missing` when the record is gone or is not what it should be, `unavailable` when JetStream does not answer.
import type { DirectGet } from '#libs/nats/direct-get.ts';
import { decodeFrame, type Frame } from '#libs/pack/pack.ts';
import type { SpoolRef } from '#proto/postrider/v1/mail.ts';

export type FrameRead =
  | { kind: 'found'; bytes: Uint8Array; frame: Frame }
  | { kind: 'missing' }
  | { kind: 'unavailable' };

/** Reads frames; mails that follow each other in one pack cost one read. */
export class FrameReader {
  readonly #direct: Pick<DirectGet, 'bySequence'>;
  #lastKey = '';
  #last: Uint8Array = new Uint8Array(0);

  constructor(direct: Pick<DirectGet, 'bySequence'>) {
    this.#direct = direct;
  }

  /** The frame at `ref`, as views of its record. */
  async read(ref: SpoolRef): Promise<FrameRead> {
    const key = `${ref.stream} ${ref.sequence}`;
    let record = this.#last;
    if (key !== this.#lastKey) {
      const got = await this.#direct.bySequence(ref.stream, ref.sequence);
      if (got.kind !== 'found') return got;
      record = got.record.data;
      this.#lastKey = key;
      this.#last = record;
    }
    try {
      const frame = decodeFrame(record, ref.offset, ref.length);
      return { kind: 'found', bytes: record.subarray(ref.offset, ref.offset + ref.length), frame };
    } catch {
      return { kind: 'missing' };
    }
  }
}
