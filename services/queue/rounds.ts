// What the partitions of an instance share when they store: for each stream a pause while it fails, and a gate for work that
// can wait. A stream that fails holds up nobody who stores in another one.
import type { Ended, Gate } from './gate.ts';
import { GrowingPause } from './pause-growing.ts';

/** Short enough that what waited is stored within seconds once the stream is well again. */
const PAUSE = { firstMs: 250, lastMs: 2500 };

export interface RoundsOptions {
  /** Monotonic, milliseconds. */
  now: () => number;
  /** A gate for one stream. */
  gate: () => Gate;
  /** A round could not store in this stream. */
  onFailed: (stream: string) => void;
}

/** Rounds that store in one stream. */
export class StreamRounds {
  readonly #stream: string;
  readonly #options: RoundsOptions;
  readonly #pause = new GrowingPause(PAUSE);
  readonly #gate: Gate;

  constructor(stream: string, options: RoundsOptions) {
    this.#stream = stream;
    this.#options = options;
    this.#gate = options.gate();
  }

  /** False while it is left alone because it failed. */
  get isOpen(): boolean {
    return this.#pause.isOver(this.#options.now());
  }

  succeeded(): void {
    this.#pause.succeeded();
  }

  /** Rounds of several partitions that fail at the same time are one failure. */
  failed(): void {
    const nowMs = this.#options.now();
    this.#options.onFailed(this.#stream);
    if (this.#pause.isOver(nowMs)) this.#pause.failed(nowMs);
  }

  /** Runs what can wait, a few at a time with rests. What somebody waits for does not come through here. */
  patiently(work: () => Promise<Ended>): Promise<Ended> {
    return this.#gate.run(work);
  }
}

export class Rounds {
  readonly #options: RoundsOptions;
  readonly #streams = new Map<string, StreamRounds>();

  constructor(options: RoundsOptions) {
    this.#options = options;
  }

  of(stream: string): StreamRounds {
    let rounds = this.#streams.get(stream);
    if (rounds === undefined) {
      rounds = new StreamRounds(stream, this.#options);
      this.#streams.set(stream, rounds);
    }
    return rounds;
  }
}
