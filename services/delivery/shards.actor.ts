// Serves the shards that are ours: follows who is alive, subscribes, and hands over without a gap. A shard is handed over
// when none of its connections is open any more: then the next owner may open as many as the site's limit allows. Until that
// one has subscribed, jobs that come to us are given back at once: a job that nobody hears is missed only after seconds.
//
// Fails: when the server does not confirm our heartbeats, the lease ends before the others think that we are gone; all
// connections are closed then, and shards are taken again when everybody who lives has been heard.
import type { ClockOffset } from '#libs/nats/clock-skew.ts';
import { subjects } from '#libs/nats/layout.ts';
import type { Incoming, Link, LinkSubscription } from '#libs/nats/link.ts';
import { LEASE_MS, Presence } from '#libs/nats/presence.ts';
import { holdsOf, newShards, receive, type ShardsInput, type ShardsState } from './shards.machine.ts';

const SERVICE = 'delivery';
const OWNERS = 'queue';
/**
 * On its usual way a job overtakes no heartbeat and is overtaken by none. One that was held up (a nats-server that hung, a network
 * that was cut) comes on another way, when its owner, after three seconds, has sent it again.
 */
const JOBS_LATE_MS = 1500;
/** Who holds a shard was heard within a lease, and a little for the way. */
const SETTLE_MS = LEASE_MS + 500;
/** What the server confirmed longer ago says too little about who has which shard now. */
const FRESH_MS = 300;
/**
 * The others know for so long that we are there before we take what may be somebody else's: more than FRESH_MS for what they
 * know, and as much for what we do.
 */
const KNOWN_FIRST_MS = 1000;
/** The next owner has subscribed within this, and owners of mail do not send to us any more. */
const GIVEN_MS = 500;

export interface ShardsOptions {
  link: Link;
  shards: number;
  onJobs: (message: Incoming) => void;
  /** Gives back what waits for the sites of these shards and closes their idle connections. */
  drain: (shards: ReadonlySet<number>) => void;
  /** Of these shards, those that have open connections. */
  busy: (shards: ReadonlySet<number>) => Set<number>;
  /** The lease has ended: closes all connections now. */
  cut: () => void;
}

export class Shards {
  readonly #options: ShardsOptions;
  readonly #state: ShardsState;
  readonly #presence: Presence;
  readonly #subscriptions = new Map<number, LinkSubscription>();
  readonly #leaving = new Set<number>();
  /** Shards that are not ours any more and whose jobs may still come to us, with the end of that (performance.now). */
  readonly #given = new Map<number, number>();
  #lease: 'new' | 'none' | 'held' = 'new';
  /** No shard is taken before (performance.now). */
  #takesFromMs = 0;
  #wasPassive = false;
  #view: 'seen' | 'stale' | 'asking' = 'stale';

