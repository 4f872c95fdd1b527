// All sites of the worker, found by key or by shard, the connections that they share, and the one timer that moves them.
import type { Site } from '#proto/postrider/v1/route.ts';
import { Transport } from '#proto/postrider/v1/route.ts';
import type { Attempt } from './attempt.ts';
import { type BudgetState, isCrowded, newBudget, next, roomOf, update } from './budget.machine.ts';
import { type AttemptEnd, SiteActor, type SiteContext } from './site.actor.ts';
import { ROOM_FOR_ALL, type SiteRoom } from './site.machine.ts';

/** A site that nobody used for so long is forgotten. */
const FORGET_AFTER_MS = 600_000;

export interface SiteTotals {
  sites: number;
  suspended: number;
  waiting: number;
  running: number;
  connections: number;
  /** Sites that found no room for a connection that they could use. */
  inLine: number;
}

/** What every site uses, but for what the sites share among themselves. */
export type SharedContext = Omit<SiteContext, 'room' | 'onNeed'>;

export interface SitesOptions {
  /** Of all sites together; slots of the Maildir gateway do not count. */
  connectionsMax: number;
  shardOf: (siteKey: string) => number;
  /** False when another worker has the shard, or is about to take it. */
  isOurs: (shard: number) => boolean;
}

export class Sites {
  readonly #context: SiteContext;
  readonly #shardOf: (siteKey: string) => number;
  readonly #isOurs: (shard: number) => boolean;
  readonly #sites = new Map<string, SiteActor>();
  #budget: BudgetState;
  /** `next` is being followed: what changes meanwhile is seen by it. */
  #sharing = false;

  constructor(context: SharedContext, { connectionsMax, shardOf, isOurs }: SitesOptions) {
    const room = (site: SiteActor) => this.#room(site);
    this.#context = { ...context, room, onNeed: (site) => this.#needs(site) };
    this.#budget = newBudget(connectionsMax);
    this.#shardOf = shardOf;
    this.#isOurs = isOurs;
  }

  arrived(site: Site, attempts: readonly Attempt[]): void {
    let actor = this.#sites.get(site.key);
    if (actor === undefined) {
      actor = new SiteActor(site, this.#shardOf(site.key), this.#context);
      this.#sites.set(site.key, actor);
    }
    actor.arrived(site, attempts, this.#isOurs(actor.shard) ? 'take' : 'give back');
  }

  /** The attempt need not wait at its site any more. */
  cancel(siteKey: string, attempt: Attempt): void {
    this.#sites.get(siteKey)?.cancel(attempt);
  }

  /** Gives back what waits in the sites of these shards and closes their idle connections. */
  drain(shards: ReadonlySet<number>): void {
    for (const site of this.#sites.values()) if (shards.has(site.shard)) site.drain();
  }

  /** Of these shards, those that have connections open. */
  busy(shards: ReadonlySet<number>): Set<number> {
    const busy = new Set<number>();
    for (const { shard, open } of this.#sites.values()) if (open > 0 && shards.has(shard)) busy.add(shard);
    return busy;
  }

  sweep(nowMs: number): void {
    for (const [key, site] of this.#sites) {
      site.sweep(nowMs);
      if (site.isForgettable(nowMs, FORGET_AFTER_MS)) this.#sites.delete(key);
    }
  }

  /** Ends everything now and forgets all sites. */
  abort(end: AttemptEnd): void {
    const sites = [...this.#sites.values()];
    this.#sites.clear();
    this.#budget = newBudget(this.#budget.max);
    for (const site of sites) site.abort(end);
  }

  /** Ends the attempts of all sites that have not sent their final dot. */
  abortUnsent(end: AttemptEnd): void {
    for (const site of this.#sites.values()) site.abortUnsent(end);
  }

  totals(): SiteTotals {
    const totals = {
      sites: this.#sites.size,
      suspended: 0,
      waiting: 0,
      running: 0,
      connections: 0,
      inLine: 0,
    };
    for (const site of this.#sites.values()) {
      if (site.phase === 'suspended') totals.suspended += 1;
      totals.waiting += site.waiting;
      totals.running += site.running;
      totals.connections += site.open;
    }
    totals.inLine = this.#budget.hungry.size + this.#budget.patient.size;
    return totals;
  }

  #room(site: SiteActor): SiteRoom {
    if (isUnlimited(site)) return ROOM_FOR_ALL;
    const crowded = isCrowded(this.#budget, site.key);
    const room = roomOf(this.#budget);
    // One after the other while others stand in line.
    return { connections: this.#sharing ? Math.min(1, room) : room, crowded };
  }

  #needs(site: SiteActor): void {
    if (isUnlimited(site) || this.#sites.get(site.key) !== site) return;
    if (update(this.#budget, site.key, site.need)) site.standsInLine();
    if (this.#sharing) return;
    this.#sharing = true;
    for (let step = next(this.#budget); step !== undefined; step = next(this.#budget)) {
      const one = this.#sites.get(step.site)!;
      if (step.kind === 'open') one.mayOpenOne();
      else one.giveUpOne();
    }
    this.#sharing = false;
  }
}

/** A slot of the Maildir gateway is no connection. */
function isUnlimited({ site }: SiteActor): boolean {
  return site.transport === Transport.MAILDIR;
}
