// Counts by the value of one label, kept as plain numbers until they are handed on: a label set per mail would cost more than
// the count.
import type { Counter } from './metrics.ts';

export class Tally<Value extends string> {
  readonly #counter: Counter;
  readonly #label: string;
  readonly #counts = new Map<Value, number>();

  /** The values of `label` must be few. */
  constructor(counter: Counter, label: string) {
    this.#counter = counter;
    this.#label = label;
  }

  count(value: Value): void {
    this.#counts.set(value, (this.#counts.get(value) ?? 0) + 1);
  }

  /** Hands on what was counted since the last time. Called about once a second. */
  sweep(): void {
    for (const [value, count] of this.#counts) this.#counter.add(count, { [this.#label]: value });
    this.#counts.clear();
  }
}
