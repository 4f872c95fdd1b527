// What cannot be stored as it is, whatever else can: it is kept apart so that it holds up nobody, and looked at again now and
// then, since limits change. Pure.

const AGAIN_MS = 60_000;

export class Aside<T> {
  #items = new Set<T>();
  #untilMs = 0;

  get size(): number {
    return this.#items.size;
  }

  add(item: T, nowMs: number): void {
    if (this.#items.size === 0) this.#untilMs = nowMs + AGAIN_MS;
    this.#items.add(item);
  }

  delete(item: T): void {
    this.#items.delete(item);
  }

  /** All of them a minute after the first was put here, none before. */
  takeBack(nowMs: number): readonly T[] {
    if (this.#items.size === 0 || nowMs < this.#untilMs) return [];
    const items = [...this.#items];
    this.#items = new Set();
    return items;
  }
}