  constructor(options: ShardsOptions) {
    const { link, shards } = options;
    this.#options = options;
    this.#state = newShards(link.instance, shards);
    const holds = () => holdsOf(this.#state);
    this.#presence = new Presence(link, {
      service: SERVICE,
      watch: [SERVICE, OWNERS],
      holds,
      isPassive: () => this.#isPassive,
    });
  }

  /** Shards that are served now. */
  get held(): number {
    return this.#subscriptions.size - this.#leaving.size - this.#given.size;
  }

  /** False when what comes for the shard must be given back. */
  isOurs(shard: number): boolean {
    return this.#subscriptions.has(shard) && !this.#leaving.has(shard) && !this.#given.has(shard);
  }

  /** True when heartbeats that its owner sent much later were here before it. */
  isLate({ owner, clockMs }: { owner: string; clockMs: number }): boolean {
    const newestMs = this.#presence.clockOf(OWNERS, owner);
    return newestMs !== undefined && newestMs - clockMs > JOBS_LATE_MS;
  }

  /** Whether anybody lives who owns mail, or will after one that died. */
  get hasOwners(): boolean {
    return this.#presence.members(OWNERS).length > 0;
  }

  /** False from the moment when others may think that we are gone: whatever is ours may be theirs. */
  get hasLease(): boolean {
    return performance.now() < this.#presence.leaseUntilMs;
  }

  /** Of the wall clocks of who lives. */
  clockOffsets(): ClockOffset[] {
    return this.#presence.clockOffsets();
  }

  /** Resolves when the first shards are taken. */
  async start(): Promise<void> {
    await this.#presence.start();
    this.#presence.onChange((service) => {
      if (service === SERVICE) void this.#look();
    });
    this.#lease = this.hasLease ? 'held' : 'none';
    await this.#look();
  }

  /** Leaves every shard; others take over as soon as each is cleared. */
  leaveAll(): void {
    this.#feed({ kind: 'stopped' });
    this.#presence.announceNow();
  }

  /** Says goodbye: for the others we are gone. */
  async leave(): Promise<void> {
    await this.#presence.leave();
  }

  /** Called several times a second, before anything else is done for the connections. */
  sweep(): void {
    const wasPassive = this.#wasPassive;
    this.#watchLease();
    this.#wasPassive = this.#isPassive;
    if (wasPassive && !this.#wasPassive) this.#presence.announceNow();
    if (this.#lease === 'held' && this.#view === 'stale') void this.#look();
    for (const [shard, untilMs] of this.#given) if (untilMs < performance.now()) this.#unsubscribe(shard);
    if (this.#leaving.size === 0) return;
    this.#options.drain(this.#leaving);
    const busy = this.#options.busy(this.#leaving);
    for (const shard of this.#leaving) {
      if (busy.has(shard)) continue;
      this.#leaving.delete(shard);
      this.#feed({ kind: 'cleared', shard });
    }
  }

  /** Others would leave to us what we do not take yet, and nobody would have it. */
  get #isPassive(): boolean {
    const isFar = performance.now() < this.#takesFromMs - KNOWN_FIRST_MS;
    return this.#lease === 'none' || isFar || this.#state.placement === 'stopped';
  }

  #watchLease(): void {
    const { hasLease } = this;
    if (this.#lease === 'new' || hasLease === (this.#lease === 'held')) return;
    this.#lease = hasLease ? 'held' : 'none';
    if (hasLease) {
      this.#takesFromMs = performance.now() + SETTLE_MS;
      this.#view = 'stale';
      return;
    }
    this.#feed({ kind: 'leaseEnded' });
    this.#leaving.clear();
    this.#options.cut();
  }

  /** Who lives and holds what is acted on only when all that was said until a moment ago has been heard. */
  async #look(): Promise<void> {
    if (this.#view === 'asking') return;
    this.#view = 'asking';
    const askedAtMs = performance.now();
    const isHeard = await this.#options.link.confirm();
    const nowMs = performance.now();
    const isFresh = isHeard && nowMs - askedAtMs < FRESH_MS;
    this.#view = 'stale';
    if (!isFresh || !this.hasLease || this.#lease !== 'held' || nowMs < this.#takesFromMs) return;
    this.#view = 'seen';
    this.#feed({ kind: 'viewed', members: this.#presence.members(SERVICE) });
  }

  #feed(input: ShardsInput): void {
    const { link, onJobs, drain } = this.#options;
    const left = new Set<number>();
    for (const effect of receive(this.#state, input)) {
      switch (effect.kind) {
        case 'subscribe': {
          if (this.#leaving.delete(effect.shard) || this.#given.delete(effect.shard)) break;
          const subject = subjects.deliver(effect.shard);
          this.#subscriptions.set(effect.shard, link.subscribe(subject, onJobs, { workerGroup: SERVICE }));
          break;
        }
        case 'leave':
          this.#leaving.add(effect.shard);
          left.add(effect.shard);
          break;
        case 'giveAway':
          this.#given.set(effect.shard, performance.now() + GIVEN_MS);
          break;
        case 'drop':
          this.#unsubscribe(effect.shard);
          break;
        case 'announce':
          this.#presence.announceNow();
          break;
      }
    }
    if (left.size > 0) drain(left);
  }

  #unsubscribe(shard: number): void {
    this.#subscriptions.get(shard)?.unsubscribe();
    this.#subscriptions.delete(shard);
    this.#given.delete(shard);
  }
}
