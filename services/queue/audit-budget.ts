// How long the audits of all partitions of an instance may read in one turn of the clock, together: an owner of 32 partitions would else
// stand still for 32 slices. By time, since mails differ by thousands of recipients.
//
// Fails: a single step that takes long is not interrupted (a mail with 50,000 recipients, a millisecond).

/** One percent of the event loop at ten turns in a second. */
const BUDGET_MS = 1;
/** Steps between two looks at the clock, which cost as much as one of them. */
const CLOCK_EVERY = 16;

/** What a step found. enough: the rest need not be read. A number: so many steps more than one. */
export type Step = 'enough' | number;

export class AuditBudget {
  readonly #budgetMs: number;
  readonly #clock: () => number;
  #leftMs: number;

  /** `clock`: monotonic, milliseconds. */
  constructor({ budgetMs = BUDGET_MS, clock = () => performance.now() } = {}) {
    this.#budgetMs = budgetMs;
    this.#clock = clock;
    this.#leftMs = budgetMs;
  }

  /** A turn begins. */
  renew(): void {
    this.#leftMs = this.#budgetMs;
  }

  /** Takes what is left, as long as there is time; true when nothing is, or enough was read. */
  spend<T>(left: Iterator<T>, take: (one: T) => Step): boolean {
    if (this.#leftMs <= 0) return false;
    const startMs = this.#clock();
    const isOver = this.#read(left, take, startMs + this.#leftMs);
    this.#leftMs -= this.#clock() - startMs;
    return isOver;
  }

  #read<T>(left: Iterator<T>, take: (one: T) => Step, untilMs: number): boolean {
    for (let steps = 0; ; ) {
      const next = left.next();
      if (next.done === true) return true;
      const step = take(next.value);
      if (step === 'enough') return true;
      steps += 1 + step;
      if (steps < CLOCK_EVERY) continue;
      if (this.#clock() >= untilMs) return false;
      steps = 0;
    }
  }
}
