// The last station before a mail can be out twice: publishes that an attempt is about to send its final dot, for all
// connections of one event-loop turn together, and only then lets them go on.
//
// Fails: while the link is down nobody passes; who waits goes on when it is back, or runs into the host's patience.
import { subjects } from '#libs/nats/layout.ts';
import type { Link } from '#libs/nats/link.ts';
import { TurnBatch } from '#libs/shell/turn-batch.ts';
import { Checkpoint } from '#proto/postrider/v1/job.ts';
import type { Attempt } from './attempt.ts';

/** Called when the checkpoint of the attempt has left. */
export type Passage = () => void;

interface Passenger {
  attempt: Attempt;
  goOn: Passage;
}

export interface CheckpointsOptions {
  link: Pick<Link, 'instance' | 'connected' | 'publish' | 'onReconnected'>;
  /** The attempt is marked before it is published. */
  onPassed: (attemptId: string) => void;
}

export class Checkpoints {
  readonly #options: CheckpointsOptions;
  readonly #turn: TurnBatch<Passenger>;
  #stranded: Passenger[] = [];

  constructor(options: CheckpointsOptions) {
    this.#options = options;
    this.#turn = new TurnBatch((passengers) => this.#publish(passengers));
    options.link.onReconnected(() => {
      const stranded = this.#stranded;
      this.#stranded = [];
      this.#publish(stranded);
    });
  }

  /** Calls `goOn` in a later turn, when the checkpoint is in the socket to NATS. */
  pass(attempt: Attempt, goOn: Passage): void {
    this.#turn.add({ attempt, goOn });
  }

  #publish(passengers: Passenger[]): void {
    const { link, onPassed } = this.#options;
    if (!link.connected) {
      this.#stranded.push(...passengers);
      return;
    }
    const byPartition = new Map<number, string[]>();
    for (const { attempt } of passengers) {
      const { attemptId, partition } = attempt.job;
      onPassed(attemptId);
      const ids = byPartition.get(partition);
      if (ids === undefined) byPartition.set(partition, [attemptId]);
      else ids.push(attemptId);
    }
    for (const [partition, attemptIds] of byPartition) {
      const checkpoint = Checkpoint.encode({ worker: link.instance, attemptIds }).finish();
      link.publish(subjects.checkpoint(partition), checkpoint);
    }
    // The link writes to its socket in a microtask: by the next turn the checkpoint is ahead of the dot.
    setImmediate(() => {
      for (const { goOn } of passengers) goOn();
    });
  }
}
