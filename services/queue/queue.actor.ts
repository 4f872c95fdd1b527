// One queue instance: takes over the partitions that rendezvous hashing gives it, gives up those that it does not, and
// keeps the clocks of all of them. A partition is opened only when no other live instance holds it.
//
// Fails: a partition that cannot be opened is tried again at the next sweep.
import { bitmapOf, holdsBit } from '#libs/nats/bitmap.ts';
import { subjects } from '#libs/nats/layout.ts';
import { ownerOf } from '#libs/nats/placement.ts';
import type { Presence } from '#libs/nats/presence.ts';
import { TurnBatch } from '#libs/shell/turn-batch.ts';
import { OutcomeAck } from '#proto/postrider/v1/job.ts';
import type { QueueContext } from './context.ts';
import { Partition } from './partition.actor.ts';

const TICK_MS = 100;
const SWEEP_MS = 1000;
/** After a reconnect, heartbeats need this long before silence means anything. */
const VIEW_SETTLES_MS = 7000;

interface Ack {
  partition: Partition;
  worker: string;
  attemptId: string;
}

export type SharedContext = Omit<QueueContext, 'acknowledge' | 'onGone' | 'liveWorkers' | 'viewIsFresh'>;

export class Queue {
  readonly partitions = new Map<number, Partition>();
  readonly #context: QueueContext;
  #presence!: Presence;
  readonly #acks = new TurnBatch<Ack>((acks) => this.#sendAcks(acks));
  readonly #onGone: (partition: number, reason: string) => void;
  #workers: ReadonlySet<string> = new Set();
  #connectedSinceMs = 0;
  #timers: NodeJS.Timeout[] = [];
  #stopping = false;

  constructor(shared: SharedContext, onGone: (partition: number, reason: string) => void) {
    this.#onGone = onGone;
    this.#context = {
      ...shared,
      acknowledge: (partition, worker, attemptId) => this.#acks.add({ partition, worker, attemptId }),
      onGone: (partition, reason) => this.#gone(partition, reason),
      liveWorkers: () => this.#workers,
      viewIsFresh: () => shared.link.connected && shared.now() - this.#connectedSinceMs > VIEW_SETTLES_MS,
    };
    shared.link.onReconnected(() => {
      this.#connectedSinceMs = shared.now();
    });
  }

  /** What this instance holds, for its heartbeat. */
  holds(): Uint8Array {
    return bitmapOf([...this.partitions.keys()], this.#context.layout.partitions);
  }

  /** Begins to take partitions over. */
  start(presence: Presence): void {
    this.#presence = presence;
    presence.onChange((service) => this.#membersChanged(service));
    this.#membersChanged('delivery');
    this.#place();
    this.#timers.push(
      setInterval(() => this.#tick(), TICK_MS),
      setInterval(() => this.#sweep(), SWEEP_MS),
    );
  }

  #membersChanged(service: string): void {
    if (service === 'delivery') {
      this.#workers = new Set(this.#presence.members('delivery').map((member) => member.instance));
    } else this.#place();
  }

  #place(): void {
    if (this.#stopping) return;
    const self = this.#context.link.instance;
    const members = this.#presence.members('queue');
    const instances = members.map((member) => member.instance);
    const others = members.filter((member) => member.instance !== self);
    for (let p = 0; p < this.#context.layout.partitions; p++) {
      const ours = ownerOf(`partition ${p}`, instances) === self;
      const held = this.partitions.get(p);
      if (ours && held === undefined && !others.some((member) => holdsBit(member.holds, p)))
        void this.#open(p);
      if (!ours && held?.phase === 'open') void this.#handOver(held);
    }
  }

  async #open(p: number): Promise<void> {
    const partition = new Partition(p, this.#context);
    this.partitions.set(p, partition);
    try {
      if (await partition.open()) return;
      await partition.close();
    } catch (error) {
      this.#context.onTrouble(`partition ${p} cannot be opened: ${(error as Error).message}`);
      await partition.close();
    }
  }

  async #handOver(partition: Partition): Promise<void> {
    await partition.close();
    this.#presence.announceNow();
  }

  #gone(partition: Partition, reason: string): void {
    if (this.partitions.get(partition.number) === partition) this.partitions.delete(partition.number);
    if (reason !== 'closing') this.#onGone(partition.number, reason);
  }

  #tick(): void {
    const nowMs = this.#context.now();
    for (const partition of this.partitions.values()) partition.tick(nowMs);
  }

  #sweep(): void {
    const nowMs = this.#context.now();
    this.#place();
    this.#context.desk.sweep(nowMs);
    for (const partition of this.partitions.values()) {
      partition.sweep(nowMs).catch((error: Error) => this.#context.onTrouble(error.message));
    }
  }

  #sendAcks(acks: Ack[]): void {
    const batches = new Map<string, { partition: Partition; worker: string; attemptIds: string[] }>();
    for (const { partition, worker, attemptId } of acks) {
      const key = `${partition.number} ${worker}`;
      const batch = batches.get(key);
      if (batch === undefined) batches.set(key, { partition, worker, attemptIds: [attemptId] });
      else batch.attemptIds.push(attemptId);
    }
    for (const { partition, worker, attemptIds } of batches.values()) {
      const payload = OutcomeAck.encode({
        partition: partition.number,
        epoch: partition.epoch,
        attemptIds,
      }).finish();
      this.#context.link.publish(subjects.outcomeAck(worker), payload);
    }
  }

  /** Gives every partition up and says goodbye. */
  async stop(): Promise<void> {
    this.#stopping = true;
    for (const timer of this.#timers) clearInterval(timer);
    await Promise.all([...this.partitions.values()].map((partition) => partition.close()));
    this.#acks.flushNow();
    await this.#presence.leave();
  }
}
