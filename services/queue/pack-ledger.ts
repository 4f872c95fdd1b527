// Which mails of which packs of one partition still need something, and how far the partition may be trimmed. Pure.
//
// Invariants:
//  P1  The low-water mark never passes a pack with an entry whose settle line is not stored, or one that is pinned.
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
  /** In stream order; the first `head` are wholly settled. */
  #packs: Pack[] = [];
  #head = 0;
  readonly #open = new Map<number, Pack>();
  readonly #dirty = new Set<Pack>();
  /** How often each pinned pack is pinned. */
  readonly #pins = new Map<number, number>();
  #freshCount = 0;
  #newest = 0;

  /** A pack was read from the stream, after all that are older; `alreadySettled` of its entries have stored lines. */
  add(sequence: number, entries: number, alreadySettled: number): void {
    this.#newest = Math.max(this.#newest, sequence);
    if (alreadySettled >= entries || this.#open.has(sequence)) return;
    const pack: Pack = { sequence, entries, durable: alreadySettled, fresh: [] };
    this.#packs.push(pack);
    this.#open.set(sequence, pack);
  }

  /** The mail at `entry` needs nothing more from its pack. Said once for each entry that had no line. */
  settle(sequence: number, entry: number): void {
    const pack = this.#open.get(sequence);
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
    return this.#open.size;
  }

  /** The pack stays, settled or not, until it is unpinned as often as it was pinned. */
  pin(sequence: number): void {
    this.#pins.set(sequence, (this.#pins.get(sequence) ?? 0) + 1);
  }

  unpin(sequence: number): void {
    const left = (this.#pins.get(sequence) ?? 0) - 1;
    if (left > 0) this.#pins.set(sequence, left);
    else this.#pins.delete(sequence);
  }

  /** The lines to store next; empty entries mean the whole pack. */
  takeLines(): SettledPack[] {
    const lines: SettledPack[] = [];
    for (const pack of this.#dirty) {
      const isWhole = pack.fresh.length === pack.entries;
      lines.push({ sequence: pack.sequence, entries: isWhole ? [] : pack.fresh });
      pack.fresh = [];
    }
    this.#dirty.clear();
    this.#freshCount = 0;
    return lines;
  }

  /** The lines are stored. */
  confirm(lines: readonly SettledPack[]): void {
    for (const line of lines) {
      const pack = this.#open.get(line.sequence);
      if (pack === undefined) continue;
      pack.durable += line.entries.length === 0 ? pack.entries : line.entries.length;
      if (pack.durable >= pack.entries) this.#open.delete(pack.sequence);
    }
    while (this.#head < this.#packs.length && !this.#open.has(this.#packs[this.#head]!.sequence)) {
      this.#head += 1;
    }
    if (this.#head > 1024) {
      this.#packs = this.#packs.slice(this.#head);
      this.#head = 0;
    }
  }

  /** The lines could not be stored: hand them out again (P2). */
  restore(lines: readonly SettledPack[]): void {
    for (const line of lines) {
      const pack = this.#open.get(line.sequence);
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
    let lowest = this.#packs[this.#head]?.sequence ?? this.#newest + 1;
    for (const pinned of this.#pins.keys()) lowest = Math.min(lowest, pinned);
    return lowest;
  }
}
