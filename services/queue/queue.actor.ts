// One queue instance: takes over the partitions that rendezvous hashing gives it, gives up those that it does not, and
// keeps the clocks of all of them. A partition is opened only when no other live instance holds it.
//
// Fails: a partition that cannot be opened is tried again at the next sweep. After a pause in which others may have
// taken our partitions (no connection, a stopped process) nothing is sent until it is known which are still ours.
import { bitmapOf, holdsBit } from '#libs/nats/bitmap.ts';
import { subjects } from '#libs/nats/layout.ts';
import { ownerOf } from '#libs/nats/placement.ts';
import type { Member, Presence } from '#libs/nats/presence.ts';
import { TurnBatch } from '#libs/shell/turn-batch.ts';
import { OutcomeAck } from '#proto/postrider/v1/job.ts';
import type { Acknowledger, QueueContext } from './context.ts';
import { Partition } from './partition.actor.ts';

const TICK_MS = 100;
const SWEEP_MS = 1000;
/** A tick that comes so late means that we were stopped: heartbeats may have been missed, ours and theirs. */
const PAUSE_MS = 2500;
/** After a pause or a reconnect everybody who lives is heard again within this. */
const VIEW_SETTLES_MS = 3000;
/** Who lost a partition to another instance does not know something: it waits before it wants it back. */
const LOST_PAUSE_MS = 15_000;
/** How often it is checked that a partition is still ours, beside every pause. */
const VERIFY_MS = 10_000;

interface Ack {
  owner: Acknowledger;
  worker: string;
  attemptId: string;
}

export type SharedContext = Omit<QueueContext, 'acknowledge' | 'onGone' | 'liveWorkers' | 'viewIsFresh'>;

export class Queue {
  readonly partitions = new Map<number, Partition>();
  readonly #context: QueueContext;
  readonly #acks = new TurnBatch<Ack>((acks) => this.#sendAcks(acks));
  readonly #onGivenUp: (partition: number, reason: string) => void;
  #presence!: Presence;
  #workers: ReadonlySet<string> = new Set();
  #viewBrokenAtMs = 0;
  #tickedAtMs = 0;
  #verifiedAtMs = 0;
  #doubts = 0;
  readonly #lostAtMs = new Map<number, number>();
  #timers: NodeJS.Timeout[] = [];
  #stopping = false;

  /** `onGivenUp` hears of partitions that were lost against our will. */
  constructor(shared: SharedContext, onGivenUp: (partition: number, reason: string) => void) {
    this.#onGivenUp = onGivenUp;
    this.#context = {
      ...shared,
      acknowledge: (owner, worker, attemptId) => this.#acks.add({ owner, worker, attemptId }),
      onGone: (partition, reason) => this.#gone(partition, reason),
      liveWorkers: () => this.#workers,
      viewIsFresh: () => this.#viewIsFresh(),
    };
    shared.link.onReconnected(() => this.#doubt());
  }

  /** What this instance holds, for its heartbeat. */
  holds(): Uint8Array {
    return bitmapOf([...this.partitions.keys()], this.#context.layout.partitions);
  }

  /** Begins to take partitions over. */
  start(presence: Presence): void {
    this.#presence = presence;
    this.#tickedAtMs = this.#context.now();
    this.#verifiedAtMs = this.#tickedAtMs;
    presence.onChange((service) => this.#membersChanged(service));
    this.#membersChanged('delivery');
    this.#place();
    this.#timers.push(
      setInterval(() => this.#tick(), TICK_MS),
      setInterval(() => this.#sweep(), SWEEP_MS),
    );
  }

  #viewIsFresh(): boolean {
    const nowMs = this.#context.now();
    const isAwake = nowMs - this.#tickedAtMs < PAUSE_MS;
    return isAwake && this.#context.link.connected && nowMs - this.#viewBrokenAtMs > VIEW_SETTLES_MS;
  }

  /** Our partitions may have other owners by now: nothing is sent until that is known. */
  #doubt(): void {
    this.#viewBrokenAtMs = this.#context.now();
    this.#context.desk.freeze();
    this.#doubts += 1;
    void this.#verify().finally(() => {
      this.#doubts -= 1;
      if (this.#doubts === 0) this.#context.desk.thaw();
    });
  }

