// What a new owner does before it may act for a partition: claim it, ask the workers, load what is stored.
//
// The order matters. The claim fences the old owner's decisions. The workers are asked before the settle log is read:
// an outcome that the old owner acknowledged before a worker answered has its line in the log already; one that it
// acknowledged later is in the worker's answer.
//
// Fails: `lost` when another instance claimed first; `unavailable` when JetStream does not answer; throws when it refuses for a
// reason that does not pass by itself.
import type { DirectGet } from '#libs/nats/direct-get.ts';
import { type Layout, spoolStream, subjects } from '#libs/nats/layout.ts';
import type { Link } from '#libs/nats/link.ts';
import { readAll, type StoredRecord } from '#libs/nats/reading.ts';
import { type RecordWriter, troubleText } from '#libs/nats/records.ts';
import { decodeIndex } from '#libs/pack/pack.ts';
import { type MailState, type PackIndex, PartitionOwner, SettleBatch } from '#proto/postrider/v1/mail.ts';
import type { Overruled } from './erasure.actor.ts';
import type { Unreadable } from './quarantine.actor.ts';
import { forgetRemovedPacks, forgetRemovedStates } from './removed-records.ts';
import { decodeState } from './state-record.ts';

const CLAIM_WAIT_MS = 5000;

export type Claim = { kind: 'claimed'; epoch: number } | { kind: 'lost' } | { kind: 'unavailable' };

export interface Stores {
  link: Link;
  layout: Layout;
  writer: RecordWriter;
  direct: DirectGet;
}

/** Claims the partition by compare-and-set on its owner record; the record's sequence is the epoch. */
export async function claim(stores: Stores, partition: number, nowMs: number): Promise<Claim> {
  const { direct, writer, link } = stores;
  const subject = subjects.owner(partition);
  const last = await direct.lastOf('QUEUE', subject);
  if (last.kind === 'unavailable') return last;
  const sequence = last.kind === 'found' ? last.record.sequence : 0;
  const payload = PartitionOwner.encode({ instance: link.instance, claimedAtMs: nowMs }).finish();
  const stored = await writer.store({
    subject,
    payload,
    id: `claim-${partition}-${link.instance}-${nowMs}`,
    fence: { subject, sequence },
    giveUpAfterMs: CLAIM_WAIT_MS,
  });
  if (stored.kind === 'stored') return { kind: 'claimed', epoch: stored.sequence };
  if (stored.kind === 'refused') throw new Error(`QUEUE: ${troubleText(stored)}`);
  if (stored.kind !== 'conflict') return { kind: 'unavailable' };
  // A first try whose acknowledgement was lost makes the second one conflict: then the record is ours all the same.
  const now = await direct.lastOf('QUEUE', subject);
  const isOurs = now.kind === 'found' && Buffer.compare(now.record.data, payload) === 0;
  return isOurs ? { kind: 'claimed', epoch: now.record.sequence } : { kind: 'lost' };
}

/** Whether the partition still has the owner of this epoch; `unknown` when JetStream does not answer. */
export async function isStillOwner(
  direct: DirectGet,
  partition: number,
  epoch: number,
): Promise<'yes' | 'no' | 'unknown'> {
  const last = await direct.lastOf('QUEUE', subjects.owner(partition));
  // Less than what we know is the word of a leader that does not know everything yet.
  if (last.kind !== 'found' || last.record.sequence < epoch) return 'unknown';
  return last.record.sequence === epoch ? 'yes' : 'no';
}

export interface LoadedPack {
  sequence: number;
  /** By the clock of JetStream. */
  storedAtMs: number | undefined;
  /** Absent when it cannot be read. */
  index: PackIndex | undefined;
}

export interface Loaded {
  states: MailState[];
  /** Records of QUEUE that say less than newer ones. */
  overruled: Overruled[];
  /** Settled entries by pack sequence. */
  settled: Map<number, 'all' | Set<number>>;
  settleRecords: { sequence: number; newestPack: number }[];
  packs: LoadedPack[];
  /** Where the partition's packs go on. */
  nextSequence: number;
  unreadable: Unreadable[];
}

/** Reads everything that is stored of the partition. Throws when JetStream does not let it finish. */
export async function load(stores: Stores, partition: number): Promise<Loaded> {
  const { link, layout } = stores;
  const loaded: Loaded = {
    states: [],
    overruled: [],
    settled: new Map(),
    settleRecords: [],
    packs: [],
    nextSequence: 1,
    unreadable: [],
  };
  const read = (what: Omit<Unreadable, 'why'>, act: () => void) => {
    try {
      act();
    } catch (error) {
      loaded.unreadable.push({ ...what, why: (error as Error).message });
    }
  };
  const newest = new Map<string, StoredRecord>();
  await readAll(link, { stream: 'QUEUE', subject: subjects.mail(partition, '*') }, (record) => {
    const { subject, sequence } = record;
    const isSettled = record.data.length === 0;
    if (isSettled || newest.has(subject)) loaded.overruled.push({ subject, sequence, isSettled });
    newest.set(subject, record);
  });
  if (layout.replicas > 1) await forgetRemovedStates(link, partition, newest);
  for (const record of newest.values()) {
    if (record.data.length === 0) continue;
    const { sequence } = record;
    read({ stream: 'QUEUE', sequence, record }, () => loaded.states.push(decodeState(record)));
  }
  await readAll(link, { stream: 'SETTLE', subject: subjects.settle(partition) }, (record) => {
    const { sequence } = record;
    const batch = { packs: [] as SettleBatch['packs'] };
    read({ stream: 'SETTLE', sequence, record }, () => Object.assign(batch, SettleBatch.decode(record.data)));
    addLines(loaded, sequence, batch);
  });
  const stream = spoolStream(partition, layout);
  await readAll(link, { stream, subject: subjects.spool(partition), headersOnly: true }, (record) => {
    const pack: LoadedPack = {
      sequence: record.sequence,
      storedAtMs: record.storedAtMs,
      index: undefined,
    };
    loaded.packs.push(pack);
    loaded.nextSequence = record.sequence + 1;
    // Packs are read without their data here.
    read({ stream, sequence: record.sequence }, () => {
      pack.index = indexOf(record);
    });
  });
  if (layout.replicas > 1)
    await forgetRemovedPacks(link, { stream, subject: subjects.spool(partition) }, loaded);
  return loaded;
}

/** The index of a pack. Throws when it has none, or one of no mails. */
export function indexOf(record: { header(name: string): string | undefined }): PackIndex {
  const header = record.header('Postrider-Index');
  if (header === undefined) throw new Error('no Postrider-Index');
  const index = decodeIndex(header);
  if (index.entries.length === 0) throw new Error('no mail in its Postrider-Index');
  return index;
}

/** A line without entries speaks of the whole pack, whatever other lines say. */
export function addLines(
  loaded: Pick<Loaded, 'settled' | 'settleRecords'>,
  sequence: number,
  batch: SettleBatch,
): void {
  let newestPack = 0;
  for (const line of batch.packs) {
    newestPack = Math.max(newestPack, line.sequence);
    const known = loaded.settled.get(line.sequence);
    if (known === 'all') continue;
    if (line.entries.length === 0) loaded.settled.set(line.sequence, 'all');
    else if (known === undefined) loaded.settled.set(line.sequence, new Set(line.entries));
    else for (const entry of line.entries) known.add(entry);
  }
  loaded.settleRecords.push({ sequence, newestPack });
}
