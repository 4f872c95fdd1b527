// What a new owner thinks of an attempt whose checkpoint an earlier owner left open. Pure.
import { suffixOf } from '#libs/mail/attempt-id.ts';
import type { OpenCheckpoint } from './checkpoint-ledger.ts';
import type { Message } from './message.ts';

/**
 * over: what became of it is stored. told: its worker has it still. unheard: its worker lives and has not answered. in doubt: nobody
 * will ever say whether its final dot was answered. unread: as in doubt, and the recipients of its mail are not known yet, who would be
 * marked, or held.
 */
export type Verdict = 'over' | 'told' | 'unheard' | 'in doubt' | 'unread';

export interface Witnesses {
  /** The mail as it is stored; undefined when it is settled. */
  message: Message | undefined;
  /** Attempts whose outcome is in what is stored of the mail, by suffix of their ids. */
  endedAttempts: readonly string[];
  /** Attempts that live workers have, running or not yet acted on. */
  told: ReadonlySet<string>;
  /** Workers that answered, and those that live. */
  answered: ReadonlySet<string>;
  live: ReadonlySet<string>;
}

export function verdictOf(checkpoint: OpenCheckpoint, witnesses: Witnesses): Verdict {
  const { attemptId, worker } = checkpoint;
  const { message, endedAttempts, told, answered, live } = witnesses;
  if (message === undefined || hasFates(checkpoint, message)) return 'over';
  if (endedAttempts.includes(suffixOf(attemptId))) return 'over';
  if (told.has(attemptId)) return 'told';
  // Outcomes are acknowledged only when they are stored, and a worker tells those that are not.
  if (answered.has(worker)) return 'over';
  if (live.has(worker)) return 'unheard';
  return message.recipients.length === 0 ? 'unread' : 'in doubt';
}

/** True when each of these recipients is delivered to, or failed; empty means all of the mail. */
export function allHaveFates(positions: readonly number[], message: Message): boolean {
  return hasFates({ recipients: positions }, message);
}

/** Of a mail whose recipients are not known yet nothing is known. */
function hasFates(checkpoint: Pick<OpenCheckpoint, 'recipients'>, message: Message): boolean {
  return message.recipients.length > 0 && doubtfulPositions(checkpoint, message).length === 0;
}

/** Recipients that the attempt may have reached and that have no fate. */
export function doubtfulPositions(
  { recipients }: Pick<OpenCheckpoint, 'recipients'>,
  message: Message,
): number[] {
  const positions = recipients.length > 0 ? recipients : message.recipients.keys();
  return [...positions].filter((position) => message.recipients[position]?.fate === 'none');
}
