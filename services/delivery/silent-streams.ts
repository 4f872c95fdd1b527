// Which streams give no answer while others do, so that not every attempt finds that out by itself: each would keep a connection
// waiting that mails of the other streams could use. One read tries now and then; the rest need not wait.

/** After a read that had no answer none is tried for so long. */
const REST_MS = 1000;
/** When none has answered for so long, JetStream itself is away: then nobody is in another one's way, and waiting is right. */
const OTHERS_MS = 5000;

export class SilentStreams {
  /** Monotonic, milliseconds. */
  readonly #now: () => number;
  /** When the next read may try; never while one does. */
  readonly #restUntilMs = new Map<string, number>();
  #answeredAtMs = Number.NEGATIVE_INFINITY;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** True when a read of the stream would, as far as is known, wait in vain, and be in the way of others. */
  isSilent(stream: string): boolean {
    const untilMs = this.#restUntilMs.get(stream);
    return untilMs !== undefined && this.#now() < untilMs && this.othersAnswer;
  }

  get othersAnswer(): boolean {
    return this.#now() - this.#answeredAtMs < OTHERS_MS;
  }

  /** A read begins. */
  tried(stream: string): void {
    if (this.#restUntilMs.has(stream)) this.#restUntilMs.set(stream, Number.POSITIVE_INFINITY);
  }

  answered(stream: string): void {
    this.#answeredAtMs = this.#now();
    this.#restUntilMs.delete(stream);
  }

  gaveNoAnswer(stream: string): void {
    this.#restUntilMs.set(stream, this.#now() + REST_MS);
  }
}
