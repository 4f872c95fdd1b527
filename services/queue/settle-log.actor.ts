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
const LINES_PER_RECORD = 20_000;

interface WrittenRecord {
  sequence: number;
  /** Highest pack that it speaks of. */
  newestPack: number;
}

export interface SettleLogOptions {
  partition: number;
  link: Link;
  layout: Layout;
  writer: RecordWriter;
  /** These outcomes are acted on for good. */
  onDurable: (custodies: Custody[], acks: PendingAck[]) => void;
}

export class SettleLog {
  readonly ledger = new PackLedger();
  readonly #options: SettleLogOptions;
  #acks: PendingAck[] = [];
  #custodies: Custody[] = [];
  #writing: Promise<void> | undefined;
  #written: WrittenRecord[] = [];
  #purgedTo = 0;
  #trimming = false;
  #purges: { atMs: number; lowWater: number }[] = [];

  constructor(options: SettleLogOptions) {
    this.#options = options;
  }

  /** A record that an earlier owner wrote. */
  loaded(sequence: number, newestPack: number): void {
    this.#written.push({ sequence, newestPack });
  }

  /** The mail needs nothing more from its pack; with its line, `acks` are acted on for good. */
  add(custody: Custody, acks: PendingAck[]): void {
    for (const ack of acks) this.#acks.push(ack);
    if (custody.lineGiven) return;
    custody.lineGiven = true;
    this.ledger.settle(custody.packSequence, custody.packEntry);
    this.#custodies.push(custody);
  }

  get idle(): boolean {
    return this.ledger.freshCount === 0 && this.#writing === undefined;
  }

  /** Stores what gathered, unless a record is still under way. */
  flush(): Promise<void> {
    if (this.#writing === undefined && this.ledger.freshCount > 0) {
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
    for (let from = 0; from < lines.length; from += LINES_PER_RECORD) {
      if (!(await this.#store(lines.slice(from, from + LINES_PER_RECORD)))) {
        this.ledger.restore(lines.slice(from));
        this.#acks.push(...acks);
        this.#custodies.push(...custodies);
        return;
      }
    }
    for (const custody of custodies) custody.packSequence = 0;
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

  /** Removes settled packs, and later the lines that speak of them. Called now and then. */
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
    const { link, layout, partition } = this.#options;
    const lowWater = this.ledger.lowWater();
    if (lowWater <= this.#purgedTo) return;
    const stream = spoolStream(partition, layout);
    if (!(await purgeBelow(link, stream, subjects.spool(partition), lowWater))) return;
    this.#purgedTo = lowWater;
    this.#purges.push({ atMs: nowMs, lowWater });
  }

  async #trimLines(nowMs: number): Promise<void> {
    let lowWater = 0;
    while (this.#purges.length > 0 && this.#purges[0]!.atMs <= nowMs - LINE_KEPT_MS) {
      lowWater = this.#purges.shift()!.lowWater;
    }
    const keepFrom = this.#written.findIndex((record) => record.newestPack >= lowWater);
    const free = keepFrom === -1 ? this.#written.length : keepFrom;
    if (lowWater === 0 || free === 0) return;
    const last = this.#written[free - 1]!.sequence;
    const { link, partition } = this.#options;
    if (await purgeBelow(link, 'SETTLE', subjects.settle(partition), last + 1)) this.#written.splice(0, free);
  }
}
