// Wake-ups of many mails in one binary heap. Pure: the shell asks what is due. An entry is never removed early; the
// one who is woken checks whether the wake-up still means anything.

interface Entry<T> {
  atMs: number;
  item: T;
}

export class TimerHeap<T> {
  #heap: Entry<T>[] = [];

  get size(): number {
    return this.#heap.length;
  }

  /** The time of the next wake-up, or Infinity. */
  get nextAtMs(): number {
    return this.#heap[0]?.atMs ?? Number.POSITIVE_INFINITY;
  }

  add(atMs: number, item: T): void {
    const heap = this.#heap;
    let child = heap.length;
    const entry = { atMs, item };
    heap.push(entry);
    while (child > 0) {
      const parent = (child - 1) >> 1;
      if (heap[parent]!.atMs <= atMs) break;
      heap[child] = heap[parent]!;
      child = parent;
    }
    heap[child] = entry;
  }

  /** Removes and returns at most `limit` items whose time has come, earliest first. */
  takeDue(nowMs: number, limit: number): T[] {
    const due: T[] = [];
    while (due.length < limit && this.nextAtMs <= nowMs) due.push(this.#pop());
    return due;
  }

  #pop(): T {
    const heap = this.#heap;
    const top = heap[0]!;
    const last = heap.pop()!;
    if (heap.length > 0) this.#sink(last);
    return top.item;
  }

  #sink(entry: Entry<T>): void {
    const heap = this.#heap;
    let parent = 0;
    for (;;) {
      let child = 2 * parent + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && heap[child + 1]!.atMs < heap[child]!.atMs) child += 1;
      if (heap[child]!.atMs >= entry.atMs) break;
      heap[parent] = heap[child]!;
      parent = child;
    }
    heap[parent] = entry;
  }
}
