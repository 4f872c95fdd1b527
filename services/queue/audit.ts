// Whether an unsettled mail is looked after: by a wake-up, a worker, the desk, the resolver, a report, or a new owner that is still
// asking. Pure. It says what the machine of a message promises (M4), from what the shells really have.
import type { Custody } from './custody.ts';
import { YOUNG_MS } from './message-reviews.ts';
import { positionsIn } from './recipient-steps.ts';

/** What is late by less is only slow. */
export const LATE_MS = 30_000;

/** Positions of recipients. */
export interface Positions {
  has(position: number): boolean;
}

export interface Facts {
  nowMs: number;
  /** Its wake-up in the heap; undefined when there is none. */
  wakeAtMs: number | undefined;
  /** A worker that has not answered may have it: nothing of it is started. */
  isUnheard: boolean;
  /** Its report is being stored, or waits for it. */
  hasReport: boolean;
  /** The resolver was asked for this domain and has not answered. */
  isRouteAwaited: (domain: string) => boolean;
  /** Those that wait at the desk, at the site that they are ready for. */
  atDesk: Positions;
  /** Those of attempts that are out, or have an outcome that is not stored. */
  out: Positions;
}

/** Nothing is going to happen to it, since this is not there. stays: nobody told it that it is not young any more. */
export type Lack =
  | { kind: 'wake-up' | 'stays' | 'report' }
  | { kind: 'route' | 'work' | 'attempt'; positions: number[] };

/** What is missing; undefined when the mail is looked after. */
export function lackOf(custody: Custody, facts: Facts): Lack | undefined {
  const { message } = custody;
  if (message.phase === 'settled' || facts.isUnheard) return undefined;
  // Its envelope is being read, or it is with what cannot be read (salvage.actor.ts).
  if (message.recipients.length === 0) return undefined;
  if (message.phase === 'reporting') return facts.hasReport ? undefined : { kind: 'report' };
  return (
    (message.phase === 'active' ? lackOfActive(custody, facts) : undefined) ?? lackOfLook(custody, facts)
  );
}

function lackOfActive({ message }: Custody, facts: Facts): Lack | undefined {
  const lost = positionsIn(message, 'attempting').filter((position) => !facts.out.has(position));
  if (lost.length > 0) return { kind: 'attempt', positions: lost };
  const dropped = positionsIn(message, 'ready').filter((position) => !facts.atDesk.has(position));
  if (dropped.length > 0) return { kind: 'work', positions: dropped };
  const routing = positionsIn(message, 'routing');
  // Its domains are answered together: one that is awaited is enough.
  const isAwaited = routing.some((position) => facts.isRouteAwaited(message.recipients[position]!.domain));
  return routing.length === 0 || isAwaited ? undefined : { kind: 'route', positions: routing };
}

/** Until it has stayed an active mail need not have a wake-up (M4). */
function lackOfLook({ message, startedAtMs }: Custody, { nowMs, wakeAtMs }: Facts): Lack | undefined {
  if (message.phase === 'active' && !message.hasStayed) {
    return nowMs > startedAtMs + YOUNG_MS + LATE_MS ? { kind: 'stays' } : undefined;
  }
  return wakeAtMs === undefined || nowMs > wakeAtMs + LATE_MS ? { kind: 'wake-up' } : undefined;
}
