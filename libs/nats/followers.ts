// Which followers of this process cannot read their stream, and since when: mail that nobody hears of waits in silence, so it is
// said, counted, and in the end held against the process's readiness. Pure but for what it says.

/** One lost consumer, or a new leader, is nothing to speak of. */
const SAY_AFTER_MS = 5000;
const HINDERS_AFTER_MS = 30_000;

export interface FollowersOptions {
  /** Monotonic, milliseconds. */
  now: () => number;
  /** Hears the same words again and again. */
  say: (words: string) => void;
}

interface Down {
  what: string;
  sinceMs: number;
}

export class Followers {
  readonly #options: FollowersOptions;
  readonly #down = new Map<object, Down>();

  constructor(options: FollowersOptions) {
    this.#options = options;
  }

  /** It could not begin to read `what`, once more. */
  failed(follower: object, what: string, why: string): void {
    const nowMs = this.#options.now();
    const known = this.#down.get(follower) ?? { what, sinceMs: nowMs };
    this.#down.set(follower, known);
    if (nowMs - known.sinceMs >= SAY_AFTER_MS) this.#options.say(`error: cannot follow ${what}: ${why}`);
  }

  /** It reads, or has ended. */
  well(follower: object): void {
    this.#down.delete(follower);
  }

  /** How many cannot read now. */
  get down(): number {
    return this.#down.size;
  }

  /** Why the process does not do its work; undefined as long as none has been down for long. */
  hindrance(): string | undefined {
    const nowMs = this.#options.now();
    for (const { what, sinceMs } of this.#down.values()) {
      if (nowMs - sinceMs >= HINDERS_AFTER_MS) return `cannot follow ${what}`;
    }
    return undefined;
  }
}
