// Stores the records of one round: one by one when they are few, as one atomic batch when they are many.
//
// Fails: each draft has its own outcome; a batch shares one, except for a record that is too big, which costs only itself, and for
// one that was stored before, under its id.
import { DUPLICATE_IN_BATCH } from '#libs/nats/publish-errors.ts';
import type { Draft, RecordWriter, Stored } from '#libs/nats/records.ts';

/** Below this many records single publishes are quicker than an atomic batch (its fixed cost is about 3.5 ms). */
const BATCH_FROM = 12;
/** Of fenced publishes a replicated stream takes only one at a time. */
const BATCH_FROM_REPLICATED = 2;

export interface DraftStores {
  writer: Pick<RecordWriter, 'store' | 'storeAtomically'>;
  replicas: number;
  giveUpAfterMs: number;
}

/** What became of each draft, in order. */
export async function storeDrafts(drafts: readonly Draft[], stores: DraftStores): Promise<Stored[]> {
  const { writer, replicas, giveUpAfterMs } = stores;
  if (drafts.length < (replicas > 1 ? BATCH_FROM_REPLICATED : BATCH_FROM)) return storeSingly(drafts, stores);
  const last = await writer.storeAtomically(drafts, { giveUpAfterMs });
  const isStoredBefore = last.kind === 'refused' && last.code === DUPLICATE_IN_BATCH;
  if (last.kind === 'too-big' || isStoredBefore) return storeSingly(drafts, stores);
  if (last.kind !== 'stored') return drafts.map(() => last);
  return drafts.map((_, i) => ({ ...last, sequence: last.sequence - (drafts.length - 1 - i) }));
}

async function storeSingly(
  drafts: readonly Draft[],
  { writer, replicas, giveUpAfterMs }: DraftStores,
): Promise<Stored[]> {
  const storeOne = (draft: Draft) => writer.store({ ...draft, giveUpAfterMs });
  if (replicas === 1) return Promise.all(drafts.map(storeOne));
  const all: Stored[] = [];
  for (const draft of drafts) all.push(await storeOne(draft));
  return all;
}
