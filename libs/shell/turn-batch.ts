// Gathers what one event-loop turn produces, so that it leaves in one message instead of many.

/** Calls `flush` once per turn with everything that was added in it, in order. */
export class TurnBatch<T> {
  readonly #flush: (items: T[]) => void;
  #items: T[] = [];
  readonly #run = () => this.flushNow();

  constructor(flush: (items: T[]) => void) {
    this.#flush = flush;
  }

  add(item: T): void {
    if (this.#items.length === 0) setImmediate(this.#run);
    this.#items.push(item);
  }

  /** Flushes what was gathered so far; the turn's own flush then has the rest, or nothing to do. */
  flushNow(): void {
    if (this.#items.length === 0) return;
    const items = this.#items;
    this.#items = [];
    this.#flush(items);
  }
}
