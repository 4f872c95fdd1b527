// How much work one site may have outstanding from this queue instance, and what waits for it. Pure.
//
//   open(window) ──suspended──▶ suspended(until) ──until passed──▶ probing(1) ──status or success──▶ open
//
// Invariants:
//  W1  Never more jobs outstanding than the window.
//  W2  While suspended nothing is taken; afterwards one job probes until the site says more.
//  W3  What waits for a site holds memory only here: other sites never see it.
import type { Reply } from '#proto/postrider/v1/mail.ts';
import type { Site } from '#proto/postrider/v1/route.ts';

/** Window before the site has said anything. */
export const INITIAL_WINDOW = 64;

export interface SiteWindow<T> {
  site: Site;
  phase: 'open' | 'suspended' | 'probing';
  window: number;
  outstanding: number;
  suspendedUntilMs: number;
  reason: Reply | undefined;
  waiting: T[];
  /** First of `waiting` that was not taken; the array is cut now and then. */
  head: number;
}

export type SiteInput<T> =
  | { kind: 'enqueued'; items: T[]; site: Site }
  | { kind: 'status'; window: number; suspendedUntilMs: number; reason: Reply | undefined; nowMs: number }
  /** Jobs that are no longer out; `answered` when the site really had them. */
  | { kind: 'finished'; jobs: number; answered: boolean }
  | { kind: 'flushed' };

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
  };
}

/** Feeds one input. */
export function receive<T>(state: SiteWindow<T>, input: SiteInput<T>): void {
  switch (input.kind) {
    case 'enqueued':
      state.site = input.site;
      for (const item of input.items) state.waiting.push(item);
      return;
    case 'finished':
      state.outstanding = Math.max(0, state.outstanding - input.jobs);
      if (state.phase === 'probing' && input.answered) open(state, Math.max(state.window, 1));
      return;
    case 'flushed':
      if (state.phase === 'suspended') state.phase = 'probing';
      return;
    case 'status':
      if (input.suspendedUntilMs > input.nowMs) {
        state.phase = 'suspended';
        state.suspendedUntilMs = input.suspendedUntilMs;
        state.reason = input.reason;
      } else open(state, input.window);
  }
}

function open<T>(state: SiteWindow<T>, window: number): void {
  state.phase = 'open';
  state.window = window;
  state.suspendedUntilMs = 0;
  state.reason = undefined;
}

/** Takes what may be sent now, oldest first (W1, W2). */
export function take<T>(state: SiteWindow<T>, nowMs: number): T[] {
  if (state.phase === 'suspended' && nowMs >= state.suspendedUntilMs) state.phase = 'probing';
  if (state.phase === 'suspended') return [];
  const window = state.phase === 'probing' ? 1 : state.window;
  const room = Math.max(0, window - state.outstanding);
  const end = Math.min(state.waiting.length, state.head + room);
  const taken = state.waiting.slice(state.head, end);
  state.head = end;
  state.outstanding += taken.length;
  if (state.head === state.waiting.length || state.head > 4096) {
    state.waiting = state.waiting.slice(state.head);
    state.head = 0;
  }
  return taken;
}

/** Work that waits. */
export function waitingCount<T>(state: SiteWindow<T>): number {
  return state.waiting.length - state.head;
}
