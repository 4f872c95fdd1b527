// Which mails of which packs of one partition still need something, and how far the partition may be trimmed. Pure.
//
// Invariants:
//  P1  The low-water mark never passes a pack with an entry whose settle line is not stored.
//  P2  A line is handed out once; if storing it fails it is handed out again.
import type { SettledPack } from '#proto/postrider/v1/mail.ts';

interface Pack {
  sequence: number;
  entries: number;
  /** Entries with a stored settle line. */
  durable: number;
  /** Entries settled and not yet handed out. */
  fresh: number[];
}

export class PackLedger {
  /** In stream order; the first `head` are trimmed away lazily. */
  #packs: Pack[] = [];
  #head = 0;
  #bySequence = new Map<number, Pack>();
  #dirty = new Set<Pack>();
  #freshCount = 0;
  #newest = 0;

  /** A pack was read from the stream; `alreadySettled` of its entries have stored lines. */
  add(sequence: number, entries: number, alreadySettled: number): void {
    const pack: Pack = { sequence, entries, durable: alreadySettled, fresh: [] };
    this.#packs.push(pack);
    this.#bySequence.set(sequence, pack);
    this.#newest = Math.max(this.#newest, sequence);
  }

  /** The mail at `entry` needs nothing more from its pack. */
  settle(sequence: number, entry: number): void {
    const pack = this.#bySequence.get(sequence);
    if (pack === undefined) return;
    pack.fresh.push(entry);
    this.#dirty.add(pack);
    this.#freshCount += 1;
  }

  /** Settled entries that wait for their line. */
  get freshCount(): number {
    return this.#freshCount;
  }

  /** Packs that are not wholly settled. */
  get openPacks(): number {
    return this.#bySequence.size;
  }

  /** The lines to store next; empty entries mean the whole pack. */
  takeLines(): SettledPack[] {
    const lines: SettledPack[] = [];
    for (const pack of this.#dirty) {
      const whole = pack.fresh.length === pack.entries;
      lines.push({ sequence: pack.sequence, entries: whole ? [] : pack.fresh });
      pack.fresh = [];
    }
    this.#dirty.clear();
    this.#freshCount = 0;
    return lines;
  }

  /** The lines are stored. */
  confirm(lines: SettledPack[]): void {
    for (const line of lines) {
      const pack = this.#bySequence.get(line.sequence);
      if (pack === undefined) continue;
      pack.durable += line.entries.length === 0 ? pack.entries : line.entries.length;
      if (pack.durable >= pack.entries) this.#bySequence.delete(pack.sequence);
    }
    while (this.#head < this.#packs.length && !this.#bySequence.has(this.#packs[this.#head]!.sequence)) {
      this.#head += 1;
    }
    if (this.#head > 1024) {
      this.#packs = this.#packs.slice(this.#head);
      this.#head = 0;
    }
  }

  /** The lines could not be stored: hand them out again (P2). */
  restore(lines: SettledPack[]): void {
    for (const line of lines) {
      const pack = this.#bySequence.get(line.sequence);
      if (pack === undefined) continue;
      const entries =
        line.entries.length === 0 ? Array.from({ length: pack.entries }, (_, i) => i) : line.entries;
      pack.fresh.push(...entries);
      this.#dirty.add(pack);
      this.#freshCount += entries.length;
    }
  }

  /** Every record of the partition below this stream sequence may be removed (P1). */
  lowWater(): number {
    const oldest = this.#packs[this.#head];
    return oldest === undefined ? this.#newest + 1 : oldest.sequence;
  }
}
