// What this worker tells the owners of partitions: accepted attempts, outcomes, where sites stand; gathered by partition
// over one event-loop turn, in messages of a bounded size.
//
// Fails: what is published while the link is down is lost; the ledger's owner tells outcomes again, and owners ask for
// accepted attempts themselves.
import { subjects } from '#libs/nats/layout.ts';
import type { Link } from '#libs/nats/link.ts';
import { gatheredMax } from '#libs/nats/payload.ts';
import { type Outcome, OutcomeBatch, type SiteStatus } from '#proto/postrider/v1/job.ts';
import type { Departure } from './departure.ts';
import { outcomeOctets, refitted } from './outcome-octets.ts';

/** A site's standing, without its key and the reason: at most. */
const STATUS_OCTETS = 64;
/** What an id takes beside its own octets. */
const ID_OCTETS = 2;

interface Letter {
  partition: number;
  batch: OutcomeBatch;
  octets: number;
}

export class Outbox {
  readonly #link: Pick<Link, 'instance' | 'publish' | 'payloadMax'>;
  readonly #departure: Departure;
  /** By partition, those that take more. */
  readonly #letters = new Map<number, Letter>();
  #ready: Letter[] = [];

  constructor(link: Pick<Link, 'instance' | 'publish' | 'payloadMax'>, departure: Departure) {
    this.#link = link;
    this.#departure = departure;
    departure.join(() => this.#send());
  }

  accepted(partition: number, attemptId: string): void {
    this.#letter(partition, attemptId.length + ID_OCTETS).batch.accepted.push(attemptId);
  }

  /** Takes it as it was fitted when the attempt ended; the server may take less by now. */
  outcome(partition: number, outcome: Outcome): void {
    const told = refitted(outcome, this.#link.payloadMax);
    this.#letter(partition, outcomeOctets(told)).batch.outcomes.push(told);
  }

  site(partition: number, status: SiteStatus): void {
    const octets = STATUS_OCTETS + status.siteKey.length + (status.reason?.text.length ?? 0);
    this.#letter(partition, octets).batch.sites.push(status);
  }

  /** One with room for so many octets more, or an empty one. */
  #letter(partition: number, octets: number): Letter {
    let letter = this.#letters.get(partition);
    if (letter === undefined || letter.octets + octets > gatheredMax(this.#link.payloadMax)) {
      const batch = { worker: this.#link.instance, accepted: [], outcomes: [], sites: [] };
      letter = { partition, batch, octets: ID_OCTETS + batch.worker.length };
      this.#letters.set(partition, letter);
      this.#ready.push(letter);
      this.#departure.soon();
    }
    letter.octets += octets;
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
