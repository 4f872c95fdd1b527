// Counts by label, handed on now and then: a label set per mail would cost more than the count. Pure.

export interface Counter {
  add(n: number, labels?: Record<string, string>): void;
}

export class Tally {
  readonly #counter: Counter;
  readonly #label: string;
  #counts = new Map<string, number>();

  constructor(counter: Counter, label: string) {
    this.#counter = counter;
    this.#label = label;
  }

  count(value: string): void {
    this.#counts.set(value, (this.#counts.get(value) ?? 0) + 1);
  }

  /** Hands on what was counted since the last time. */
  flush(): void {
    for (const [value, count] of this.#counts) this.#counter.add(count, { [this.#label]: value });
    this.#counts = new Map();
  }
}
