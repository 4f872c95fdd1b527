// Removes what nobody needs any more of one partition: settled packs, and later the lines that speak of them.
//
// The ordinary way is one purge below a mark. When the mark has not moved for a while, because an older pack is not settled
// (its mail is out at a slow host, say), the settled packs above it are removed one by one, so that a stuck pack holds nothing
// but itself. Lines go in order, too: behind a stuck pack those of packs that are still there are said again in a new record,
// and then all older records go.
//
// Invariant T1: as long as a pack is in the stream, and for LINE_KEPT_MS after it was removed, some record says what is
// settled of it.
//
// Fails: what JetStream does not remove is told (`onUntrimmed`) and tried again after a growing pause, oldest first. Room for
// what waits is bounded by the packs that are in the stream.
import { type Layout, spoolStream, subjects } from '#libs/nats/layout.ts';
import type { Link } from '#libs/nats/link.ts';
import { remove, type Trimmed, trimBelow } from '#libs/nats/trimming.ts';
import type { SettledPack } from '#proto/postrider/v1/mail.ts';
import type { PackLedger } from './pack-ledger.ts';
import { GrowingPause } from './pause-growing.ts';

/** Settle lines outlive their packs by this long, so that no crash can separate the two. */
const LINE_KEPT_MS = 150_000;
/** A pack may be removed for so long before it is removed one by one: by then a mark that moves has passed it. */
const STUCK_AFTER_MS = 30_000;
/** 0.3 ms of nats-server's time each: what waits in one partition takes a tenth of a second of it. */
const REMOVED_PER_CALL = 400;
const AT_A_TIME = 8;
const PAUSE = { firstMs: 1000, lastMs: 30_000 };
/** Lines are said again only when at least so many records, and this part of all, are removed for it. */
const OLD_RECORDS_MIN = 64;
const OLD_RECORDS_PART = 0.25;

export interface TrimOptions {
  partition: number;
  link: Pick<Link, 'request'>;
  layout: Pick<Layout, 'spoolStreams'>;
  /** A settled pack stays in the stream for this long, so that a repeated publish of it is known as such. */
  packKeptMs: number;
  ledger: Pick<PackLedger, 'lowWater' | 'takeSettled' | 'standing'>;
  /** Stores these lines once more; false when that cannot be done now. */
  sayAgain: (lines: SettledPack[]) => Promise<boolean>;
  onUntrimmed: (reason: string) => void;
}

interface WrittenRecord {
  sequence: number;
  /** Highest pack that it speaks of. */
  newestPack: number;
  /** Calls before it was written: the marks of later ones know all that it says. */
  call: number;
}

/** What became removable between the call before and this one. */
interface Mark {
  atMs: number;
  call: number;
  lowWater: number;
  settled: readonly number[];
  /** Those of `settled` that are to be removed one by one, once that has begun. */
  left: number[] | undefined;
}

export class Trim {
  readonly #options: TrimOptions;
  #written: WrittenRecord[] = [];
  #calls = 0;
  #marks: Mark[] = [];
  /** Marks that the purge has seen; what it did not reach of them is still there. */
  #stuck: Mark[] = [];
  /** Marks of which nothing is there; `atMs`: since when. */
  #gone: Mark[] = [];
  /** Lines of records before this call speak of packs that have been gone for long, and of those that stay. */
  #goneCall = 0;
  #purgedTo = 0;
  #purges: { atMs: number; lowWater: number }[] = [];
  #running = false;
  readonly #pause = new GrowingPause(PAUSE);
  /** Things that JetStream did not do. */
  #troubles = 0;

  constructor(options: TrimOptions) {
    this.#options = options;
  }

  /** A record of lines is stored, by us or by an earlier owner. */
  wrote(sequence: number, newestPack: number): void {
    this.#written.push({ sequence, newestPack, call: this.#calls });
  }

