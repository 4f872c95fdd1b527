// What a new owner does before it may act for a partition: claim it, ask the workers, load what is stored.
//
// The order matters. The claim fences the old owner's decisions. The workers are asked before the settle log is read:
// an outcome that the old owner acknowledged before a worker answered has its line in the log already; one that it
// acknowledged later is in the worker's answer.
//
// Fails: `lost` when another instance claimed first; `unavailable` when JetStream does not answer.
import type { DirectGet } from '#libs/nats/direct-get.ts';
import { type Layout, spoolStream, subjects } from '#libs/nats/layout.ts';
import type { Link } from '#libs/nats/link.ts';
import { readAll } from '#libs/nats/reading.ts';
import type { RecordWriter } from '#libs/nats/records.ts';
import { decodeIndex } from '#libs/pack/pack.ts';
import { InflightAnswer, InflightRequest } from '#proto/postrider/v1/job.ts';
import { MailState, type PackIndex, PartitionOwner, SettleBatch } from '#proto/postrider/v1/mail.ts';

const CLAIM_WAIT_MS = 5000;
const INFLIGHT_WAIT_MS = 2000;

export type Claim = { kind: 'claimed'; epoch: number } | { kind: 'lost' } | { kind: 'unavailable' };

export interface Stores {
  link: Link;
  layout: Layout;
  writer: RecordWriter;
  direct: DirectGet;
}

/** Claims the partition by compare-and-set on its owner record; the record's sequence is the epoch. */
export async function claim(stores: Stores, partition: number, nowMs: number): Promise<Claim> {
  const subject = subjects.owner(partition);
  const last = await stores.direct.lastOf('QUEUE', subject);
  if (last.kind === 'unavailable') return last;
  const sequence = last.kind === 'found' ? last.record.sequence : 0;
  const payload = PartitionOwner.encode({ instance: stores.link.instance, claimedAtMs: nowMs }).finish();
  const stored = await stores.writer.store({
    subject,
    payload,
    id: `claim-${partition}-${stores.link.instance}-${nowMs}`,
    fence: { subject, sequence },
    giveUpAfterMs: CLAIM_WAIT_MS,
  });
  if (stored.kind === 'stored') return { kind: 'claimed', epoch: stored.sequence };
  return stored.kind === 'conflict' ? { kind: 'lost' } : { kind: 'unavailable' };
}

/** What the live workers have of the partition. */
export async function askInflight(
  link: Link,
  partition: number,
  epoch: number,
  workers: number,
): Promise<InflightAnswer[]> {
  const request = InflightRequest.encode({ partition, epoch }).finish();
  const options = { expected: workers, timeoutMs: INFLIGHT_WAIT_MS };
  const answers = workers === 0 ? [] : await link.scatter(subjects.inflight(partition), request, options);
  return answers.map((answer) => InflightAnswer.decode(answer));
}

export interface LoadedPack {
  sequence: number;
  index: PackIndex;
}

export interface Loaded {
  states: MailState[];
  /** Settled entries by pack sequence; an empty set means the whole pack. */
  settled: Map<number, Set<number>>;
  settleRecords: { sequence: number; newestPack: number }[];
  packs: LoadedPack[];
  /** Where the partition's packs go on. */
  nextSequence: number;
}

/** Reads everything that is stored of the partition. */
export async function load(stores: Stores, partition: number): Promise<Loaded> {
  const { link, layout } = stores;
  const loaded: Loaded = { states: [], settled: new Map(), settleRecords: [], packs: [], nextSequence: 1 };
  const states = { stream: 'QUEUE', subject: subjects.mail(partition, '*') };
  await readAll(link, states, (record) => {
    if (record.data.length > 0) loaded.states.push(MailState.decode(record.data));
  });
  await readAll(link, { stream: 'SETTLE', subject: subjects.settle(partition) }, (record) => {
    addLines(loaded, record.sequence, SettleBatch.decode(record.data));
  });
  const packs = {
    stream: spoolStream(partition, layout),
    subject: subjects.spool(partition),
    headersOnly: true,
  };
  await readAll(link, packs, (record) => {
    const index = record.header('Postrider-Index');
    if (index !== undefined) loaded.packs.push({ sequence: record.sequence, index: decodeIndex(index) });
    loaded.nextSequence = record.sequence + 1;
  });
  return loaded;
}

function addLines(loaded: Loaded, sequence: number, batch: SettleBatch): void {
  let newestPack = 0;
  for (const line of batch.packs) {
    newestPack = Math.max(newestPack, line.sequence);
    const known = loaded.settled.get(line.sequence);
    if (line.entries.length === 0) loaded.settled.set(line.sequence, new Set());
    else if (known === undefined) loaded.settled.set(line.sequence, new Set(line.entries));
    else if (known.size > 0) for (const entry of line.entries) known.add(entry);
  }
  loaded.settleRecords.push({ sequence, newestPack });
}
