// Removes the chunks of a large mail once it is settled for good.
//
// Fails: as erasure.actor.ts has it. A chunk that stays is removed by the stream's age limit.
import type { DirectGet } from '#libs/nats/direct-get.ts';
import type { Chunk } from '#proto/postrider/v1/mail.ts';
import type { Custody } from './custody.ts';
import type { Erasure } from './erasure.actor.ts';
import { FrameReader } from './frames.ts';
import type { Message } from './message.ts';

/** Begins to read which chunks a large mail has, while its envelope is still there. */
export function notePieces(custody: Custody, direct: DirectGet): void {
  if (isLarge(custody.message)) custody.chunks = chunksOf(direct, custody.message);
}

/** A frame with its data is longer than prepended fields and data alone. */
function isLarge(message: Message): boolean {
  return message.size > message.ref.length;
}

async function chunksOf(direct: DirectGet, message: Message): Promise<Chunk[]> {
  const read = await new FrameReader(direct).read(message.ref);
  return read.kind === 'found' ? read.frame.envelope.chunks : [];
}

/** Removes them in the background. */
export function dropChunks(erasure: Pick<Erasure, 'remove'>, custody: Custody): void {
  if (custody.chunks === undefined) return;
  void custody.chunks.then((chunks) => {
    for (const { stream, sequence } of chunks) erasure.remove(stream, sequence);
  });
}
