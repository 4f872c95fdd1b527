// Lets a few pieces of work run at a time, in the order in which they came, and lets their places rest in between, so
// that much work in a row leaves room for others.

/** Resolves when a place that was worked in for so long, milliseconds, may be used again. */
export type Rest = (workedMs: number) => Promise<void>;

/** As long as the work took: half of the time is left to others. */
export const restAsLong: Rest = (workedMs) => new Promise((done) => setTimeout(done, workedMs));

export interface GateOptions {
  places: number;
  rest: Rest;
  now: () => number;
}

export class Gate {
  readonly #options: GateOptions;
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(options: GateOptions) {
    this.#options = options;
    this.#free = options.places;
  }

  /** Runs the work when a place is free; resolves or rejects as the work does. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free -= 1;
    else await new Promise<void>((enter) => this.#waiting.push(enter));
    const { now, rest } = this.#options;
    const startedAtMs = now();
    try {
      return await work();
    } finally {
      void rest(now() - startedAtMs).then(() => this.#leave());
    }
  }

  #leave(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free += 1;
    else next();
  }
}
