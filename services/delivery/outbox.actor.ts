// What this worker tells the owners of partitions: accepted attempts, outcomes, where sites stand; gathered by partition
// over one event-loop turn.
//
// Fails: what is published while the link is down is lost; the ledger's owner tells outcomes again, and owners ask for
// accepted attempts themselves.
import { subjects } from '#libs/nats/layout.ts';
import type { Link } from '#libs/nats/link.ts';
import { type Outcome, OutcomeBatch, type SiteStatus } from '#proto/postrider/v1/job.ts';
import type { Departure } from './departure.ts';

/** Recipients' results in one message: keeps it well under the largest payload of NATS. */
const RESULTS_PER_MESSAGE = 1000;

interface Letter {
  partition: number;
  batch: OutcomeBatch;
  results: number;
}

export class Outbox {
  readonly #link: Pick<Link, 'instance' | 'publish'>;
  readonly #departure: Departure;
  /** By partition, those that take more. */
  readonly #letters = new Map<number, Letter>();
  #ready: Letter[] = [];

  constructor(link: Pick<Link, 'instance' | 'publish'>, departure: Departure) {
    this.#link = link;
    this.#departure = departure;
    departure.join(() => this.#send());
  }

  accepted(partition: number, attemptId: string): void {
    this.#letter(partition).batch.accepted.push(attemptId);
  }

  outcome(partition: number, outcome: Outcome): void {
    const letter = this.#letter(partition);
    letter.batch.outcomes.push(outcome);
    letter.results += 1 + outcome.recipients.length;
    // The next outcome starts a letter of its own; this one leaves with the turn.
    if (letter.results >= RESULTS_PER_MESSAGE) this.#letters.delete(partition);
  }

  site(partition: number, status: SiteStatus): void {
    this.#letter(partition).batch.sites.push(status);
  }

  #letter(partition: number): Letter {
    let letter = this.#letters.get(partition);
    if (letter === undefined) {
      const batch = { worker: this.#link.instance, accepted: [], outcomes: [], sites: [] };
      letter = { partition, batch, results: 0 };
      this.#letters.set(partition, letter);
      this.#ready.push(letter);
      this.#departure.soon();
    }
    return letter;
  }

  #send(): void {
    const letters = this.#ready;
    if (letters.length === 0) return;
    this.#ready = [];
    this.#letters.clear();
    for (const { partition, batch } of letters) {
      this.#link.publish(subjects.outcome(partition), OutcomeBatch.encode(batch).finish());
    }
  }
}
