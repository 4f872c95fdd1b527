// Which partition the packs of one stream go to: the same for a while, then the next one of that stream. Pure: time
// arrives as an argument. A slow rotation spreads mail over all owners and still lets many mails share a settle line.

/** Long enough for many packs, short enough that no owner is idle for long. */
const STAY_MS = 500;

export interface RotationOptions {
  partitions: number;
  /** Streams; stream k has the partitions p with p mod spoolStreams = k. */
  spoolStreams: number;
  stream: number;
  /** In [0, 1): where to begin, so that processes do not move in step. */
  start: number;
}

export class PartitionRotation {
  readonly #options: RotationOptions;
  readonly #count: number;
  #at: number;
  #sinceMs = Number.NEGATIVE_INFINITY;

  constructor(options: RotationOptions) {
    const { partitions, spoolStreams, stream, start } = options;
    this.#options = options;
    this.#count = Math.ceil((partitions - stream) / spoolStreams);
    this.#at = Math.floor(start * this.#count);
  }

  /** The partition for a pack that is formed now. */
  partitionAt(nowMs: number): number {
    if (nowMs - this.#sinceMs >= STAY_MS) {
      if (this.#sinceMs !== Number.NEGATIVE_INFINITY) this.#at = (this.#at + 1) % this.#count;
      this.#sinceMs = nowMs;
    }
    const { spoolStreams, stream } = this.#options;
    return this.#at * spoolStreams + stream;
  }
}
