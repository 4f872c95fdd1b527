// How much work of a site could be done now if there were workers enough: what the number of delivery workers follows. Work
// that a limit holds back does not count, or one throttled site would bring workers for nothing. Pure.
import { type SiteWindow, waitingCount } from './site-window.machine.ts';

export interface Demand {
  /** Work that is due: it waits for the site, or is out with a worker. */
  due: number;
  /** Of it, what the site lets run at the same time. */
  unthrottled: number;
}

/**
 * Nothing while the site is suspended; one job while it is probed; otherwise at most the window that a worker told, and at
 * most `connectionsMax`: our part of what the cluster may have open to one site, so that the sum over all queue instances
 * is not more than that.
 */
export function demandOf(
  state: SiteWindow<unknown>,
  { nowMs, connectionsMax }: { nowMs: number; connectionsMax: number },
): Demand {
  const due = waitingCount(state) + state.outstanding;
  return { due, unthrottled: Math.min(due, roomOf(state, nowMs, connectionsMax)) };
}

function roomOf(state: SiteWindow<unknown>, nowMs: number, connectionsMax: number): number {
  if (state.phase === 'suspended') return nowMs < state.suspendedUntilMs ? 0 : 1;
  if (state.phase === 'probing') return 1;
  return Math.min(state.window, Math.max(1, connectionsMax));
}
