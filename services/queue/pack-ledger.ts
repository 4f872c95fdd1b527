// Which mails of which packs of one partition still need something, and which packs may be removed: all below a mark, and
// those above it that are settled while an older one is not. Pure.
//
// Invariants:
//  P1  Nothing is ever said to be removable that has an entry whose settle line is not stored, or that is pinned: the
//      low-water mark never passes such a pack, and `takeSettled` never returns it.
//  P2  A line is handed out once; if storing it fails it is handed out again.
//  P3  Memory is kept for packs that stay, none for those that `takeSettled` returned: a pack that is stuck for days costs
//      one pack. Who takes them removes them, and keeps their lines until they are gone.
import type { SettledPack } from '#proto/postrider/v1/mail.ts';

interface Pack {
  sequence: number;
  entries: number;
  /** Entries with a stored settle line; of a pack that is wholly settled they may be left out. */
  durable: number[];
  /** Entries settled and not yet handed out. */
  fresh: number[];
}

export class PackLedger {
  /** In stream order: those that stay, and those that are settled and were not taken yet. The first `head` do not stay. */
  #packs: Pack[] = [];
  #head = 0;
  /** Some pack may have become removable. */
  #hasSettled = false;
  readonly #open = new Map<number, Pack>();
  readonly #dirty = new Set<Pack>();
  /** How often each pinned pack is pinned. */
  readonly #pins = new Map<number, number>();
  #freshCount = 0;
  #newest = 0;

  /** A pack was read from the stream, after all that are older; these of its entries have stored lines. */
  add(sequence: number, entries: number, settled: readonly number[]): void {
    if (sequence <= this.#newest) return;
    this.#newest = sequence;
    const isOpen = settled.length < entries;
    const pack: Pack = { sequence, entries, durable: isOpen ? [...settled] : [], fresh: [] };
    this.#packs.push(pack);
    if (isOpen) this.#open.set(sequence, pack);
    else this.#hasSettled = true;
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
    else if (this.#pins.delete(sequence)) this.#hasSettled = true;
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
    for (const { sequence, entries } of lines) {
      const pack = this.#open.get(sequence);
      if (pack === undefined) continue;
      for (const entry of entries) pack.durable.push(entry);
      if (entries.length > 0 && pack.durable.length < pack.entries) continue;
      pack.durable = [];
      this.#open.delete(sequence);
      this.#hasSettled = true;
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
    while (this.#head < this.#packs.length && !this.#stays(this.#packs[this.#head]!)) this.#head += 1;
    let lowest = this.#packs[this.#head]?.sequence ?? this.#newest + 1;
    for (const pinned of this.#pins.keys()) lowest = Math.min(lowest, pinned);
    return lowest;
  }

  #stays({ sequence }: Pack): boolean {
    return this.#open.has(sequence) || this.#pins.has(sequence);
  }

  /** Sequences of packs that may be removed (P1), below the mark and above it, in order; each is said once (P3). */
  takeSettled(): number[] {
    const settled: number[] = [];
    if (!this.#hasSettled) return settled;
    const staying: Pack[] = [];
    for (const pack of this.#packs) {
      if (this.#stays(pack)) staying.push(pack);
      else settled.push(pack.sequence);
    }
    this.#packs = staying;
    this.#head = 0;
    this.#hasSettled = false;
    return settled;
  }

  /** What stored lines say of the packs that stay. */
  standing(): SettledPack[] {
    const lines: SettledPack[] = [];
    for (const pack of this.#packs) {
      const { sequence, durable } = pack;
      if (!this.#open.has(sequence)) lines.push({ sequence, entries: [] });
      else if (durable.length > 0) lines.push({ sequence, entries: [...durable] });
    }
    return lines;
  }
}
