// What happens to the recipients of a message, one step at a time. Pure; changes the recipients that it is given.
import type { Reply } from '#proto/postrider/v1/mail.ts';
import { type Message, REFUSED, type Recipient, TRIED } from './message.ts';
import type { MessagePolicy } from './message-reviews.ts';
import { nextAttemptAtMs } from './retry.ts';

export type RecipientResult = 'delivered' | 'relayed' | 'deferred' | 'failed';

/** Ours: nothing is left to be delivered. */
export const CONTENT_LOST: Reply = Object.freeze({
  code: 554,
  enhanced: '5.3.0',
  text: 'The content of the mail was lost here.',
  host: '',
});

/** What became of the recipient at this position. */
export interface PositionResult {
  position: number;
  result: RecipientResult;
  reply: Reply;
}

export const isDelivery = (result: RecipientResult): boolean =>
  result === 'delivered' || result === 'relayed';

/** A deferral waits for its next attempt; anything else is a fate. */
export function applyResult(
  message: Message,
  recipient: Recipient,
  { result, reply }: Omit<PositionResult, 'position'>,
  { nowMs, policy }: { nowMs: number; policy: MessagePolicy },
): void {
  recipient.lastReply = reply;
  recipient.owedSinceMs = TRIED;
  if (result === 'deferred') {
    recipient.attempts += 1;
    recipient.phase = 'waiting';
    recipient.nextAttemptAtMs = nextAttemptAtMs(message.queueId, recipient.attempts, nowMs, policy);
    return;
  }
  recipient.fate = result;
  recipient.phase = result === 'failed' ? 'failed' : 'done';
}

/** Those of `positions` that are out with a worker. */
export function attempting(message: Message, positions: readonly number[]): number[] {
  return positions.filter((position) => message.recipients[position]?.phase === 'attempting');
}

/** True while a worker or the resolver is to say something. */
export function isOut(message: Message): boolean {
  return message.recipients.some(({ phase }) => phase === 'routing' || phase === 'attempting');
}

/** True while some recipient is on its way. */
export function isActive(message: Message): boolean {
  return isOut(message) || message.recipients.some(({ phase }) => phase === 'ready');
}

export function hasFailed(message: Message): boolean {
  return message.recipients.some(({ phase }) => phase === 'failed');
}

/** Recipients that no worker has wait instead, and are due: nothing is out any more unless some worker has others. */
export function stepBack(message: Message, nowMs: number): void {
  for (const recipient of message.recipients) {
    if (recipient.phase !== 'ready' && recipient.phase !== 'routing') continue;
    recipient.phase = 'waiting';
    recipient.nextAttemptAtMs = nowMs;
  }
}

/** Those that may expire: what became of their last attempt is known, and they are not due again yet (M7). */
export function expirable(message: Message, nowMs: number): Recipient[] {
  return message.recipients.filter(({ phase, owedSinceMs, nextAttemptAtMs }) => {
    if (phase !== 'waiting') return phase === 'ready' && owedSinceMs === REFUSED;
    return owedSinceMs === REFUSED || (owedSinceMs === TRIED && nextAttemptAtMs > nowMs);
  });
}

/** A site that would not be tried while an attempt was owed has answered for all who wait for it. */
export function countRefusals(message: Message, refusedUntilMs: (siteKey: string) => number): void {
  for (const recipient of message.recipients) {
    const { phase, siteKey, owedSinceMs } = recipient;
    if (phase === 'ready' && refusedUntilMs(siteKey) > owedSinceMs) recipient.owedSinceMs = REFUSED;
  }
}

/** They have failed by expiry. */
export function expire(recipients: readonly Recipient[]): void {
  for (const recipient of recipients) {
    recipient.fate = 'expired';
    recipient.phase = 'failed';
  }
}

/** Who has no fate yet has failed with these words. */
export function failUndelivered(message: Message, reply: Reply): void {
  for (const recipient of message.recipients) {
    if (recipient.fate !== 'none') continue;
    recipient.fate = 'failed';
    recipient.phase = 'failed';
    recipient.lastReply = reply;
  }
}

/** Attempts of an earlier owner that are out. */
export function adopt(message: Message, positions: readonly number[], siteKey: string): void {
  for (const position of positions) {
    const recipient = message.recipients[position];
    if (recipient === undefined || recipient.phase !== 'waiting') continue;
    recipient.phase = 'attempting';
    recipient.siteKey = siteKey;
    message.phase = 'active';
  }
}

/** True when only an operator may have it tried again: it may have been delivered, and the policy wants no duplicate. */
export function holdDoubted(message: Message, position: number, policy: MessagePolicy): boolean {
  const recipient = message.recipients[position]!;
  if (!recipient.inDoubt || policy.inDoubt !== 'hold') return false;
  recipient.phase = 'held';
  return true;
}

/** Its failures are told to nobody: who that would be is lost, too. */
export function settleUntold(message: Message): void {
  for (const recipient of message.recipients) recipient.phase = 'done';
  message.reporting = 'none';
  message.phase = 'settled';
}

/** Positions of the recipients in this phase. */
export function positionsIn(message: Message, phase: Recipient['phase']): number[] {
  return message.recipients.flatMap((recipient, position) => (recipient.phase === phase ? [position] : []));
}
