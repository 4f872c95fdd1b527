// The last station before a mail can be out twice: publishes that an attempt is about to send its final dot, for all
// connections of one event-loop turn together, and lets them go on when the server has confirmed it. Then every owner hears
// of it: no dot is sent by a worker that is cut off, however little it knows of that.
//
// Fails: while the link is down nobody passes; who waits goes on when it is back, or runs into the host's patience.
import { subjects } from '#libs/nats/layout.ts';
import type { Link } from '#libs/nats/link.ts';
import { Checkpoint } from '#proto/postrider/v1/job.ts';
import type { Attempt } from './attempt.ts';
import type { Departure } from './departure.ts';

/** Called when the server has the checkpoint of the attempt. */
export type Passage = () => void;

interface Passenger {
  attempt: Attempt;
  goOn: Passage;
}

export interface CheckpointsOptions {
  link: Pick<Link, 'instance' | 'connected' | 'publish' | 'confirm' | 'onReconnected'>;
  departure: Departure;
  /** The attempt is marked before it is published. */
  onPassed: (attemptId: string) => void;
}

export class Checkpoints {
  readonly #options: CheckpointsOptions;
  #waiting: Passenger[] = [];

  constructor(options: CheckpointsOptions) {
    this.#options = options;
    options.departure.join(() => this.#publish());
    options.link.onReconnected(() => options.departure.soon());
  }

  /** Calls `goOn` in a later turn, when the server has confirmed the checkpoint. */
  pass(attempt: Attempt, goOn: Passage): void {
    this.#waiting.push({ attempt, goOn });
    this.#options.departure.soon();
  }

  #publish(): void {
    const { link, onPassed } = this.#options;
    if (this.#waiting.length === 0 || !link.connected) return;
    const passengers = this.#waiting;
    this.#waiting = [];
    const byPartition = new Map<number, string[]>();
    for (const { attempt } of passengers) {
      const { attemptId, partition } = attempt.job;
      onPassed(attemptId);
      const ids = byPartition.get(partition);
      if (ids === undefined) byPartition.set(partition, [attemptId]);
      else ids.push(attemptId);
    }
    for (const [partition, attemptIds] of byPartition) {
      const checkpoint = Checkpoint.encode({
        worker: link.instance,
        attemptIds,
        ended: [],
        parts: [],
      }).finish();
      link.publish(subjects.checkpoint(partition), checkpoint);
    }
    void link.confirm().then((isConfirmed) => {
      if (isConfirmed) for (const { goOn } of passengers) goOn();
      else this.#again(passengers);
    });
  }

  /** The connection was lost before the server said that it has them. */
  #again(passengers: readonly Passenger[]): void {
    this.#waiting.unshift(...passengers);
    this.#options.departure.soon();
  }
}
