// What a new owner read and is not there any more. It may have read a copy that lags behind, as that of a server does which has just been
// started again: that one still shows what was removed since, and such mail would be delivered once more. A leader that reaches further
// than a record, and does not have it, has seen it removed.
//
// Fails: throws when there is no leader to ask.
import { firstRecord, recordAtLeader } from '#libs/nats/direct-get.ts';
import { subjects } from '#libs/nats/layout.ts';
import type { Link } from '#libs/nats/link.ts';
import type { StoredRecord } from '#libs/nats/reading.ts';
import { reachAtLeader, subjectsAtLeader } from '#libs/nats/stream-subjects.ts';
import type { Loaded, LoadedPack } from './takeover.ts';

type Asked = Pick<Link, 'request'>;

/**
 * Lines outlive their packs by 150 s (T1), so a pack that was removed and has no line any more is older than that, whatever copy it
 * was read from. Clocks of servers may differ by two minutes. Nearly all mail has left its pack by then.
 */
const YOUNG_MS = 30_000;
/** Packs that are asked for one by one, each with its data: the oldest. */
const ASKED_MAX = 1000;
const AT_A_TIME = 8;

/** Leaves out states that were removed. */
export async function forgetRemovedStates(
  link: Asked,
  partition: number,
  newest: Map<string, StoredRecord>,
): Promise<void> {
  if (newest.size === 0) return;
  const known = await subjectsAtLeader(link, 'QUEUE', subjects.mail(partition, '*'));
  if (known === undefined) throw new Error('the leader of QUEUE does not say which states there are');
  for (const [subject, { sequence }] of newest) {
    if (sequence <= known.lastSequence && !known.subjects.has(subject)) newest.delete(subject);
  }
}

/** Leaves out packs that were removed: those below all that are left, and those that no line speaks of though they are old. */
export async function forgetRemovedPacks(
  link: Asked,
  { stream, subject }: { stream: string; subject: string },
  loaded: Pick<Loaded, 'packs' | 'settled'>,
): Promise<void> {
  if (loaded.packs.length === 0) return;
  const reach = await reachAtLeader(link, stream);
  const first = await firstRecord(link, stream, subject);
  if (reach === undefined || first.kind === 'unavailable') throw noWord(stream);
  const { lastSequence, nowMs } = reach;
  const lowest = first.kind === 'found' ? first.record.sequence : Number.POSITIVE_INFINITY;
  loaded.packs = loaded.packs.filter(({ sequence }) => sequence >= lowest || sequence > lastSequence);
  const isDoubtful = ({ sequence, storedAtMs = 0 }: LoadedPack): boolean =>
    sequence <= lastSequence && storedAtMs < nowMs - YOUNG_MS && loaded.settled.get(sequence) !== 'all';
  const removed = await removedOf(link, stream, loaded.packs.filter(isDoubtful).slice(0, ASKED_MAX));
  loaded.packs = loaded.packs.filter(({ sequence }) => !removed.has(sequence));
}

async function removedOf(link: Asked, stream: string, packs: readonly LoadedPack[]): Promise<Set<number>> {
  const removed = new Set<number>();
  const queue = packs.values();
  const askSome = async (): Promise<void> => {
    // All of them draw from one iterator.
    for (const { sequence } of queue) {
      const got = await recordAtLeader(link, stream, sequence);
      if (got.kind === 'unavailable') throw noWord(stream);
      if (got.kind === 'missing') removed.add(sequence);
    }
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, askSome));
  return removed;
}

const noWord = (stream: string) => new Error(`the leader of ${stream} does not say which packs there are`);
