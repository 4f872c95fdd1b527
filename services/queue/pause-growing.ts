// How long to leave something alone that keeps failing: twice as long each time, up to a limit. Pure.

export class GrowingPause {
  readonly #firstMs: number;
  readonly #lastMs: number;
  #failures = 0;
  #untilMs = 0;

  constructor(limits: { firstMs: number; lastMs: number }) {
    this.#firstMs = limits.firstMs;
    this.#lastMs = limits.lastMs;
  }

  failed(nowMs: number): void {
    this.#untilMs = nowMs + Math.min(this.#lastMs, this.#firstMs * 2 ** this.#failures);
    this.#failures = Math.min(30, this.#failures + 1);
  }

  succeeded(): void {
    this.#failures = 0;
    this.#untilMs = 0;
  }

  /** Milliseconds until it is over. */
  leftMs(nowMs: number): number {
    return Math.max(0, this.#untilMs - nowMs);
  }

  isOver(nowMs: number): boolean {
    return nowMs >= this.#untilMs;
  }
}
