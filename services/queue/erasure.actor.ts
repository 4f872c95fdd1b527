// Removes what is not needed any more, in the background of all partitions, a few calls at a time for each stream: states that a
// newer one has replaced, states of settled mails, records of their data. Of states what is older goes first, and only when
// that is surely gone the record that overruled it.
//
// A state goes by its sequence where that is known to be the only older one, which costs nats-server less than a purge of its
// subject; after a take-over, an unsure write or a removal that failed it goes by subject.
//
// Nothing else may shorten QUEUE: what JetStream removes by its own limits or by age leaves no tombstone on disk and comes
// back when the server is killed (libs/nats/README.md).
//
// Fails: what cannot be removed is tried again after a growing pause of its stream; given up after many tries it stays. It is
// harmless, and of states the next owner of the partition hands it in again.
import type { Link } from '#libs/nats/link.ts';
import { deleteRecord, purgeBelow } from '#libs/nats/trimming.ts';
import { RemovalLane } from './removal-lane.ts';

export interface Overruled {
  /** Subject of a mail's states, or of a partition's claims. */
  subject: string;
  /** Stream sequence of the newest record; those before it go. */
  sequence: number;
  /** The newest record goes too, at last. */
  isSettled: boolean;
  /** Sequence of the only older record that is left, when that is known: above 0. */
  older?: number;
}

/** Subjects whose older records are not surely gone; with more of them nothing goes by sequence any more. */
const UNCERTAIN_MAX = 500_000;
const STATES = 'QUEUE';
const FINISH_CHECK_MS = 20;

export interface ErasureOptions {
  link: Pick<Link, 'request'>;
  /** Monotonic, milliseconds. */
  now: () => number;
  onTrouble: (reason: string) => void;
}

export class Erasure {
  readonly #options: ErasureOptions;
  readonly #lanes = new Map<string, RemovalLane>();
  /** Removals that are under way or failed, by subject. */
  readonly #uncertain = new Map<string, number>();

  constructor(options: ErasureOptions) {
    this.#options = options;
  }

  get waiting(): number {
    let waiting = 0;
    for (const lane of this.#lanes.values()) waiting += lane.waiting;
    return waiting;
  }

  add(overruled: Overruled): void {
    const { subject } = overruled;
    const isKnown = this.#uncertain.has(subject);
    if (isKnown || this.#uncertain.size < UNCERTAIN_MAX) {
      this.#uncertain.set(subject, (this.#uncertain.get(subject) ?? 0) + 1);
    }
    this.#lane(STATES).add(() => this.#erase(overruled));
  }

  /** Removes one record of another stream, when that stream lets it. */
  remove(stream: string, sequence: number): void {
    this.#lane(stream).add(() => deleteRecord(this.#options.link, stream, sequence));
  }

  /** Resolves when nothing waits any more, or after so many milliseconds: what is left then stays. */
  async finish(withinMs: number): Promise<void> {
    const untilMs = this.#options.now() + withinMs;
    while (this.#isBusy() && this.#options.now() < untilMs) {
      await new Promise((done) => setTimeout(done, FINISH_CHECK_MS));
    }
  }

  #isBusy(): boolean {
    return [...this.#lanes.values()].some((lane) => !lane.idle);
  }

  #lane(stream: string): RemovalLane {
    let lane = this.#lanes.get(stream);
    if (lane === undefined) {
      const { now, onTrouble } = this.#options;
      lane = new RemovalLane({ now, onTrouble: (words) => onTrouble(`${stream}: ${words}`) });
      this.#lanes.set(stream, lane);
    }
    return lane;
  }

  async #erase({ subject, sequence, isSettled, older = 0 }: Overruled): Promise<boolean> {
    const { link } = this.#options;
    // This one alone: all that was older than `older` is gone, and known to be.
    const isExact = older > 0 && this.#uncertain.get(subject) === 1;
    const isAlone = isExact
      ? await deleteRecord(link, STATES, older)
      : await purgeBelow(link, STATES, subject, sequence);
    if (!isAlone || (isSettled && !(await deleteRecord(link, STATES, sequence)))) return false;
    this.#certain(subject, isSettled);
    return true;
  }

  #certain(subject: string, isOver: boolean): void {
    const left = isOver ? 0 : (this.#uncertain.get(subject) ?? 0) - 1;
    if (left > 0) this.#uncertain.set(subject, left);
    else this.#uncertain.delete(subject);
  }
}
