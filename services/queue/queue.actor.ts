// One queue instance: holds the partitions that `placement.machine.ts` gives it, and keeps the clocks of all of them.
//
// Fails: a partition that cannot be opened is left to others for a while, and tried again. After a pause in which others may have
// taken our partitions (no connection, a stopped process, heartbeats that nobody confirmed) nothing of a partition is sent until it
// is known that it is still ours; while JetStream does not say, it is asked again and again.
import { bitmapOf, holdsBit } from '#libs/nats/bitmap.ts';
import { subjects } from '#libs/nats/layout.ts';
import type { Presence } from '#libs/nats/presence.ts';
import { TurnBatch } from '#libs/shell/turn-batch.ts';
import { OutcomeAck } from '#proto/postrider/v1/job.ts';
import { AuditBudget } from './audit-budget.ts';
import type { Acknowledger, QueueContext } from './context.ts';
import { Partition } from './partition.actor.ts';
import {
  firstFor,
  freePartitions,
  newPlacement,
  type PlacementEffect,
  type PlacementInput,
  type PlacementState,
  type QueueMember,
  receive,
} from './placement.machine.ts';

const TICK_MS = 100;
const SWEEP_MS = 1000;
/** A tick that comes so late means that we were stopped: heartbeats may have been missed, ours and theirs. */
const PAUSE_MS = 2500;
/** After a pause or a reconnect everybody who lives is heard again within this. */
const VIEW_SETTLES_MS = 3000;
/** An id has up to 45 octets. */
const ACKS_PER_MESSAGE = 2000;

interface Ack {
  owner: Acknowledger;
  worker: string;
  attemptId: string;
}

export type SharedContext = Omit<
  QueueContext,
  'acknowledge' | 'onGone' | 'liveWorkers' | 'viewIsFresh' | 'hasLease' | 'auditBudget'
>;

export class Queue {
  readonly partitions = new Map<number, Partition>();
  readonly #context: QueueContext;
  readonly #placement: PlacementState;
  readonly #acks = new TurnBatch<Ack>((acks) => this.#sendAcks(acks));
  readonly #onGivenUp: (partition: number, reason: string) => void;
  readonly #closing = new Map<number, Promise<void>>();
  #presence: Presence | undefined;
  #workers: ReadonlySet<string> = new Set();
  /** Monotonic, as all times here. */
  #viewBrokenAtMs = Number.NEGATIVE_INFINITY;
  #tickedAtMs = 0;
  #lease: 'held' | 'none' = 'held';
  #wasPassive = true;
  #turns = 0;
  #timers: NodeJS.Timeout[] = [];
  #life: 'running' | 'abandoned' = 'running';

  /** `onGivenUp` hears of partitions that were lost against our will. */
  constructor(shared: SharedContext, onGivenUp: (partition: number, reason: string) => void) {
    this.#onGivenUp = onGivenUp;
    this.#placement = newPlacement(shared.link.instance, shared.layout.partitions);
    this.#context = {
      ...shared,
      acknowledge: (owner, worker, attemptId) => this.#acks.add({ owner, worker, attemptId }),
      onGone: (partition, reason) => this.#gone(partition, reason),
      liveWorkers: () => this.#workers,
      viewIsFresh: () => this.#viewIsFresh(),
      hasLease: () => this.hasLease,
      auditBudget: new AuditBudget(),
    };
    shared.desk.actsWhile(() => this.hasLease);
    shared.link.onReconnected(() => this.#doubt());
  }

