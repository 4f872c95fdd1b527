// What a site sees of a connection, whatever it speaks: something that carries one attempt at a time and tells what
// became of it. Connections of SMTP and LMTP and slots of the Maildir gateway are carriers.
import type { Outcome } from '#proto/postrider/v1/job.ts';
import type { Reply } from '#proto/postrider/v1/mail.ts';
import type { Attempt, RecipientFate } from './attempt.ts';

export interface Carrier {
  /** Starts the attempt; only when `ready` or a `reusable` finish was told and nothing is being carried. */
  carry(attempt: Attempt): void;
  /** Says goodbye and ends; only while nothing is being carried. Tells `left` when it is gone, and nothing else. */
  quit(): void;
  /**
   * Ends at once. Tells nothing more: an attempt that is being carried is the caller's. Returns what is known of its recipients when
   * its final dot is out.
   */
  destroy(): readonly RecipientFate[];
  /** Time passes; called by the one timer of all carriers. */
  sweep(nowMs: number): void;
}

/** What a carrier tells its site. After `stale`, `down`, `closed` or a `spent` finish it says nothing more. */
export type CarrierEvent =
  | { kind: 'ready' }
  /** It said goodbye, and the connection is closed. */
  | { kind: 'left' }
  | { kind: 'finished'; attempt: Attempt; outcome: Outcome; connectionIs: 'reusable' | 'spent' }
  /** The other side had closed it before the attempt could begin. */
  | { kind: 'stale'; attempt: Attempt }
  /** Gone, without a word about the host; an attempt that was being carried has its outcome here. */
  | { kind: 'closed'; outcome: Outcome | undefined }
  /** The host does not serve us. */
  | { kind: 'down'; reason: Reply; outcome: Outcome | undefined };
