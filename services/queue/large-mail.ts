// Removes the chunks of a large mail once it is settled for good.
//
// Fails: best effort. A chunk that stays is removed by the stream's age limit.
import type { DirectGet } from '#libs/nats/direct-get.ts';
import type { Link } from '#libs/nats/link.ts';
import { deleteRecord } from '#libs/nats/trimming.ts';
import type { Chunk, SpoolRef } from '#proto/postrider/v1/mail.ts';
import type { Custody } from './custody.ts';
import { FrameReader } from './frames.ts';

/** The chunks that the envelope at `ref` lists; none when it cannot be read. */
export async function chunksOf(direct: DirectGet, ref: SpoolRef): Promise<Chunk[]> {
  const read = await new FrameReader(direct).read(ref);
  return read.kind === 'found' ? read.frame.envelope.chunks : [];
}

/** Removes them one after the other, in the background. */
export function dropChunks(link: Link, custody: Custody): void {
  if (custody.chunks === undefined) return;
  void custody.chunks.then(async (chunks) => {
    for (const { stream, sequence } of chunks) await deleteRecord(link, stream, sequence);
  });
}
