// Sends work to the sites: one desk per queue instance, one window per site. Jobs for a site leave in one message per
// event-loop turn on the subject of the site's shard.
//
// Fails: a job that gets lost on the way is noticed by its partition (nobody accepts it) and sent again. Of a partition that is
// doubted nothing is sent, and nothing at all while others may think that this instance is gone: what is a job already stays to be
// sent, and all else waits. This is looked at for each message, since a process can stand still in the middle of a turn.
import { subjects } from '#libs/nats/layout.ts';
import type { Link } from '#libs/nats/link.ts';
import { gatheredMax } from '#libs/nats/payload.ts';
import { shardOf } from '#libs/nats/placement.ts';
import { clockMs } from '#libs/nats/presence.ts';
import { TurnBatch } from '#libs/shell/turn-batch.ts';
import { type Job, JobBatch, type SiteStatus } from '#proto/postrider/v1/job.ts';
import type { Site } from '#proto/postrider/v1/route.ts';
import type { Custody } from './custody.ts';
import { type Demand, demandOf } from './site-demand.ts';
import {
  newSiteWindow,
  receive,
  type SiteWindow,
  take,
  waitingCount,
  withdraw,
} from './site-window.machine.ts';

/** Sites that were not used for so long are forgotten. */
const FORGET_AFTER_MS = 600_000;
/** Bounds of a suspension whose end is a time by another machine's clock. */
const SUSPENSION_MS_MIN = 1000;
const SUSPENSION_MS_MAX = 900_000;
/** No worker suspends a site for longer (`delivery.backoffMax` and its jitter), nor has room for more of its jobs: what says so is wrong. */
const SUSPENDED_FOR_MS_MAX = 36 * 3_600_000;
const WINDOW_MAX = 1_000_000;
/** Items of one site looked at in one turn: a long line of them must not stop the others. */
const LOOKS_PER_TURN = 1000;
/** A job, and each recipient that it lists, octets: at most. */
const JOB_OCTETS = 300;
const POSITION_OCTETS = 3;

/** Makes jobs of waiting work; undefined when the work is not wanted any more. */
export interface Leaser {
  /** Its partition. */
  readonly number: number;
  lease(item: WorkItem, site: Site, nowMs: number): Job | undefined;
}

export interface WorkItem {
  leaser: Leaser;
  custody: Custody;
  positions: readonly number[];
  readyAtMs: number;
}

interface Parked {
  desk: DeskSite;
  item: WorkItem;
}

interface DeskSite {
  window: SiteWindow<WorkItem>;
  jobs: Job[];
  usedAtMs: number;
}

export interface SiteDeskOptions {
  link: Pick<Link, 'publish' | 'instance' | 'payloadMax'>;
  shards: number;
  now: () => number;
}

export class SiteDesk {
  readonly #options: SiteDeskOptions;
  readonly #sites = new Map<string, DeskSite>();
  readonly #turn: TurnBatch<DeskSite>;
  /** Of leasers that may not act now: work that was their turn, with its site. */
  readonly #frozen = new Map<Leaser, Parked[]>();
  /** Sites with something to do, kept until we may. */
  #held = new Set<DeskSite>();
  #mayAct: () => boolean = () => true;

  constructor(options: SiteDeskOptions) {
    this.#options = options;
    this.#turn = new TurnBatch((sites) => this.#pumpAll(sites));
  }

  enqueue(site: Site, item: WorkItem): void {
    this.#feed(this.#site(site), { kind: 'enqueued', item, site });
  }

