// Keeps the oldest few of many. Pure.

export class Oldest<T extends { readonly acceptedAtMs: number }> {
  readonly #limit: number;
  #kept: T[] = [];
  /** What is newer than this is not among the oldest. */
  #newestMs = Number.POSITIVE_INFINITY;

  constructor(limit: number) {
    this.#limit = limit;
  }

  add(item: T): void {
    if (item.acceptedAtMs > this.#newestMs) return;
    this.#kept.push(item);
    if (this.#kept.length >= 2 * this.#limit + 100) this.#trim();
  }

  /** Oldest first. */
  items(): readonly T[] {
    this.#trim();
    return this.#kept;
  }

  #trim(): void {
    this.#kept.sort((a, b) => a.acceptedAtMs - b.acceptedAtMs);
    if (this.#kept.length < this.#limit) return;
    this.#kept = this.#kept.slice(0, this.#limit);
    this.#newestMs = this.#kept.at(-1)?.acceptedAtMs ?? Number.NEGATIVE_INFINITY;
  }
}