  /** Called once a second; one at a time. */
  async run(nowMs: number): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    try {
      this.#mark(nowMs);
      if (!this.#pause.isOver(nowMs)) return;
      const troubles = this.#troubles;
      if (await this.#purgePacks(nowMs)) await this.#removeLoose(nowMs);
      await this.#purgeLines(nowMs);
      if (this.#troubles === troubles) this.#pause.succeeded();
      else this.#pause.failed(nowMs);
    } finally {
      this.#running = false;
    }
  }

  #mark(nowMs: number): void {
    const { ledger } = this.#options;
    this.#calls += 1;
    const settled = ledger.takeSettled();
    const lowWater = ledger.lowWater();
    this.#marks.push({ atMs: nowMs, call: this.#calls, lowWater, settled, left: undefined });
  }

  /** The ordinary way; false when JetStream does not do it. */
  async #purgePacks(nowMs: number): Promise<boolean> {
    const { link, layout, partition, packKeptMs, ledger } = this.#options;
    const free = takeUntil(this.#marks, nowMs - packKeptMs);
    if (free.length === 0) return true;
    // A pin may have been set after the mark was made.
    const lowWater = Math.min(free.at(-1)!.lowWater, ledger.lowWater());
    const stream = spoolStream(partition, layout);
    if (lowWater > this.#purgedTo) {
      const trimmed = await trimBelow(link, stream, subjects.spool(partition), lowWater);
      if (!this.#isDone(stream, trimmed)) {
        this.#marks.unshift(...free);
        return false;
      }
      this.#purgedTo = lowWater;
      this.#purges.push({ atMs: nowMs, lowWater });
    }
    this.#stuck.push(...free);
    return true;
  }

  /** What the purge did not reach for long. */
  async #removeLoose(nowMs: number): Promise<void> {
    const untilMs = nowMs - this.#options.packKeptMs - STUCK_AFTER_MS;
    for (let room = REMOVED_PER_CALL; room > 0; ) {
      const mark = this.#stuck[0];
      if (mark === undefined || mark.atMs > untilMs) return;
      const left = (mark.left ?? mark.settled).filter((sequence) => sequence >= this.#purgedTo);
      const some = left.slice(0, room);
      const refused = await this.#removeAll(some);
      room -= some.length;
      mark.left = [...refused, ...left.slice(some.length)];
      if (refused.length > 0) return;
      if (mark.left.length > 0) continue;
      this.#stuck.shift();
      this.#gone.push({ ...mark, atMs: nowMs });
    }
  }

  /** Returns those that are still there. */
  async #removeAll(sequences: readonly number[]): Promise<number[]> {
    const { link, layout, partition } = this.#options;
    const stream = spoolStream(partition, layout);
    for (let from = 0; from < sequences.length; from += AT_A_TIME) {
      const some = sequences.slice(from, from + AT_A_TIME);
      const trimmed = await Promise.all(some.map((sequence) => remove(link, stream, sequence)));
      const refused = some.filter((_, i) => trimmed[i]!.kind !== 'done');
      if (refused.length === 0) continue;
      this.#isDone(stream, trimmed.find(({ kind }) => kind !== 'done')!);
      return [...refused, ...sequences.slice(from + AT_A_TIME)];
    }
    return [];
  }

  async #purgeLines(nowMs: number): Promise<void> {
    const lowWater = takeUntil(this.#purges, nowMs - LINE_KEPT_MS).at(-1)?.lowWater ?? 0;
    const firstKept = this.#written.findIndex(({ newestPack }) => newestPack >= lowWater);
    const free = firstKept === -1 ? this.#written.length : firstKept;
    if (lowWater > 0 && free > 0) await this.#purgeRecords(free);
    await this.#purgeOldLines(nowMs);
  }

  /** Lines behind one of a pack that stays (T1). */
  async #purgeOldLines(nowMs: number): Promise<void> {
    this.#goneCall = takeUntil(this.#gone, nowMs - LINE_KEPT_MS).at(-1)?.call ?? this.#goneCall;
    const firstKept = this.#written.findIndex((record) => record.call >= this.#goneCall);
    const old = firstKept === -1 ? this.#written.length : firstKept;
    if (old < OLD_RECORDS_MIN || old < this.#written.length * OLD_RECORDS_PART) return;
    if (await this.#options.sayAgain(this.#standing())) await this.#purgeRecords(old);
  }

  /** Lines of the packs that stay, and of those that are to go or have just gone. */
  #standing(): SettledPack[] {
    const lines = this.#options.ledger.standing();
    for (const marks of [this.#gone, this.#stuck, this.#marks]) {
      for (const { settled } of marks) {
        for (const sequence of settled) lines.push({ sequence, entries: [] });
      }
    }
    return lines;
  }

  /** Removes the first records of lines. */
  async #purgeRecords(count: number): Promise<void> {
    const { link, partition } = this.#options;
    const last = this.#written[count - 1]!.sequence;
    const trimmed = await trimBelow(link, 'SETTLE', subjects.settle(partition), last + 1);
    if (this.#isDone('SETTLE', trimmed)) this.#written.splice(0, count);
  }

  #isDone(stream: string, trimmed: Trimmed): boolean {
    if (trimmed.kind === 'done') return true;
    this.#troubles += 1;
    const why = trimmed.kind === 'refused' ? trimmed.reason : 'no answer';
    this.#options.onUntrimmed(`${stream} is not trimmed: ${why}`);
    return false;
  }
}

/** Takes those up to this time out of the list, which is in order. */
function takeUntil<T extends { atMs: number }>(list: T[], untilMs: number): T[] {
  let count = 0;
  while (count < list.length && list[count]!.atMs <= untilMs) count += 1;
  return list.splice(0, count);
}
