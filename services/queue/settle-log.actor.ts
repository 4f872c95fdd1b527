// Stores settle lines of one partition and trims what they free. One record in flight; lines gather meanwhile.
//
// Fails: a line that cannot be stored is kept, with a word, and stored after a pause that all partitions share; until then its
// outcomes stay unacknowledged, so that the delivery worker repeats them to whoever owns the partition. Trimming is best effort and repeated.
import { type Layout, subjects } from '#libs/nats/layout.ts';
import type { Link } from '#libs/nats/link.ts';
import { type RecordWriter, troubleText } from '#libs/nats/records.ts';
import { SettleBatch, type SettledPack } from '#proto/postrider/v1/mail.ts';
import type { Custody, PendingAck } from './custody.ts';
import { PackLedger } from './pack-ledger.ts';
import type { Rounds, StreamRounds } from './rounds.ts';
import { Trim } from './trim.actor.ts';

const STORE_WAIT_MS = 5000;
const STREAM = 'SETTLE';
/** A record stays far below the payload limit of NATS: about 8 octets per pack and 2 per entry. */
const RECORD_WEIGHT_MAX = 30_000;

export interface SettleLogOptions {
  partition: number;
  link: Link;
  layout: Pick<Layout, 'spoolStreams'>;
  writer: Pick<RecordWriter, 'store'>;
  /** A settled pack stays in the stream for this long, so that a repeated publish of it is known as such. */
  packKeptMs: number;
  /** A record that nobody needs cannot be removed, and why. */
  onUntrimmed: (reason: string) => void;
  /** Shared by all partitions of the instance. */
  rounds: Rounds;
  onTrouble: (reason: string) => void;
  /** The lines of these mails are stored, and these outcomes are acted on for good. */
  onDurable: (custodies: readonly Custody[], acks: readonly PendingAck[]) => void;
}

export class SettleLog {
  readonly ledger = new PackLedger();
  readonly #options: SettleLogOptions;
  readonly #rounds: StreamRounds;
  #acks: PendingAck[] = [];
  #custodies: Custody[] = [];
  #writing: Promise<void> | undefined;
  readonly #trim: Trim;

  constructor(options: SettleLogOptions) {
    this.#options = options;
    this.#trim = new Trim({ ...options, ledger: this.ledger, sayAgain: (lines) => this.#sayAgain(lines) });
    this.#rounds = options.rounds.of(STREAM);
  }

  /** A record that an earlier owner wrote. */
  loaded(sequence: number, newestPack: number): void {
    this.#trim.wrote(sequence, newestPack);
  }

  /** The mail needs nothing more from its pack; with its line, `acks` are acted on for good. */
  add(custody: Custody, acks: readonly PendingAck[]): void {
    for (const ack of acks) this.#acks.push(ack);
    if (custody.line !== 'needed') return;
    custody.line = 'given';
    this.ledger.settle(custody.packSequence, custody.packEntry);
    this.#custodies.push(custody);
  }

  /** It is stored that the mail of these reports says so: they may go their way. */
  unpin(reportPacks: readonly number[]): void {
    for (const pack of reportPacks) this.ledger.unpin(pack);
  }

  get idle(): boolean {
    return !this.#hasWork() && this.#writing === undefined;
  }

  #hasWork(): boolean {
    return this.ledger.freshCount > 0 || this.#acks.length > 0 || this.#custodies.length > 0;
  }

  /** Stores what gathered, unless a record is still under way or the last one failed a moment ago. */
  flush(): Promise<void> {
    if (this.#writing === undefined && this.#hasWork() && this.#rounds.isOpen) {
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
    const sequence = await this.#append(lines);
    if (sequence === undefined) return false;
    // Both at once: who trims takes for known what records say that were written before.
    this.ledger.confirm(lines);
    this.#trim.wrote(sequence, newestOf(lines));
    return true;
  }

  /** Removes settled packs, and later the lines that speak of them. Called once a second. */
  trim(nowMs: number): Promise<void> {
    return this.#trim.run(nowMs);
  }

  /** The record's sequence; nothing when it is not stored. */
  async #append(lines: SettledPack[]): Promise<number | undefined> {
    const { partition, writer, onTrouble } = this.#options;
    const payload = SettleBatch.encode({ packs: lines }).finish();
    const subject = subjects.settle(partition);
    const stored = await writer.store({ subject, payload, id: '', giveUpAfterMs: STORE_WAIT_MS });
    if (stored.kind === 'stored') {
      this.#rounds.succeeded();
      return stored.sequence;
    }
    onTrouble(`${STREAM}: ${troubleText(stored)}; ${lines.length} packs wait for their lines`);
    this.#rounds.failed();
    return undefined;
  }

  /** Says again what is known of packs that stay; false when it cannot be stored. */
  async #sayAgain(lines: SettledPack[]): Promise<boolean> {
    for (let from = 0; from < lines.length; ) {
      const record = lines.slice(from, endOfRecord(lines, from));
      const sequence = await this.#append(record);
      if (sequence === undefined) return false;
      this.#trim.wrote(sequence, newestOf(record));
      from += record.length;
    }
    return true;
  }
}

function newestOf(lines: readonly SettledPack[]): number {
  let newest = 0;
  for (const { sequence } of lines) newest = Math.max(newest, sequence);
  return newest;
}

/** Index behind the last line that fits in one record with `lines[from]`. */
function endOfRecord(lines: readonly SettledPack[], from: number): number {
  let weight = 0;
  let end = from;
  while (end < lines.length && weight < RECORD_WEIGHT_MAX) weight += 4 + lines[end++]!.entries.length;
  return end;
}
