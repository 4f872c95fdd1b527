// Which words of workers mean that a mail may have been delivered twice, and that each such attempt is counted once.
//
// Invariants:
//  X1  Every copy of a mail beyond the first has an attempt that was counted, by its id.
//  X2  An attempt is counted once, and only when its final dot may have been sent.
import { epochOfAttemptId, partsOfAttemptId } from '#libs/mail/attempt-id.ts';
import type { Custody } from './custody.ts';
import { GivenUp } from './given-up.ts';
import { isDelivery, type PositionResult } from './recipient-steps.ts';

export interface SecondCopiesOptions {
  owner: { readonly epoch: number };
  now: () => number;
  onInDoubt: (queueId: string, attemptId: string) => void;
}

/** What is heard of an attempt that is not known here any more. */
export type LateWord = readonly PositionResult[] | 'returned' | 'in doubt';

export class SecondCopies {
  readonly #options: SecondCopiesOptions;
  readonly #givenUp = new GivenUp();

  constructor(options: SecondCopiesOptions) {
    this.#options = options;
  }

  /** Counts the attempt: it may have delivered, and its mail is or was tried by others (X2). */
  count(attemptId: string): void {
    if (this.#givenUp.of(attemptId) === 'in doubt') return;
    this.#givenUp.note(attemptId, 'in doubt', this.#options.now());
    this.#options.onInDoubt(partsOfAttemptId(attemptId).queueId, attemptId);
  }

  /** It was given up, and had not passed its checkpoint. */
  lost(attemptId: string): void {
    this.#givenUp.note(attemptId, 'lost', this.#options.now());
  }

  isLost(attemptId: string): boolean {
    return this.#givenUp.of(attemptId) === 'lost';
  }

  /** Of an attempt that nobody here has: it is of an earlier owner, or was given up. */
  mayGoOn(attemptId: string): boolean {
    return this.#isEarlier(attemptId) || this.isLost(attemptId);
  }

  /** An attempt of an earlier owner has its outcome. */
  over(attemptId: string): void {
    if (this.#givenUp.of(attemptId) === undefined) this.#givenUp.note(attemptId, 'over', this.#options.now());
  }

  /** An attempt that is not known here has passed its checkpoint: workers of a version that knows no fence can do that. */
  passed(attemptId: string): void {
    const how = this.#givenUp.of(attemptId);
    if (how === 'lost' || (how === undefined && this.#isEarlier(attemptId))) this.count(attemptId);
  }

  /** A late word about a mail; `custody` is undefined when it is settled. */
  heard(attemptId: string, word: LateWord, custody: Custody | undefined): void {
    const how = this.#givenUp.of(attemptId);
    // What was acted on is said again by a worker that has not heard so. What a next owner began is not ours to judge.
    const isRepeated =
      how === 'in doubt' || how === 'over' || (how === undefined && !this.#isEarlier(attemptId));
    if (word === 'returned' || isRepeated) return;
    if (word === 'in doubt') this.count(attemptId);
    else if (custody !== undefined) this.delivered(attemptId, word, custody);
    else if (how === 'lost' && word.some(({ result }) => isDelivery(result))) this.count(attemptId);
  }

  /** What it said late has been acted on; said again, it means nothing more. */
  actedOn(attemptId: string): void {
    if (this.#givenUp.of(attemptId) !== 'in doubt')
      this.#givenUp.note(attemptId, 'over', this.#options.now());
  }

  /** Counts an attempt that says to have delivered what somebody else has delivered. */
  delivered(attemptId: string, results: readonly PositionResult[], { message }: Custody): void {
    const isRepeated = results.some(({ position, result }) => {
      const fate = message.recipients[position]?.fate;
      return isDelivery(result) && (fate === 'delivered' || fate === 'relayed');
    });
    if (isRepeated) this.count(attemptId);
  }

  #isEarlier(attemptId: string): boolean {
    return epochOfAttemptId(attemptId) < this.#options.owner.epoch;
  }
}
