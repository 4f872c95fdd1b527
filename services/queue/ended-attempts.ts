// Which outcomes of a mail wait until its state is stored, and which attempts that state must name as ended: a bounded number, since
// both are kept in memory, told again by workers, and one record. Pure.
//
// Invariants:
//  E1  An attempt by which a recipient has its fate, or that is in doubt, waits: what it did must be stored before it is forgotten.
//  E2  An attempt that only deferred may be over before that is stored: nobody got anything, so an owner that knows nothing of it counts
//      nothing wrong, and tries again a little early.
//  E3  A state names each attempt that may have an open checkpoint and that left a recipient without a fate: it would be in doubt.
import { suffixOf } from '#libs/mail/attempt-id.ts';
import type { Custody, PendingAck } from './custody.ts';
import { allHaveFates } from './doubt.ts';
import type { Message } from './message.ts';
import type { PositionResult } from './recipient-steps.ts';

/** Outcomes of one mail that wait for its state, when it has few recipients; each is some 15 octets of it. */
const WAITING_MIN = 100;

/** Each recipient has one fate and one doubt at a time, so more than these are deferrals that came again. */
export function waitingMax(recipients: number): number {
  return Math.max(WAITING_MIN, recipients);
}

/** The outcome as it waits: it need not for long when it deferred all of its recipients. */
export function noted(ack: PendingAck, results: readonly PositionResult[]): PendingAck {
  return results.every(({ result }) => result === 'deferred') ? { ...ack, isDeferral: true } : ack;
}

const NONE: readonly PendingAck[] = Object.freeze([]);

/** Takes the oldest that need not wait, of a mail that is tried again and again while its state cannot be stored (E1, E2). */
export function takeTooMany(custody: Pick<Custody, 'acks' | 'message'>): readonly PendingAck[] {
  const { acks, message } = custody;
  const surplus = acks.length - waitingMax(message.recipients.length);
  if (surplus <= 0) return NONE;
  const taken = new Set(acks.filter(({ isDeferral }) => isDeferral === true).slice(0, surplus));
  custody.acks = acks.filter((ack) => !taken.has(ack));
  return [...taken];
}

/**
 * Attempts that the state names (E3): `acks` are applied to the message, `ending` were before, and that their checkpoints mean nothing any
 * more is not stored yet. The newest, should a mail have more than it can.
 */
export function namedAsEnded(
  message: Message,
  acks: readonly PendingAck[],
  ending: readonly string[],
): string[] {
  const named = acks.filter(({ positions = [] }) => !allHaveFates(positions, message));
  const suffixes = [...ending, ...named.map(({ attemptId }) => suffixOf(attemptId))];
  return suffixes.slice(-waitingMax(message.recipients.length));
}