  /** Work that a worker gave back: it waits for the next sweep first. */
  requeue(site: Site, item: WorkItem): void {
    receive(this.#site(site).window, { kind: 'returned', item, site });
  }

  /** True when the job was made and has not left yet. */
  isUnsent(site: Site, job: Job): boolean {
    return this.#site(site).jobs.includes(job);
  }

  /** A job that takes the place of one that was lost on its way; it is counted as outstanding already. */
  resend(site: Site, job: Job): void {
    const desk = this.#site(site);
    desk.jobs.push(job);
    this.#turn.add(desk);
  }

  /** A job is no longer out; `answered` when the site really had it. */
  finished(siteKey: string, answered: boolean): void {
    const desk = this.#sites.get(siteKey);
    if (desk !== undefined) this.#feed(desk, { kind: 'finished', answered });
  }

  status(status: SiteStatus, nowMs: number): void {
    const desk = this.#sites.get(status.siteKey);
    if (desk === undefined) return;
    const { window, reason } = status;
    this.#feed(desk, {
      kind: 'status',
      window: Math.min(WINDOW_MAX, window),
      suspendedForMs: suspensionOf(status, Date.now()),
      reason,
      nowMs,
    });
  }

  /** An operator wants work tried now: if suspended, these sites get their probe at once. */
  flush(siteKeys: Iterable<string>): void {
    for (const key of siteKeys) {
      const desk = this.#sites.get(key);
      if (desk === undefined) continue;
      receive(desk.window, { kind: 'swept' });
      this.#feed(desk, { kind: 'flushed' });
    }
  }

  /** The partition is given up: its work is somebody else's. */
  withdraw(leaser: Leaser): void {
    for (const desk of this.#sites.values()) {
      withdraw(desk.window, (item) => item.leaser === leaser);
      if (desk.jobs.length > 0) desk.jobs = desk.jobs.filter((job) => job.partition !== leaser.number);
    }
    if (this.#frozen.has(leaser)) this.#frozen.set(leaser, []);
  }

  /** Nothing is sent while this is false. */
  actsWhile(mayAct: () => boolean): void {
    this.#mayAct = mayAct;
  }

  /** Goes on with what was kept because we might not act. */
  resume(): void {
    if (this.#held.size === 0 || !this.#mayAct()) return;
    const held = this.#held;
    this.#held = new Set();
    for (const desk of held) this.#turn.add(desk);
  }

  /** Sends nothing of it until `thaw`: it is not sure that the partition is still ours. */
  freeze(leaser: Leaser): void {
    if (!this.#frozen.has(leaser)) this.#frozen.set(leaser, []);
  }

  isFrozen(leaser: Leaser): boolean {
    return this.#frozen.has(leaser);
  }

  thaw(leaser: Leaser): void {
    const parked = this.#frozen.get(leaser);
    if (parked === undefined) return;
    this.#frozen.delete(leaser);
    for (const { desk, item } of parked) this.#feed(desk, { kind: 'enqueued', item, site: desk.window.site });
    for (const desk of this.#sites.values()) if (desk.jobs.length > 0) this.#turn.add(desk);
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
    for (const parked of this.#frozen.values()) waiting += parked.length;
    return { waiting, outstanding, sites: this.#sites.size };
  }

  /** All that waits, with its site. What changes while it is read may be passed over. */
  *work(): Generator<{ siteKey: string; item: WorkItem }> {
    for (const [siteKey, { window }] of this.#sites) {
      // This array stays as it is when those that were taken are cut off.
      const { waiting, head } = window;
      for (let at = head; at < waiting.length; at++) yield { siteKey, item: waiting[at]! };
      for (const item of window.returned) yield { siteKey, item };
    }
    for (const parked of this.#frozen.values()) {
      for (const { desk, item } of parked) yield { siteKey: desk.window.site.key, item };
    }
  }

  /** What could be done now, of all sites; see `demandOf`. */
  demand(options: { nowMs: number; connectionsMax: number }): Demand {
    const total: Demand = { due: 0, unthrottled: 0 };
    for (const { window } of this.#sites.values()) {
      const { due, unthrottled } = demandOf(window, options);
      total.due += due;
      total.unthrottled += unthrottled;
    }
    for (const parked of this.#frozen.values()) total.due += parked.length;
    return total;
  }

  /** How long the first in line has waited for a site that is not suspended; 0 when nothing waits. */
  oldestWaitMs(nowMs: number): number {
    let oldestMs = nowMs;
    for (const { window } of this.#sites.values()) {
      const first = window.phase === 'suspended' ? undefined : window.waiting[window.head];
      if (first !== undefined) oldestMs = Math.min(oldestMs, first.readyAtMs);
    }
    return nowMs - oldestMs;
  }

  /** Suspensions that ended, work that was given back, and sites to forget. Called once a second. */
  sweep(nowMs: number): void {
    for (const [key, desk] of this.#sites) {
      const { window } = desk;
      const hasReturned = window.returned.length > 0;
      if (hasReturned) receive(window, { kind: 'swept' });
      if (hasReturned || (window.phase === 'suspended' && nowMs >= window.suspendedUntilMs)) {
        this.#turn.add(desk);
      }
      const isIdle = window.outstanding === 0 && waitingCount(window) === 0 && this.#frozen.size === 0;
      if (isIdle && desk.usedAtMs + FORGET_AFTER_MS < nowMs) this.#sites.delete(key);
    }
  }

  #feed(desk: DeskSite, input: Parameters<typeof receive<WorkItem>>[1]): void {
    receive(desk.window, input);
    this.#turn.add(desk);
  }

  #site(site: Site): DeskSite {
    let desk = this.#sites.get(site.key);
    if (desk === undefined) {
      desk = { window: newSiteWindow<WorkItem>(site), jobs: [], usedAtMs: this.#options.now() };
      this.#sites.set(site.key, desk);
    }
    return desk;
  }

  #pumpAll(sites: DeskSite[]): void {
    if (!this.#mayAct()) {
      for (const desk of sites) this.#held.add(desk);
      return;
    }
    const nowMs = this.#options.now();
    for (const desk of new Set(sites)) this.#pump(desk, nowMs);
  }

  #pump(desk: DeskSite, nowMs: number): void {
    let looks = 0;
    for (;;) {
      const items = take(desk.window, nowMs, LOOKS_PER_TURN - looks);
      if (items.length === 0) break;
      looks += items.length;
      for (const item of items) {
        const parked = this.#frozen.get(item.leaser);
        const job = parked === undefined ? item.leaser.lease(item, desk.window.site, nowMs) : undefined;
        parked?.push({ desk, item });
        if (job !== undefined) desk.jobs.push(job);
        else receive(desk.window, { kind: 'finished', answered: false });
      }
    }
    if (looks === LOOKS_PER_TURN) this.#turn.add(desk);
    if (desk.jobs.length > 0) this.#send(desk, nowMs);
  }

  #send(desk: DeskSite, nowMs: number): void {
    const { link, shards } = this.#options;
    const { site } = desk.window;
    const subject = subjects.deliver(shardOf(site.key, shards));
    const jobs = this.#sendable(desk);
    desk.usedAtMs = nowMs;
    for (let from = 0; from < jobs.length; ) {
      if (!this.#mayAct()) {
        desk.jobs.push(...jobs.slice(from));
        this.#held.add(desk);
        return;
      }
      const batch = jobs.slice(from, endOfBatch(jobs, from, gatheredMax(link.payloadMax)));
      const message = { site, jobs: batch, owner: link.instance, clockMs: clockMs() };
      link.publish(subject, JobBatch.encode(message).finish());
      from += batch.length;
    }
  }

  /** Takes the jobs that may be sent; those of partitions that are doubted stay. */
  #sendable(desk: DeskSite): Job[] {
    const { jobs } = desk;
    desk.jobs = [];
    if (this.#frozen.size === 0) return jobs;
    const doubted = new Set([...this.#frozen.keys()].map(({ number }) => number));
    desk.jobs = jobs.filter(({ partition }) => doubted.has(partition));
    return jobs.filter(({ partition }) => !doubted.has(partition));
  }
}

/** Index behind the last job that fits in one message with `jobs[from]`. */
function endOfBatch(jobs: readonly Job[], from: number, octetsMax: number): number {
  let octets = 0;
  let end = from;
  for (; end < jobs.length; end++) {
    octets += JOB_OCTETS + POSITION_OCTETS * jobs[end]!.recipients.length;
    if (octets > octetsMax && end > from) break;
  }
  return end;
}

/**
 * For how long the site is suspended, milliseconds from now. A worker that only says until when says it by its own clock: of that
 * no more is believed than any worker's suspension may last.
 */
function suspensionOf({ suspendedForMs, suspendedUntilMs }: SiteStatus, wallMs: number): number {
  if (suspendedForMs !== undefined) return Math.min(SUSPENDED_FOR_MS_MAX, suspendedForMs);
  if (suspendedUntilMs === 0) return 0;
  return Math.max(SUSPENSION_MS_MIN, Math.min(SUSPENSION_MS_MAX, suspendedUntilMs - wallMs));
}
