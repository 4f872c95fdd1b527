// Removes the chunks of a large mail once it is settled for good. Its envelope names them, so that stays until it has been read.
//
// Fails: an envelope that cannot be read now is read again, after growing pauses; given up after an hour, with a word. Else as
// erasure.actor.ts has it. A chunk that stays is removed by the stream's age limit.
import type { DirectGet } from '#libs/nats/direct-get.ts';
import type { Chunk, SpoolRef } from '#proto/postrider/v1/mail.ts';
import type { Custody } from './custody.ts';
import type { Erasure } from './erasure.actor.ts';
import { FrameReader } from './frames.ts';
import type { Message } from './message.ts';
import type { PackLedger } from './pack-ledger.ts';

const AGAIN_MS = 500;
const AGAIN_MS_MAX = 30_000;
const TRIES_MAX = 120;

export interface PiecesSource {
  direct: Pick<DirectGet, 'bySequence'>;
  ledger: Pick<PackLedger, 'pin' | 'unpin'>;
  onTrouble: (reason: string) => void;
}

/** Begins to read which chunks a large mail has; its pack stays until that is known. */
export function notePieces(custody: Custody, source: PiecesSource): void {
  const { message, packSequence } = custody;
  if (!isLarge(message)) return;
  source.ledger.pin(packSequence);
  custody.chunks = chunksOf(message, source).finally(() => source.ledger.unpin(packSequence));
}

/** A frame with its data is longer than prepended fields and data alone. */
function isLarge(message: Message): boolean {
  return message.size > message.ref.length;
}

async function chunksOf(message: Message, { direct, onTrouble }: PiecesSource): Promise<Chunk[]> {
  for (let tries = 1, waitMs = AGAIN_MS; tries <= TRIES_MAX; tries++) {
    const read = await new FrameReader(direct).read(message.ref);
    if (read.kind === 'found') return read.frame.envelope.chunks;
    if (read.kind === 'missing') return [];
    const pausedMs = waitMs;
    await new Promise<void>((done) => void setTimeout(done, pausedMs).unref());
    waitMs = Math.min(AGAIN_MS_MAX, waitMs * 2);
  }
  onTrouble(`${message.queueId}: its chunks stay, since its envelope cannot be read`);
  return [];
}

/** Removes them in the background. */
export function dropChunks(erasure: Pick<Erasure, 'remove'>, { chunks }: Custody): void {
  void chunks?.then((all) => {
    for (const { stream, sequence } of all) erasure.remove(stream, sequence);
  });
}

/** Removes the record that has its envelope, when it is known which chunks that names. */
export function dropData(erasure: Pick<Erasure, 'remove'>, { chunks }: Custody, data: SpoolRef): void {
  const drop = (): void => erasure.remove(data.stream, data.sequence);
  if (chunks === undefined) drop();
  else void chunks.then(drop);
}
