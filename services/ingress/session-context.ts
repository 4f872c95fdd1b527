// What all sessions of this process share.

import type { RecipientRoom } from '#libs/nats/payload.ts';
import type { Transaction } from '#libs/smtp/server-session.ts';
import type { TlsIdentity } from '#libs/tls/identity.ts';
import type { ArrivingMail, MailSource } from './arriving-mail.actor.ts';
import type { Instruments } from './instruments.ts';
import type { MemoryBudget } from './memory-budget.ts';
import type { Recipients } from './recipients.actor.ts';
import type { Session } from './session.actor.ts';
import type { Standing } from './streams.machine.ts';

export interface SessionContext {
  readonly recipients: Pick<Recipients, 'known' | 'ask'>;
  readonly budget: MemoryBudget;
  readonly instruments: Instruments;
  /** How many recipients a mail may have so that it can be stored, beside `limits.recipientsMax`. */
  recipientRoom(): RecipientRoom;
  /** Absent when no certificate is configured: then no listener has TLS. */
  readonly tls: TlsIdentity | undefined;
  /** Milliseconds since 1970, to the second or so. */
  now(): number;
  /** Whether streams take mail. */
  storage(): Standing;
  /** Room for mail data; undefined when there is none. */
  openMail(source: Omit<MailSource, 'span'> & { transaction: Transaction }): ArrivingMail | undefined;
  /** The connection of the session is gone. */
  left(session: Session): void;
}
