// When a message has to be looked at: next attempts, delay warning, expiry. Pure.
import type { Message, Recipient } from './message.ts';
import { countRefusals, expirable, positionsIn } from './recipient-steps.ts';
import type { RetryPolicy } from './retry.ts';

export interface MessagePolicy extends RetryPolicy {
  inDoubt: 'redeliver' | 'hold';
}

/** Most mail is gone within this; what is not gets a review, and a record of its own. */
export const YOUNG_MS = 10_000;

/** Recipients whose time comes within this are tried together, so that they share a transaction. */
const TOGETHER_MS = 1000;

/** A review that has to wait for a running attempt is tried again after this. */
const REVIEW_AGAIN_MS = 60_000;

/**
 * What is held for so long expires after all: STORE keeps nothing for longer than 400 days (ORPHAN_AGE_MS of libs/nats/streams.ts),
 * and a sender is told while there is still something to tell of.
 */
export const HELD_MS_MAX = 365 * 86_400_000;

export function isExpired(message: Message, nowMs: number, policy: MessagePolicy): boolean {
  return nowMs >= message.ageFromMs + policy.expireAfterMs;
}

/** The sender should be told that it is late. */
export function isLate(message: Message, nowMs: number, policy: MessagePolicy): boolean {
  return !message.delayReported && nowMs >= message.ageFromMs + policy.delayWarningAfterMs;
}

/** Expiry or delay warning, whichever has not been and is first. */
function reviewAtMs(message: Message, policy: MessagePolicy): number {
  const expiresAtMs = message.ageFromMs + policy.expireAfterMs;
  if (message.delayReported) return expiresAtMs;
  return Math.min(expiresAtMs, message.ageFromMs + policy.delayWarningAfterMs);
}

/** Positions of recipients whose next attempt is due, or all but. */
export function duePositions(message: Message, nowMs: number): number[] {
  const due: number[] = [];
  message.recipients.forEach((recipient, position) => {
    if (recipient.phase === 'waiting' && recipient.nextAttemptAtMs <= nowMs + TOGETHER_MS) due.push(position);
  });
  return due;
}

/** Recipients that expire now (M7). */
export function ending(message: Message, nowMs: number, policy: MessagePolicy): Recipient[] {
  const over = isExpired(message, nowMs, policy)
    ? expirable(message, nowMs).filter(({ phase }) => phase === 'waiting')
    : [];
  if (nowMs < message.ageFromMs + HELD_MS_MAX) return over;
  return [...over, ...message.recipients.filter(({ phase }) => phase === 'held')];
}

/** What is due; all that waits when only an attempt stands between it and expiry (M7). */
export function startable(message: Message, nowMs: number, policy: MessagePolicy): number[] {
  return isExpired(message, nowMs, policy) ? positionsIn(message, 'waiting') : duePositions(message, nowMs);
}

/** While it is active there is something to report, of recipients that no worker has. */
export function mustReport(
  message: Message,
  { nowMs, refusedUntilMs }: { nowMs: number; refusedUntilMs?: ((siteKey: string) => number) | undefined },
  policy: MessagePolicy,
): boolean {
  if (isLate(message, nowMs, policy)) return true;
  if (!isExpired(message, nowMs, policy)) return false;
  if (refusedUntilMs !== undefined) countRefusals(message, refusedUntilMs);
  return expirable(message, nowMs).length > 0;
}

/**
 * The next time that something is to be decided; Infinity for never. An active mail that has not stayed needs no review: most are
 * gone before, and the shell says when one stays. What is held waits for an operator, for up to HELD_MS_MAX.
 */
export function nextLookAtMs(message: Message, nowMs: number, policy: MessagePolicy): number {
  let atMs = Number.POSITIVE_INFINITY;
  let open = 0;
  let held = 0;
  for (const { phase, nextAttemptAtMs } of message.recipients) {
    if (phase === 'done') continue;
    if (phase === 'held') held += 1;
    else open += 1;
    if (phase === 'waiting') atMs = Math.min(atMs, nextAttemptAtMs);
  }
  if (message.phase === 'active' && !message.hasStayed) return atMs;
  if (held > 0) atMs = Math.min(atMs, soonest(message.ageFromMs + HELD_MS_MAX, nowMs));
  return open === 0 ? atMs : Math.min(atMs, soonest(reviewAtMs(message, policy), nowMs));
}

function soonest(reviewMs: number, nowMs: number): number {
  return reviewMs > nowMs ? reviewMs : nowMs + REVIEW_AGAIN_MS;
}
