// What follows from where a site stands: what its owners and the worker need to know of it. Pure; changes nothing.
import type { SiteStatus } from '#proto/postrider/v1/job.ts';
import type { Reply } from '#proto/postrider/v1/mail.ts';
import type { SitePolicy, SiteState, WaitingJob } from './site.machine.ts';

/** Jobs that were on their way when the site was suspended come within this; a later one is meant as a probe. */
export const GRACE_MS = 2000;

/** What owners need to know of a site. */
export interface SiteStanding {
  window: number;
  /** By the clock of the machine's inputs; 0 when open. */
  suspendedUntilMs: number;
  reason: Reply | undefined;
}

/**
 * Where the site stands: the window of every owner is four jobs per connection, within 64 to 1024. A worker that is full
 * asks for one per connection only: the rest waits with its owner, who can give it to others.
 */
export function standing<J extends WaitingJob>(
  state: SiteState<J>,
  policy: Pick<SitePolicy, 'connectionsMax'>,
  worker: 'has room' | 'is full' = 'has room',
): SiteStanding {
  const { phase } = state;
  if (phase.name === 'suspended') return { window: 0, suspendedUntilMs: phase.untilMs, reason: phase.reason };
  const { connectionsMax } = policy;
  const window = worker === 'is full' ? connectionsMax : Math.max(64, 4 * connectionsMax);
  return { window: Math.min(1024, window), suspendedUntilMs: 0, reason: undefined };
}

/** What owners are told, when it is told at once. `toWall`: a time of ours by the wall clock, for owners that know no durations yet. */
export function statusOf(
  siteKey: string,
  { window, suspendedUntilMs, reason }: SiteStanding,
  { nowMs, toWall }: { nowMs: number; toWall: (atMs: number) => number },
): SiteStatus {
  if (suspendedUntilMs === 0) return { siteKey, window, suspendedUntilMs, suspendedForMs: 0, reason };
  // One that is over, and was not probed yet, is no open site.
  const suspendedForMs = Math.max(1, suspendedUntilMs - nowMs);
  return { siteKey, window, suspendedUntilMs: toWall(nowMs + suspendedForMs), suspendedForMs, reason };
}

/** Jobs that wait for a connection. */
export function waitingCount<J extends WaitingJob>(state: SiteState<J>): number {
  return state.waiting.length - state.head;
}

/** Connections that are open or being opened, those that say goodbye included. */
export function openCount<J extends WaitingJob>(state: SiteState<J>): number {
  return state.connections.size + state.leaving;
}

/** Nothing is known that would be lost with the state. */
export function isForgettable<J extends WaitingJob>(state: SiteState<J>, nowMs: number): boolean {
  const { phase } = state;
  // Some time after its suspension a site that nobody asked for again may start afresh.
  const remembers =
    phase.name === 'suspended' && nowMs < phase.untilMs + GRACE_MS + (phase.untilMs - phase.sinceMs);
  return openCount(state) === 0 && waitingCount(state) === 0 && !remembers;
}

/** How many more connections the site has use for and may have, whether the worker has room or not. */
export function wanted<J extends WaitingJob>(state: SiteState<J>): number {
  const ceiling = state.phase.name === 'probing' ? 1 : state.ceiling.connections;
  const free = ceiling - state.connections.size - state.leaving;
  return Math.max(0, Math.min(state.waiting.length - state.head - state.opening, free));
}
