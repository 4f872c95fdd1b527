// Lets a few pieces of work run at a time, in the order in which they came, and lets their places rest in between, so
// that much work in a row leaves room for others.

/** Resolves when a place that was worked in for so long, milliseconds, may be used again. */
export type Rest = (workedMs: number) => Promise<void>;

/** Work of one place is shorter than this; what takes longer has waited for somebody who stood still. */
const REST_MAX_MS = 250;

/** As long as the work took: half of the time is left to others. A stall is not work: it earns no longer rest. */
export const restAsLong: Rest = (workedMs) =>
  new Promise((done) => setTimeout(done, Math.min(workedMs, REST_MAX_MS)));

/** failed: it was in nobody's way, and its place is free at once. */
export type Ended = 'done' | 'failed';

export interface GateOptions {
  places: number;
  rest: Rest;
  /** Monotonic, milliseconds. */
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
  async run(work: () => Promise<Ended>): Promise<Ended> {
    if (this.#free > 0) this.#free -= 1;
    else await new Promise<void>((enter) => this.#waiting.push(enter));
    const { now, rest } = this.#options;
    const startedAtMs = now();
    let ended: Ended = 'failed';
    try {
      ended = await work();
      return ended;
    } finally {
      if (ended === 'failed') this.#leave();
      else void rest(now() - startedAtMs).then(() => this.#leave());
    }
  }

  #leave(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free += 1;
    else next();
  }
}
