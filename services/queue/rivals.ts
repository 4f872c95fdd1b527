// Attempts of one mail that are out at once for the same recipients: an owner that died had sent it again, and a next one adopts both.
// Pure.
//
// Invariants:
//  V1  A recipient whose final dot may be out is tried by nobody else until that attempt is over: what another one says of it counts
//      only when it is a delivery.
//  V2  When one of them has delivered, each other one that has passed its checkpoint is counted.
import type { Attempt, AttemptLedger } from './attempts.ts';
import type { Custody } from './custody.ts';
import { isDelivery, type PositionResult } from './recipient-steps.ts';

export class Rivals {
  readonly #attempts: Pick<AttemptLedger, 'unfinished'>;
  /** Mails that had several attempts out at once: hardly any. */
  readonly #shared = new WeakSet<Custody>();

  constructor(attempts: Pick<AttemptLedger, 'unfinished'>) {
    this.#attempts = attempts;
  }

  /** The mail has an attempt more than one. */
  share(custody: Custody): void {
    this.#shared.add(custody);
  }

  /** Attempts of the mail that have no outcome, without `but`. */
  *of(custody: Custody, but?: Attempt): Generator<Attempt> {
    for (const attempt of this.#attempts.unfinished()) {
      if (attempt.custody === custody && attempt !== but) yield attempt;
    }
  }

  /** Recipients of an attempt that no other one is out for. */
  alone(attempt: Attempt): readonly number[] {
    const { custody, positions } = attempt;
    if (!this.#shared.has(custody)) return positions;
    const others = new Set([...this.of(custody, attempt)].flatMap((other) => other.positions));
    return positions.filter((position) => !others.has(position));
  }

  /** What is to be believed of an attempt's results (V1). */
  believed(attempt: Attempt, results: readonly PositionResult[]): readonly PositionResult[] {
    if (!this.#shared.has(attempt.custody)) return results;
    const alone = new Set(this.alone(attempt));
    return results.filter(({ position, result }) => isDelivery(result) || alone.has(position));
  }

  /** Ids of those that may have delivered what these results say to be delivered (V2). */
  overtaken(custody: Custody, results: readonly PositionResult[], but?: Attempt): string[] {
    const delivered = new Set(results.filter(({ result }) => isDelivery(result)).map((one) => one.position));
    if (delivered.size === 0) return [];
    const passed = [...this.of(custody, but)].filter(({ checkpointed }) => checkpointed);
    return passed
      .filter(({ positions }) => positions.some((position) => delivered.has(position)))
      .map(({ id }) => id);
  }

  isShared(custody: Custody): boolean {
    return this.#shared.has(custody);
  }
}
