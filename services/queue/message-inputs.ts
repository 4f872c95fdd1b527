// The facts that the machine of a message hears.
import type { Reply } from '#proto/postrider/v1/mail.ts';
import type { Site } from '#proto/postrider/v1/route.ts';
import type { PositionResult } from './recipient-steps.ts';

/** What the resolver said of one domain. */
export type RouteResult =
  | { kind: 'site'; site: Site }
  | { kind: 'failed'; reply: Reply }
  | { kind: 'deferred'; reply: Reply };

export type MessageInput =
  /**
   * The wake-up came, the mail is new, or a new owner has it. `refusedUntilMs` tells until when a site would not be tried, as far as
   * that is known; 0 for one that is open.
   */
  | { kind: 'due'; nowMs: number; refusedUntilMs?: (siteKey: string) => number }
  /** It was started YOUNG_MS ago and is still here. */
  | { kind: 'stays'; nowMs: number }
  /** An operator wants waiting and held recipients tried now; "" means every domain. */
  | { kind: 'flushed'; nowMs: number; domain: string }
  | { kind: 'routed'; nowMs: number; routes: ReadonlyMap<string, RouteResult> }
  | { kind: 'dispatched'; positions: readonly number[] }
  /** A running attempt of an earlier owner. */
  | { kind: 'adopted'; positions: readonly number[]; siteKey: string }
  | { kind: 'outcome'; nowMs: number; results: readonly PositionResult[] }
  /** The outcome of an attempt that was given up, or that nobody here knew: only a fate is believed. */
  | { kind: 'late'; nowMs: number; results: readonly PositionResult[] }
  /** The worker gave the job back unstarted. */
  | { kind: 'returned'; nowMs: number; positions: readonly number[]; site: Site | undefined }
  /** The worker died with the attempt; inDoubt when its checkpoint had been passed. */
  | { kind: 'lost'; nowMs: number; positions: readonly number[]; site: Site | undefined; inDoubt: boolean }
  /** An attempt that is not out any more, or that nobody here knew, may have delivered these. */
  | { kind: 'doubted'; nowMs: number; positions: readonly number[] }
  /** Ready for so long that the route may have changed. */
  | { kind: 'rerouted'; nowMs: number; positions: readonly number[] }
  | { kind: 'reported'; nowMs: number }
  /** It cannot be delivered any more. damaged: its sender can be told. gone: nobody knows who that is. */
  | { kind: 'contentLost'; nowMs: number; content: 'damaged' | 'gone' };
