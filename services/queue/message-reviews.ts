// When a message has to be looked at: next attempts, delay warning, expiry. Pure.
import type { Message } from './message.ts';
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

export function isExpired(message: Message, nowMs: number, policy: MessagePolicy): boolean {
  return nowMs >= message.acceptedAtMs + policy.expireAfterMs;
}

/** The sender should be told that it is late. */
export function isLate(message: Message, nowMs: number, policy: MessagePolicy): boolean {
  return !message.delayReported && nowMs >= message.acceptedAtMs + policy.delayWarningAfterMs;
}

/** Expiry or delay warning, whichever has not been and is first. */
function reviewAtMs(message: Message, policy: MessagePolicy): number {
  const expiresAtMs = message.acceptedAtMs + policy.expireAfterMs;
  if (message.delayReported) return expiresAtMs;
  return Math.min(expiresAtMs, message.acceptedAtMs + policy.delayWarningAfterMs);
}

export function isReviewDue(message: Message, nowMs: number, policy: MessagePolicy): boolean {
  return nowMs >= reviewAtMs(message, policy);
}

/** Positions of recipients whose next attempt is due, or all but. */
export function duePositions(message: Message, nowMs: number): number[] {
  const due: number[] = [];
  message.recipients.forEach((recipient, position) => {
    if (recipient.phase === 'waiting' && recipient.nextAttemptAtMs <= nowMs + TOGETHER_MS) due.push(position);
  });
  return due;
}

/**
 * The next time that something is to be decided; Infinity for never. An active young mail needs no review: most are gone
 * before, and the shell says when one stays. What is held waits for an operator only.
 */
export function nextLookAtMs(message: Message, nowMs: number, policy: MessagePolicy): number {
  let atMs = Number.POSITIVE_INFINITY;
  let open = 0;
  for (const { phase, nextAttemptAtMs } of message.recipients) {
    if (phase === 'done' || phase === 'held') continue;
    open += 1;
    if (phase === 'waiting') atMs = Math.min(atMs, nextAttemptAtMs);
  }
  const isYoung = message.phase === 'active' && nowMs < message.acceptedAtMs + YOUNG_MS;
  if (open === 0 || isYoung) return atMs;
  const reviewMs = reviewAtMs(message, policy);
  return Math.min(atMs, reviewMs > nowMs ? reviewMs : nowMs + REVIEW_AGAIN_MS);
}