  /** What this instance holds, for its heartbeat. */
  holds(): Uint8Array {
    return bitmapOf([...this.partitions.keys()], this.#context.layout.partitions);
  }

  /** For its heartbeat: what others leave to us now would be nobody's. */
  get isPassive(): boolean {
    return this.#presence === undefined || this.#placement.stance === 'stopped' || !this.#viewIsFresh();
  }

  /** Until its end others do not think that we are gone; without it nothing is sent. */
  get hasLease(): boolean {
    return this.#presence !== undefined && performance.now() < this.#presence.leaseUntilMs;
  }

  /** Partitions that nobody is heard to hold, as far as is known here; none while that is not known. */
  get freePartitions(): number[] {
    return this.isPassive ? [] : freePartitions(this.#placement);
  }

  /** Partitions whose mail nobody counts unless it is counted here: we are next for them, or load them. */
  get uncounted(): number[] {
    const free = this.freePartitions;
    const others = free.length === 0 ? [] : this.#others();
    const ours = free.filter(
      (partition) => firstFor(this.#placement, partition, others) === this.#context.link.instance,
    );
    const loading = [...this.partitions.values()].filter(({ phase }) => phase === 'opening');
    return [...ours, ...loading.map(({ number }) => number)];
  }

  /** Begins to take partitions over. */
  start(presence: Presence): void {
    this.#presence = presence;
    this.#tickedAtMs = performance.now();
    this.#lease = this.hasLease ? 'held' : 'none';
    presence.onChange((service) => this.#membersChanged(service));
    this.#membersChanged('delivery');
    this.#place();
    this.#passivityChanged();
    this.#timers.push(
      setInterval(() => this.#tick(), TICK_MS),
      setInterval(() => this.#sweep(), SWEEP_MS),
    );
  }

  #viewIsFresh(): boolean {
    const nowMs = performance.now();
    const isAwake = nowMs - this.#tickedAtMs < PAUSE_MS;
    const isSettled = nowMs - this.#viewBrokenAtMs > VIEW_SETTLES_MS;
    return isAwake && isSettled && this.#context.link.connected && this.hasLease;
  }

  /** Our partitions may have other owners by now: nothing of them is sent until that is known. */
  #doubt(): void {
    this.#viewBrokenAtMs = performance.now();
    this.#feed({ kind: 'doubted', nowMs: this.#viewBrokenAtMs });
    this.#passivityChanged();
  }

  /** Others must know before they leave anything to us, and as soon as they may. */
  #passivityChanged(): void {
    const { isPassive } = this;
    if (isPassive === this.#wasPassive) return;
    this.#wasPassive = isPassive;
    this.#presence?.announceNow();
  }

  #membersChanged(service: string): void {
    if (service === 'delivery') {
      this.#workers = new Set(this.#presence!.members('delivery').map((member) => member.instance));
    } else this.#place();
  }

  #place(): void {
    if (this.#viewIsFresh()) this.#feed({ kind: 'viewed', others: this.#others(), nowMs: performance.now() });
  }

  #others(): QueueMember[] {
    const self = this.#context.link.instance;
    const others = this.#presence!.members('queue').filter(({ instance }) => instance !== self);
    return others.map(({ instance, holds, passive, silentMs }) => {
      return { instance, passive, silentMs, holds: (partition: number) => holdsBit(holds, partition) };
    });
  }

  #feed(input: PlacementInput): void {
    if (this.#life === 'abandoned') return;
    for (const effect of receive(this.#placement, input)) this.#perform(effect);
  }

  #perform(effect: PlacementEffect): void {
    const { desk, onTrouble } = this.#context;
    if (effect.kind === 'announce') this.#presence?.announceNow();
    else if (effect.kind === 'open') void this.#open(effect.partition);
    else {
      const partition = this.partitions.get(effect.partition)!;
      switch (effect.kind) {
        case 'close':
          if (effect.reason === 'too late') onTrouble(`partition ${partition.number} does not open in time`);
          void this.#close(partition);
          break;
        case 'verify':
          void this.#verify(partition, effect.round);
          break;
        case 'freeze':
          desk.freeze(partition);
          break;
        case 'thaw':
          desk.thaw(partition);
          break;
      }
    }
  }

  async #open(number: number): Promise<void> {
    const partition = new Partition(number, this.#context);
    this.partitions.set(number, partition);
    try {
      if (await partition.open()) {
        this.#feed({ kind: 'opened', partition: number, nowMs: performance.now() });
        return;
      }
    } catch (error) {
      this.#context.onTrouble(`partition ${number} cannot be opened: ${(error as Error).message}`);
    }
    if (!this.#closing.has(number)) await this.#close(partition);
  }

  async #close(partition: Partition): Promise<void> {
    const closed = partition.close();
    this.#closing.set(partition.number, closed);
    await closed;
    if (this.#closing.get(partition.number) === closed) this.#closing.delete(partition.number);
  }

  async #verify(partition: Partition, round: number): Promise<void> {
    const owner = await partition.verify();
    this.#feed({ kind: 'verified', partition: partition.number, round, owner, nowMs: performance.now() });
  }

  #gone(partition: number, reason: string | undefined): void {
    this.#context.desk.thaw(this.partitions.get(partition)!);
    this.partitions.delete(partition);
    const kind = reason === undefined ? 'closed' : 'lost';
    this.#feed({ kind, partition, nowMs: performance.now() });
    if (reason !== undefined) this.#onGivenUp(partition, reason);
  }

  #tick(): void {
    const nowMs = performance.now();
    const wasPaused = nowMs - this.#tickedAtMs >= PAUSE_MS;
    this.#tickedAtMs = nowMs;
    const hadLease = this.#lease === 'held';
    this.#lease = this.hasLease ? 'held' : 'none';
    if (wasPaused || hadLease !== (this.#lease === 'held')) this.#doubt();
    this.#feed({ kind: 'ticked', nowMs });
    this.#passivityChanged();
    this.#context.desk.resume();
    this.#context.auditBudget.renew();
    const wallMs = this.#context.now();
    for (const partition of this.#inTurn()) partition.tick(wallMs);
  }

  /** Each is first now and then: what they share in a turn may not reach the last. */
  #inTurn(): Partition[] {
    const all = [...this.partitions.values()];
    this.#turns += 1;
    const first = this.#turns % (all.length || 1);
    return [...all.slice(first), ...all.slice(0, first)];
  }

  #sweep(): void {
    const nowMs = this.#context.now();
    this.#place();
    this.#context.desk.sweep(nowMs);
    this.#context.counters.outcomes.sweep();
    void this.#context.checkpointRoom.look();
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
      for (let from = 0; from < attemptIds.length; from += ACKS_PER_MESSAGE) {
        const some = attemptIds.slice(from, from + ACKS_PER_MESSAGE);
        const ack = { partition, epoch, attemptIds: some, cancelled: [], adopted: [] };
        this.#context.link.publish(subjects.outcomeAck(worker), OutcomeAck.encode(ack).finish());
      }
    }
  }

  /** Ends at once and stores nothing, as a crash would. */
  abandon(): void {
    this.#life = 'abandoned';
    for (const timer of this.#timers) clearInterval(timer);
    for (const partition of [...this.partitions.values()]) partition.abandon();
  }

  /** Gives every partition up, each to others as soon as it is stored, and says goodbye. */
  async stop(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    this.#feed({ kind: 'stopped' });
    await Promise.all(this.#closing.values());
    this.#acks.flushNow();
    await this.#presence?.leave();
  }
}
