// Sends work to the sites: one desk per queue instance, one window per site. Jobs for a site leave in one message per
// event-loop turn on the subject of the site's shard.
//
// Fails: a job that gets lost on the way is noticed by its partition (nobody accepts it) and sent again.
import { type Layout, subjects } from '#libs/nats/layout.ts';
import type { Link } from '#libs/nats/link.ts';
import { shardOf } from '#libs/nats/placement.ts';
import { TurnBatch } from '#libs/shell/turn-batch.ts';
import { type Job, JobBatch, type SiteStatus } from '#proto/postrider/v1/job.ts';
import type { Site } from '#proto/postrider/v1/route.ts';
import type { Custody } from './custody.ts';
import { newSiteWindow, receive, type SiteWindow, take, waitingCount } from './site-window.machine.ts';

/** Sites that were not used for so long are forgotten. */
const FORGET_AFTER_MS = 600_000;
const JOBS_PER_BATCH = 500;

/** Makes jobs of waiting work; undefined when the work is not wanted any more. */
export interface Leaser {
  lease(item: WorkItem, site: Site, nowMs: number): Job | undefined;
}

export interface WorkItem {
  leaser: Leaser;
  custody: Custody;
  positions: number[];
  readyAtMs: number;
}

interface DeskSite {
  window: SiteWindow<WorkItem>;
  jobs: Job[];
  usedAtMs: number;
}

export interface SiteDeskOptions {
  link: Link;
  layout: Layout;
  shards: number;
  now: () => number;
}

export class SiteDesk {
  readonly #options: SiteDeskOptions;
  readonly #sites = new Map<string, DeskSite>();
  readonly #turn: TurnBatch<DeskSite>;

  constructor(options: SiteDeskOptions) {
    this.#options = options;
    this.#turn = new TurnBatch((sites) => this.#pumpAll(sites));
  }

  enqueue(site: Site, item: WorkItem): void {
    const desk = this.#site(site);
    receive(desk.window, { kind: 'enqueued', items: [item], site });
    this.#turn.add(desk);
  }

  /** A job that was lost on its way goes again; it is still counted as outstanding. */
  resend(site: Site, job: Job): void {
    const desk = this.#site(site);
    desk.jobs.push(job);
    this.#turn.add(desk);
  }

  finished(siteKey: string, answered: boolean): void {
    const desk = this.#sites.get(siteKey);
    if (desk === undefined) return;
    receive(desk.window, { kind: 'finished', jobs: 1, answered });
    this.#turn.add(desk);
  }

  status(status: SiteStatus, nowMs: number): void {
    const desk = this.#sites.get(status.siteKey);
    if (desk === undefined) return;
    const { window, suspendedUntilMs, reason } = status;
    receive(desk.window, { kind: 'status', window, suspendedUntilMs, reason, nowMs });
    this.#turn.add(desk);
  }

  /** An operator wants work tried now: suspended sites get their probe at once. */
  flush(): void {
    for (const desk of this.#sites.values()) {
      receive(desk.window, { kind: 'flushed' });
      this.#turn.add(desk);
    }
  }

  /** What the site said last, for the operator's list. */
  find(siteKey: string): SiteWindow<WorkItem> | undefined {
    return this.#sites.get(siteKey)?.window;
  }

  /** Work that waits for sites, and jobs that are out. */
  totals(): { waiting: number; outstanding: number; sites: number } {
    let waiting = 0;
    let outstanding = 0;
    for (const { window } of this.#sites.values()) {
      waiting += waitingCount(window);
      outstanding += window.outstanding;
    }
    return { waiting, outstanding, sites: this.#sites.size };
  }

  /** Suspensions that ended, and sites to forget. Called about twice a second. */
  sweep(nowMs: number): void {
    for (const [key, desk] of this.#sites) {
      const { window } = desk;
      if (window.phase === 'suspended' && nowMs >= window.suspendedUntilMs) this.#turn.add(desk);
      const idle = window.outstanding === 0 && waitingCount(window) === 0;
      if (idle && desk.usedAtMs + FORGET_AFTER_MS < nowMs) this.#sites.delete(key);
    }
  }

  #site(site: Site): DeskSite {
    let desk = this.#sites.get(site.key);
    if (desk === undefined) {
      desk = { window: newSiteWindow<WorkItem>(site), jobs: [], usedAtMs: 0 };
      this.#sites.set(site.key, desk);
    }
    return desk;
  }

  #pumpAll(sites: DeskSite[]): void {
    const nowMs = this.#options.now();
    for (const desk of new Set(sites)) this.#pump(desk, nowMs);
  }

  #pump(desk: DeskSite, nowMs: number): void {
    for (;;) {
      const items = take(desk.window, nowMs);
      if (items.length === 0) break;
      for (const item of items) {
        const job = item.leaser.lease(item, desk.window.site, nowMs);
        if (job !== undefined) desk.jobs.push(job);
        else receive(desk.window, { kind: 'finished', jobs: 1, answered: false });
      }
    }
    if (desk.jobs.length > 0) this.#send(desk, nowMs);
  }

  #send(desk: DeskSite, nowMs: number): void {
    const { link, shards } = this.#options;
    const subject = subjects.deliver(shardOf(desk.window.site.key, shards));
    const { jobs } = desk;
    desk.jobs = [];
    desk.usedAtMs = nowMs;
    for (let from = 0; from < jobs.length; from += JOBS_PER_BATCH) {
      const batch = { site: desk.window.site, jobs: jobs.slice(from, from + JOBS_PER_BATCH) };
      link.publish(subject, JobBatch.encode(batch).finish());
    }
  }
}
