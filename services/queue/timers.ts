// Wake-ups of many mails in one binary heap: one per mail, moved when its time changes and taken out when the mail is
// settled, so that nothing settled is held in memory by a time that lies days ahead. Pure: the shell asks what is due.

/** What can be woken. The heap alone writes these two. */
export interface Timed {
  /** Milliseconds since 1970; means nothing while heapIndex is -1. */
  wakeAtMs: number;
  /** Place in the heap; -1 when no wake-up is set. */
  heapIndex: number;
}

export class TimerHeap<T extends Timed> {
  readonly #heap: T[] = [];

  get size(): number {
    return this.#heap.length;
  }

  /** The time of the next wake-up, or Infinity. */
  get nextAtMs(): number {
    return this.#heap[0]?.wakeAtMs ?? Number.POSITIVE_INFINITY;
  }

  /** The item's wake-up, in place of an earlier one. */
  set(item: T, atMs: number): void {
    const isNew = item.heapIndex === -1;
    const isLater = !isNew && atMs > item.wakeAtMs;
    item.wakeAtMs = atMs;
    if (isNew) {
      item.heapIndex = this.#heap.length;
      this.#heap.push(item);
    }
    if (isLater) this.#sink(item);
    else this.#rise(item);
  }

  /** The item has no wake-up any more. */
  delete(item: T): void {
    const at = item.heapIndex;
    if (at === -1) return;
    item.heapIndex = -1;
    const last = this.#heap.pop()!;
    if (last === item) return;
    last.heapIndex = at;
    this.#heap[at] = last;
    this.#rise(last);
    this.#sink(last);
  }

  /** When the item is woken; undefined when it is not in the heap. */
  wakeUpOf(item: T): number | undefined {
    return this.#heap[item.heapIndex] === item ? item.wakeAtMs : undefined;
  }

  /** Removes and returns at most `limit` items whose time has come, earliest first. */
  takeDue(nowMs: number, limit: number): T[] {
    const due: T[] = [];
    while (due.length < limit && this.nextAtMs <= nowMs) {
      const first = this.#heap[0]!;
      this.delete(first);
      due.push(first);
    }
    return due;
  }

  #rise(item: T): void {
    const heap = this.#heap;
    let at = item.heapIndex;
    while (at > 0) {
      const parent = heap[(at - 1) >> 1]!;
      if (parent.wakeAtMs <= item.wakeAtMs) break;
      const parentAt = parent.heapIndex;
      heap[at] = parent;
      parent.heapIndex = at;
      at = parentAt;
    }
    heap[at] = item;
    item.heapIndex = at;
  }

  #sink(item: T): void {
    const heap = this.#heap;
    let at = item.heapIndex;
    for (;;) {
      let childAt = 2 * at + 1;
      if (childAt >= heap.length) break;
      if (childAt + 1 < heap.length && heap[childAt + 1]!.wakeAtMs < heap[childAt]!.wakeAtMs) childAt += 1;
      const child = heap[childAt]!;
      if (child.wakeAtMs >= item.wakeAtMs) break;
      heap[at] = child;
      child.heapIndex = at;
      at = childAt;
    }
    heap[at] = item;
    item.heapIndex = at;
  }
}
