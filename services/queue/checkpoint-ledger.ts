// Which attempts of one partition may have sent their final dot, as the records of `checkpoint.<p>` say, and how far these
// records may be removed. Pure.
//
// Invariants:
//  K1  The low-water mark never passes a record with an attempt that is not over.
//  K2  An attempt is over once, whatever comes later.
import type { Checkpoint } from '#proto/postrider/v1/job.ts';

/** An attempt whose checkpoint is recorded and that is not known to be over. */
export interface OpenCheckpoint {
  readonly attemptId: string;
  readonly worker: string;
  /** Positions of the recipients; empty means all of the mail. */
  readonly recipients: readonly number[];
}

interface Recorded {
  sequence: number;
  /** Attempts of it that are not over. */
  open: number;
}

interface Open extends OpenCheckpoint {
  record: Recorded;
}

const CUT_AT = 1024;
/** A record takes 175 octets and 32 for each attempt, its part of a copy 32 for each: with fewer a copy is less than half as large. */
const OPEN_PER_RECORD_MAX = 4;
const ALL: readonly number[] = Object.freeze([]);

export class CheckpointLedger {
  readonly #open = new Map<string, Open>();
  /** In stream order; the first `#head` have nothing open. */
  #records: Recorded[] = [];
  #head = 0;
  #readTo = 0;

  /** Attempts that are not over. */
  get size(): number {
    return this.#open.size;
  }

  /** Sequence of the last record that was read. */
  get readTo(): number {
    return this.#readTo;
  }

  /** Records that are kept for what stands in the oldest of them, or behind it. */
  get records(): number {
    return this.#records.length - this.#head;
  }

  /** True when copies of what is open take much less room than the records that are kept for it. */
  get isSparse(): boolean {
    return this.#open.size < OPEN_PER_RECORD_MAX * this.records;
  }

  /** Open ones whose record stands below this sequence. */
  below(sequence: number): OpenCheckpoint[] {
    return [...this.#open.values()].filter(({ record }) => record.sequence < sequence);
  }

  get(attemptId: string): OpenCheckpoint | undefined {
    return this.#open.get(attemptId);
  }

  all(): IterableIterator<OpenCheckpoint> {
    return this.#open.values();
  }

  /** A record was read, after all that are older. `isOver` tells those that were over before their record came (K2). */
  add(sequence: number, record: Checkpoint, isOver: (attemptId: string) => boolean): void {
    this.#readTo = Math.max(this.#readTo, sequence);
    for (const attemptId of record.ended) this.over(attemptId);
    const recorded: Recorded = { sequence, open: 0 };
    const recipientsOf = new Map(record.parts.map((part) => [part.attemptId, part.recipients]));
    for (const attemptId of record.attemptIds) {
      if (isOver(attemptId)) continue;
      // Published twice, or by two workers: the newest record stands for it.
      this.over(attemptId);
      recorded.open += 1;
      const recipients = recipientsOf.get(attemptId) ?? ALL;
      this.#open.set(attemptId, { attemptId, worker: record.worker, recipients, record: recorded });
    }
    if (recorded.open > 0) this.#records.push(recorded);
  }

  /** What became of the attempt is stored, or counts for nothing. */
  over(attemptId: string): void {
    const open = this.#open.get(attemptId);
    if (open === undefined) return;
    this.#open.delete(attemptId);
    open.record.open -= 1;
    while (this.#head < this.#records.length && this.#records[this.#head]!.open === 0) this.#head += 1;
    if (this.#head >= CUT_AT || this.#head === this.#records.length) {
      this.#records = this.#records.slice(this.#head);
      this.#head = 0;
    }
  }

  /** Records below this stream sequence are not there any more: all of them were over when they were removed (K1). */
  removedBelow(sequence: number): void {
    for (const { attemptId, record } of [...this.#open.values()]) {
      if (record.sequence < sequence) this.over(attemptId);
    }
  }

  /** Every record below this stream sequence may be removed (K1). */
  lowWater(): number {
    return this.#records[this.#head]?.sequence ?? this.#readTo + 1;
  }

  /** The stream may have begun anew: it is to be read again. What is open stays so, and nothing may be removed before it is read. */
  forgetRecords(): void {
    const unread: Recorded = { sequence: 0, open: this.#open.size };
    for (const open of this.#open.values()) open.record = unread;
    this.#records = unread.open === 0 ? [] : [unread];
    this.#head = 0;
    this.#readTo = 0;
  }
}
