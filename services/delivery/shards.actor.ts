// Serves the shards that are ours: follows who is alive, subscribes, and hands over without a gap.
//
// Fails: attempts that do not end in time do not hold a shard back; they are finished here while the next owner starts.
import { subjects } from '#libs/nats/layout.ts';
import type { Incoming, Link, LinkSubscription } from '#libs/nats/link.ts';
import { Presence } from '#libs/nats/presence.ts';
import { holdsOf, newShards, receive, type ShardsInput, type ShardsState } from './shards.machine.ts';

const SERVICE = 'delivery';
const OWNERS = 'queue';
/** After this a shard is handed over although attempts of it still run here. */
const HANDOVER_MAX_MS = 5000;

export interface ShardsOptions {
  link: Link;
  shards: number;
  now: () => number;
  onJobs: (message: Incoming) => void;
  /** Gives back what waits for the shard's sites and closes their idle connections. */
  drain: (shard: number) => void;
  /** Connections of the shard that are still open. */
  open: (shard: number) => number;
}

export class Shards {
  readonly #options: ShardsOptions;
  readonly #state: ShardsState;
  readonly #presence: Presence;
  readonly #subscriptions = new Map<number, LinkSubscription>();
  /** Shards that are being left, and since when. */
  readonly #leaving = new Map<number, number>();

  constructor(options: ShardsOptions) {
    const { link, shards } = options;
    this.#options = options;
    this.#state = newShards(link.instance, shards);
    const holds = () => holdsOf(this.#state);
    this.#presence = new Presence(link, { service: SERVICE, watch: [SERVICE, OWNERS], holds });
  }

  /** Shards that are served now. */
  get held(): number {
    return this.#subscriptions.size;
  }

  /** Whether anybody lives who owns mail, or will after one that died. */
  get hasOwners(): boolean {
    return this.#presence.members(OWNERS).length > 0;
  }

  async start(): Promise<void> {
    await this.#presence.start();
    this.#presence.onChange((service) => service === SERVICE && this.#view());
    this.#view();
  }

  /** Leaves every shard; others take over as soon as each is cleared. */
  leaveAll(): void {
    this.#feed({ kind: 'stopped' });
  }

  /** Says goodbye: for the others we are gone. */
  async leave(): Promise<void> {
    await this.#presence.leave();
  }

  /** Called about twice a second. */
  sweep(nowMs: number): void {
    for (const [shard, sinceMs] of this.#leaving) {
      if (this.#options.open(shard) > 0 && nowMs < sinceMs + HANDOVER_MAX_MS) continue;
      this.#leaving.delete(shard);
      this.#options.drain(shard);
      this.#feed({ kind: 'cleared', shard });
    }
  }

  #view(): void {
    this.#feed({ kind: 'viewed', members: this.#presence.members(SERVICE) });
  }

  #feed(input: ShardsInput): void {
    const { link, onJobs, drain, now } = this.#options;
    for (const effect of receive(this.#state, input)) {
      switch (effect.kind) {
        case 'subscribe': {
          this.#leaving.delete(effect.shard);
          const subject = subjects.deliver(effect.shard);
          this.#subscriptions.set(effect.shard, link.subscribe(subject, onJobs, { workerGroup: SERVICE }));
          break;
        }
        case 'leave':
          this.#subscriptions.get(effect.shard)!.unsubscribe();
          this.#subscriptions.delete(effect.shard);
          this.#leaving.set(effect.shard, now());
          drain(effect.shard);
          break;
        case 'announce':
          this.#presence.announceNow();
          break;
      }
    }
  }
}
