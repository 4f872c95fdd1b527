// How much work one site may have outstanding from this queue instance, and what waits for it. Never reads a clock.
// Mutates its state in place.
//
//   open(window) ──suspended──▶ suspended(until) ──until passed, flushed──▶ probing(1) ──status or answer──▶ open
//
// Invariants:
//  W1  Nothing is taken while as many jobs are outstanding as the window allows.
//  W2  While suspended nothing is taken; afterwards one job probes until the site says more.
//  W3  What waits for a site is taken once, in the order in which it came; what was given back waits for `swept`.
import type { Reply } from '#proto/postrider/v1/mail.ts';
import type { Site } from '#proto/postrider/v1/route.ts';

/** Window before the site has said anything. */
export const INITIAL_WINDOW = 64;

/** Taken items are cut from the array when so many of them lead it. */
const HEAD_MAX = 4096;

export interface SiteWindow<T> {
  site: Site;
  phase: 'open' | 'suspended' | 'probing';
  window: number;
  outstanding: number;
  suspendedUntilMs: number;
  reason: Reply | undefined;
  waiting: T[];
  /** First of `waiting` that was not taken. */
  head: number;
  /** Given back by a worker: it joins the others with the next sweep, so that it cannot go in circles. */
  returned: T[];
}

export type SiteInput<T> =
  | { kind: 'enqueued'; item: T; site: Site }
  | { kind: 'returned'; item: T; site: Site }
  | { kind: 'status'; window: number; suspendedForMs: number; reason: Reply | undefined; nowMs: number }
  /** A job that is no longer out; `answered` when the site really had it. */
  | { kind: 'finished'; answered: boolean }
  | { kind: 'flushed' }
  /** About once a second. */
  | { kind: 'swept' };

export function newSiteWindow<T>(site: Site): SiteWindow<T> {
  return {
    site,
    phase: 'open',
    window: INITIAL_WINDOW,
    outstanding: 0,
    suspendedUntilMs: 0,
    reason: undefined,
    waiting: [],
    head: 0,
    returned: [],
  };
}

/** Feeds one input. */
export function receive<T>(state: SiteWindow<T>, input: SiteInput<T>): void {
  switch (input.kind) {
    case 'enqueued':
      state.site = input.site;
      state.waiting.push(input.item);
      return;
    case 'returned':
      state.site = input.site;
      state.returned.push(input.item);
      return;
    case 'finished':
      state.outstanding = Math.max(0, state.outstanding - 1);
      if (state.phase === 'probing' && input.answered) open(state, state.window);
      return;
    case 'flushed':
      if (state.phase === 'suspended') state.phase = 'probing';
      return;
    case 'swept':
      for (const item of state.returned) state.waiting.push(item);
      state.returned = [];
      return;
    case 'status':
      if (input.suspendedForMs > 0) suspend(state, input);
      else open(state, input.window);
  }
}

function suspend<T>(
  state: SiteWindow<T>,
  input: { suspendedForMs: number; nowMs: number; reason: Reply | undefined },
): void {
  state.phase = 'suspended';
  state.suspendedUntilMs = input.nowMs + input.suspendedForMs;
  state.reason = input.reason;
}

/** A window of nothing would never hear anything again. */
function open<T>(state: SiteWindow<T>, window: number): void {
  state.phase = 'open';
  state.window = Math.max(1, window);
  state.suspendedUntilMs = 0;
  state.reason = undefined;
}

/** Takes what may be sent now, oldest first, at most `limit` (W1, W2, W3). */
export function take<T>(state: SiteWindow<T>, nowMs: number, limit: number): T[] {
  if (state.phase === 'suspended' && nowMs >= state.suspendedUntilMs) state.phase = 'probing';
  if (state.phase === 'suspended') return [];
  const window = state.phase === 'probing' ? 1 : state.window;
  const room = Math.max(0, Math.min(limit, window - state.outstanding));
  const end = Math.min(state.waiting.length, state.head + room);
  const taken = state.waiting.slice(state.head, end);
  state.head = end;
  state.outstanding += taken.length;
  if (state.head === state.waiting.length || state.head > HEAD_MAX) {
    state.waiting = state.waiting.slice(state.head);
    state.head = 0;
  }
  return taken;
}

/** Forgets what waits and is not wanted any more. */
export function withdraw<T>(state: SiteWindow<T>, isUnwanted: (item: T) => boolean): void {
  state.waiting = state.waiting.slice(state.head).filter((item) => !isUnwanted(item));
  state.head = 0;
  state.returned = state.returned.filter((item) => !isUnwanted(item));
}

/** Work that waits. */
export function waitingCount<T>(state: SiteWindow<T>): number {
  return state.waiting.length - state.head + state.returned.length;
}
