// All sites of the worker, found by key or by shard, and the one timer that moves them.
import type { Reply } from '#proto/postrider/v1/mail.ts';
import type { Site } from '#proto/postrider/v1/route.ts';
import type { Attempt } from './attempt.ts';
import { SiteActor, type SiteContext } from './site.actor.ts';

/** A site that nobody used for so long is forgotten. */
const FORGET_AFTER_MS = 600_000;

export interface SiteTotals {
  sites: number;
  suspended: number;
  waiting: number;
  running: number;
  connections: number;
}

export class Sites {
  readonly #context: SiteContext;
  readonly #shardOf: (siteKey: string) => number;
  readonly #sites = new Map<string, SiteActor>();

  constructor(context: SiteContext, shardOf: (siteKey: string) => number) {
    this.#context = context;
    this.#shardOf = shardOf;
  }

  arrived(site: Site, attempts: readonly Attempt[]): void {
    let actor = this.#sites.get(site.key);
    if (actor === undefined) {
      actor = new SiteActor(site, this.#shardOf(site.key), this.#context);
      this.#sites.set(site.key, actor);
    }
    actor.arrived(site, attempts);
  }

  /** Gives back what waits in the sites of `shard` and closes their idle connections. */
  drain(shard: number): void {
    for (const site of this.#sites.values()) if (site.shard === shard) site.drain();
  }

  /** Attempts of `shard` that are being carried. */
  running(shard: number): number {
    let running = 0;
    for (const site of this.#sites.values()) if (site.shard === shard) running += site.running;
    return running;
  }

  sweep(nowMs: number): void {
    for (const [key, site] of this.#sites) {
      site.sweep(nowMs);
      if (site.isForgettable(nowMs, FORGET_AFTER_MS)) this.#sites.delete(key);
    }
  }

  abort(reply: Reply): void {
    for (const site of this.#sites.values()) site.abort(reply);
  }

  totals(): SiteTotals {
    const totals = { sites: this.#sites.size, suspended: 0, waiting: 0, running: 0, connections: 0 };
    for (const site of this.#sites.values()) {
      if (site.phase === 'suspended') totals.suspended += 1;
      totals.waiting += site.waiting;
      totals.running += site.running;
      totals.connections += site.carriers;
    }
    return totals;
  }
}