  async #verify(): Promise<void> {
    this.#verifiedAtMs = this.#context.now();
    await Promise.all([...this.partitions.values()].map((partition) => partition.verify()));
  }

  #membersChanged(service: string): void {
    if (service === 'delivery') {
      this.#workers = new Set(this.#presence.members('delivery').map((member) => member.instance));
    } else this.#place();
  }

  #place(): void {
    if (this.#stopping || !this.#viewIsFresh()) return;
    const self = this.#context.link.instance;
    const members = this.#presence.members('queue');
    const instances = members.map((member) => member.instance);
    const others = members.filter((member) => member.instance !== self);
    for (let p = 0; p < this.#context.layout.partitions; p++) {
      const isOurs = ownerOf(`partition ${p}`, instances) === self;
      this.#placeOne(p, isOurs, others);
    }
  }

  #placeOne(p: number, isOurs: boolean, others: Member[]): void {
    const held = this.partitions.get(p);
    const isHeldElsewhere = others.some((member) => holdsBit(member.holds, p));
    if (held === undefined) {
      const lostAtMs = this.#lostAtMs.get(p) ?? Number.NEGATIVE_INFINITY;
      const mayOpen = lostAtMs + LOST_PAUSE_MS <= this.#context.now();
      if (isOurs && !isHeldElsewhere && mayOpen) void this.#open(p);
      return;
    }
    if (!isOurs && held.phase === 'open') void this.#handOver(held);
    else if (isHeldElsewhere) void held.verify();
  }

  async #open(p: number): Promise<void> {
    const partition = new Partition(p, this.#context);
    this.partitions.set(p, partition);
    try {
      if (await partition.open()) return;
    } catch (error) {
      this.#context.onTrouble(`partition ${p} cannot be opened: ${(error as Error).message}`);
    }
    await partition.close();
  }

  async #handOver(partition: Partition): Promise<void> {
    await partition.close();
    this.#presence.announceNow();
  }

  #gone(partition: number, reason: string | undefined): void {
    this.partitions.delete(partition);
    if (reason === undefined) return;
    this.#lostAtMs.set(partition, this.#context.now());
    this.#onGivenUp(partition, reason);
  }

  #tick(): void {
    const nowMs = this.#context.now();
    const wasPaused = nowMs - this.#tickedAtMs >= PAUSE_MS;
    this.#tickedAtMs = nowMs;
    if (wasPaused) this.#doubt();
    for (const partition of this.partitions.values()) partition.tick(nowMs);
  }

  #sweep(): void {
    const nowMs = this.#context.now();
    this.#place();
    this.#context.desk.sweep(nowMs);
    this.#context.counters.outcomes.sweep();
    if (nowMs - this.#verifiedAtMs >= VERIFY_MS) void this.#verify();
    for (const partition of this.partitions.values()) {
      partition.sweep(nowMs).catch((error: Error) => this.#context.onTrouble(error.message));
    }
  }

  #sendAcks(acks: Ack[]): void {
    const batches = new Map<string, { owner: Acknowledger; worker: string; attemptIds: string[] }>();
    for (const { owner, worker, attemptId } of acks) {
      const key = `${owner.number} ${worker}`;
      const batch = batches.get(key);
      if (batch === undefined) batches.set(key, { owner, worker, attemptIds: [attemptId] });
      else batch.attemptIds.push(attemptId);
    }
    for (const { owner, worker, attemptIds } of batches.values()) {
      const { number: partition, epoch } = owner;
      const payload = OutcomeAck.encode({
        partition,
        epoch,
        attemptIds,
        cancelled: [],
        adopted: [],
      }).finish();
      this.#context.link.publish(subjects.outcomeAck(worker), payload);
    }
  }

  /** Ends at once and stores nothing, as a crash would. */
  abandon(): void {
    this.#stopping = true;
    for (const timer of this.#timers) clearInterval(timer);
    for (const partition of [...this.partitions.values()]) partition.abandon();
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
