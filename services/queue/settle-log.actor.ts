// Stores settle lines of one partition and trims what they free. One record in flight; lines gather meanwhile.
//
// Fails: a line that cannot be stored is kept and stored later; until then its outcomes stay unacknowledged, so that
// the delivery worker repeats them to whoever owns the partition. Trimming is best effort and repeated.
import { type Layout, spoolStream, subjects } from '#libs/nats/layout.ts';
import type { Link } from '#libs/nats/link.ts';
import type { RecordWriter } from '#libs/nats/records.ts';
import { purgeBelow } from '#libs/nats/trimming.ts';
import { SettleBatch, type SettledPack } from '#proto/postrider/v1/mail.ts';
import type { Custody, PendingAck } from './custody.ts';
import { PackLedger } from './pack-ledger.ts';

/** Settle lines outlive the purge of their packs by this long, so that no crash can separate the two. */
const LINE_KEPT_MS = 150_000;
const STORE_WAIT_MS = 30_000;
/** A record stays far below the payload limit of NATS: about 8 octets per pack and 2 per entry. */
const RECORD_WEIGHT_MAX = 30_000;

interface WrittenRecord {
  sequence: number;
  /** Highest pack that it speaks of. */
  newestPack: number;
}

interface Mark {
  atMs: number;
  lowWater: number;
}

export interface SettleLogOptions {
  partition: number;
  link: Link;
  layout: Pick<Layout, 'spoolStreams'>;
  writer: Pick<RecordWriter, 'store'>;
  /** A settled pack stays in the stream for this long, so that a repeated publish of it is known as such. */
  packKeptMs: number;
  /** The lines of these mails are stored, and these outcomes are acted on for good. */
  onDurable: (custodies: readonly Custody[], acks: readonly PendingAck[]) => void;
}

export class SettleLog {
  readonly ledger = new PackLedger();
  readonly #options: SettleLogOptions;
  #acks: PendingAck[] = [];
  #custodies: Custody[] = [];
  #writing: Promise<void> | undefined;
  #written: WrittenRecord[] = [];
  #marks: Mark[] = [];
  #purgedTo = 0;
  #purges: Mark[] = [];
  #trimming = false;

  constructor(options: SettleLogOptions) {
    this.#options = options;
  }

  /** A record that an earlier owner wrote. */
  loaded(sequence: number, newestPack: number): void {
    this.#written.push({ sequence, newestPack });
  }

  /** The mail needs nothing more from its pack; with its line, `acks` are acted on for good. */
  add(custody: Custody, acks: readonly PendingAck[]): void {
    for (const ack of acks) this.#acks.push(ack);
    if (custody.line !== 'needed') return;
    custody.line = 'given';
    this.ledger.settle(custody.packSequence, custody.packEntry);
    this.#custodies.push(custody);
  }

  get idle(): boolean {
    return !this.#hasWork() && this.#writing === undefined;
  }

  #hasWork(): boolean {
    return this.ledger.freshCount > 0 || this.#acks.length > 0 || this.#custodies.length > 0;
  }

  /** Stores what gathered, unless a record is still under way. */
  flush(): Promise<void> {
    if (this.#writing === undefined && this.#hasWork()) {
      this.#writing = this.#write().finally(() => {
        this.#writing = undefined;
      });
    }
    return this.#writing ?? Promise.resolve();
  }

  async #write(): Promise<void> {
    const lines = this.ledger.takeLines();
    const acks = this.#acks;
    const custodies = this.#custodies;
    this.#acks = [];
    this.#custodies = [];
    for (let from = 0; from < lines.length; ) {
      const record = lines.slice(from, endOfRecord(lines, from));
      if (!(await this.#store(record))) {
        this.ledger.restore(lines.slice(from));
        this.#acks = [...acks, ...this.#acks];
        this.#custodies = [...custodies, ...this.#custodies];
        return;
      }
      from += record.length;
    }
    for (const custody of custodies) custody.line = 'stored';
    this.#options.onDurable(custodies, acks);
  }

  async #store(lines: SettledPack[]): Promise<boolean> {
    const { partition, writer } = this.#options;
    const payload = SettleBatch.encode({ packs: lines }).finish();
    const subject = subjects.settle(partition);
    const stored = await writer.store({ subject, payload, id: '', giveUpAfterMs: STORE_WAIT_MS });
    if (stored.kind !== 'stored') return false;
    let newestPack = 0;
    for (const line of lines) newestPack = Math.max(newestPack, line.sequence);
    this.#written.push({ sequence: stored.sequence, newestPack });
    this.ledger.confirm(lines);
    return true;
  }

  /** Removes settled packs, and later the lines that speak of them. Called once a second. */
  async trim(nowMs: number): Promise<void> {
    if (this.#trimming) return;
    this.#trimming = true;
    try {
      await this.#trimPacks(nowMs);
      await this.#trimLines(nowMs);
    } finally {
      this.#trimming = false;
    }
  }

  async #trimPacks(nowMs: number): Promise<void> {
    const { link, layout, partition, packKeptMs } = this.#options;
    this.#marks.push({ atMs: nowMs, lowWater: this.ledger.lowWater() });
    const free = takeOlder(this.#marks, nowMs - packKeptMs);
    // A pin may have been set after the mark was made.
    const lowWater = Math.min(free, this.ledger.lowWater());
    if (lowWater <= this.#purgedTo) return;
    const stream = spoolStream(partition, layout);
    if (!(await purgeBelow(link, stream, subjects.spool(partition), lowWater))) return;
    this.#purgedTo = lowWater;
    this.#purges.push({ atMs: nowMs, lowWater });
  }

  async #trimLines(nowMs: number): Promise<void> {
    const lowWater = takeOlder(this.#purges, nowMs - LINE_KEPT_MS);
    const keepFrom = this.#written.findIndex((record) => record.newestPack >= lowWater);
    const free = keepFrom === -1 ? this.#written.length : keepFrom;
    if (lowWater === 0 || free === 0) return;
    const last = this.#written[free - 1]!.sequence;
    const { link, partition } = this.#options;
    if (await purgeBelow(link, 'SETTLE', subjects.settle(partition), last + 1)) {
      this.#written.splice(0, free);
    }
  }
}

/** Removes the marks up to this time; the low-water mark of the last of them, or 0. */
function takeOlder(marks: Mark[], untilMs: number): number {
  let lowWater = 0;
  while (marks.length > 0 && marks[0]!.atMs <= untilMs) lowWater = marks.shift()!.lowWater;
  return lowWater;
}

/** Index behind the last line that fits in one record with `lines[from]`. */
function endOfRecord(lines: readonly SettledPack[], from: number): number {
  let weight = 0;
  let end = from;
  while (end < lines.length && weight < RECORD_WEIGHT_MAX) weight += 4 + lines[end++]!.entries.length;
  return end;
}
