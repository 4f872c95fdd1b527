// Reads the frames of mails out of the records that hold them.
//
// Fails: `missing` when the record is gone or is not what it should be, `unavailable` when JetStream does not answer.
import type { DirectGet, Got } from '#libs/nats/direct-get.ts';
import { decodeFrame, type Frame } from '#libs/pack/pack.ts';
import type { SpoolRef } from '#proto/postrider/v1/mail.ts';

/** Records that are read at a time. */
const READS_MAX = 16;

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
    const key = keyOf(ref);
    let record = this.#last;
    if (key !== this.#lastKey) {
      const got = await this.#direct.bySequence(ref.stream, ref.sequence);
      if (got.kind !== 'found') return got;
      record = got.record.data;
      this.#lastKey = key;
      this.#last = record;
    }
    return frameIn(record, ref);
  }
}

function frameIn(record: Uint8Array, { offset, length }: SpoolRef): FrameRead {
  try {
    const frame = decodeFrame(record, offset, length);
    return { kind: 'found', bytes: record.subarray(offset, offset + length), frame };
  } catch {
    return { kind: 'missing' };
  }
}

/**
 * The frames at `refs`, in order; each record is read once, and a few at a time. Whatever is not read within so many
 * milliseconds for all of them together is `unavailable`.
 */
export async function readFrames(
  direct: Pick<DirectGet, 'bySequence'>,
  refs: readonly SpoolRef[],
  withinMs: number,
): Promise<FrameRead[]> {
  const untilMs = performance.now() + withinMs;
  const wanted = new Map<string, SpoolRef>();
  for (const ref of refs) wanted.set(keyOf(ref), ref);
  const records = new Map<string, Got>();
  const queue = wanted.entries();
  const readSome = async () => {
    // All of them draw from one iterator.
    for (const [key, { stream, sequence }] of queue) {
      const leftMs = untilMs - performance.now();
      if (leftMs <= 0) return;
      records.set(key, await direct.bySequence(stream, sequence, leftMs));
    }
  };
  await Promise.all(Array.from({ length: Math.min(READS_MAX, wanted.size) }, readSome));
  return refs.map((ref) => {
    const got = records.get(keyOf(ref));
    if (got === undefined) return { kind: 'unavailable' };
    return got.kind === 'found' ? frameIn(got.record.data, ref) : got;
  });
}

const keyOf = ({ stream, sequence }: SpoolRef) => `${stream} ${sequence}`;
