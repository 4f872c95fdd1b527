// Removes states that a newer one has replaced, and the states of settled mails: what is older first, and only when that is
// surely gone the record that overruled it. A few calls at a time, in the background of all partitions.
//
// Nothing else may shorten QUEUE: what JetStream removes by its own limits or by age leaves no tombstone on disk and comes
// back when the server is killed (libs/nats/README.md).
//
// Fails: what cannot be removed stays; it is harmless, and the next owner of the partition hands it in again.
import type { Link } from '#libs/nats/link.ts';
import { deleteRecord, purgeBelow } from '#libs/nats/trimming.ts';

export interface Overruled {
  /** Subject of a mail's states, or of a partition's claims. */
  subject: string;
  /** Stream sequence of the newest record; those before it go. */
  sequence: number;
  /** The newest record goes too, at last. */
  isSettled: boolean;
}

const CALLS_MAX = 16;
/** More than so many are left to the next owner. */
const WAITING_MAX = 500_000;
const CUT_AT = 4096;
const STREAM = 'QUEUE';

export class Erasure {
  readonly #link: Link;
  #waiting: Overruled[] = [];
  /** Those of `#waiting` that are taken. */
  #taken = 0;
  #calls = 0;

  constructor(link: Link) {
    this.#link = link;
  }

  get waiting(): number {
    return this.#waiting.length - this.#taken;
  }

  add(overruled: Overruled): void {
    if (this.waiting >= WAITING_MAX) return;
    this.#waiting.push(overruled);
    if (this.#calls < CALLS_MAX) void this.#work();
  }

  async #work(): Promise<void> {
    this.#calls += 1;
    for (let next = this.#take(); next !== undefined; next = this.#take()) await this.#erase(next);
    this.#calls -= 1;
  }

  async #erase({ subject, sequence, isSettled }: Overruled): Promise<void> {
    const isAlone = await purgeBelow(this.#link, STREAM, subject, sequence);
    if (isAlone && isSettled) await deleteRecord(this.#link, STREAM, sequence);
  }

  #take(): Overruled | undefined {
    const next = this.#waiting[this.#taken];
    if (next === undefined) return undefined;
    this.#taken += 1;
    if (this.#taken >= CUT_AT || this.#taken === this.#waiting.length) {
      this.#waiting = this.#waiting.slice(this.#taken);
      this.#taken = 0;
    }
    return next;
  }
}
