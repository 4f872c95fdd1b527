// What an operator is told of one waiting mail. Pure.
import type { QueuedMail, QueuedRecipient } from '#proto/postrider/v1/admin.ts';
import type { Envelope, Reply } from '#proto/postrider/v1/mail.ts';
import { isHeard, type Message, type Recipient } from './message.ts';

/** Recipients that are listed of one mail. */
const RECIPIENTS_MAX = 50;

/** Where a site stands, as far as work that waits for it is concerned. */
export interface SiteStanding {
  phase: 'open' | 'suspended' | 'probing';
  /** On the owner's clock. */
  suspendedUntilMs: number;
  reason: Reply | undefined;
}

export type FindSite = (siteKey: string) => SiteStanding | undefined;

const PHASE_WORDS: Record<Recipient['phase'], string> = {
  routing: 'routing',
  ready: 'queued',
  attempting: 'in delivery',
  waiting: 'deferred',
  held: 'held',
  failed: 'being reported',
  done: 'done',
};

/** The phase in words; a recipient that waits for a suspended site says so. */
export function phaseText(recipient: Recipient, findSite: FindSite): string {
  return suspensionOf(recipient, findSite) === undefined ? PHASE_WORDS[recipient.phase] : 'site suspended';
}

function suspensionOf(recipient: Recipient, findSite: FindSite): SiteStanding | undefined {
  const site = recipient.phase === 'ready' ? findSite(recipient.siteKey) : undefined;
  return site?.phase === 'suspended' ? site : undefined;
}

/** True when an operator who asks for this domain wants to see it; "" means every domain. */
export function isAsked(recipient: Recipient, domain: string): boolean {
  return recipient.phase !== 'done' && (domain === '' || recipient.domain === domain);
}

/** The mail with its waiting recipients of the domain; without an envelope, paths are not known. */
export function describe(
  message: Message,
  envelope: Envelope | undefined,
  shown: { domain: string; findSite: FindSite; toWall: (atMs: number) => number },
): QueuedMail {
  const recipients: QueuedRecipient[] = [];
  let moreRecipients = 0;
  message.recipients.forEach((recipient, position) => {
    if (!isAsked(recipient, shown.domain)) return;
    const path = envelope?.forwardPaths[position] ?? `?@${recipient.domain}`;
    if (recipients.length < RECIPIENTS_MAX) recipients.push(describeRecipient(recipient, path, shown));
    else moreRecipients += 1;
  });
  return {
    queueId: message.queueId,
    reversePath: envelope?.reversePath ?? '?',
    acceptedAtMs: message.acceptedAtMs,
    size: message.size,
    recipients,
    moreRecipients,
  };
}

function describeRecipient(
  recipient: Recipient,
  forwardPath: string,
  { findSite, toWall }: { findSite: FindSite; toWall: (atMs: number) => number },
): QueuedRecipient {
  const suspension = suspensionOf(recipient, findSite);
  const waitsUntilMs = recipient.phase === 'waiting' ? recipient.nextAttemptAtMs : 0;
  const nextAttemptAtMs = suspension?.suspendedUntilMs ?? waitsUntilMs;
  return {
    forwardPath,
    domain: recipient.domain,
    phase: phaseText(recipient, findSite),
    site: recipient.siteKey,
    attempts: recipient.attempts,
    nextAttemptAtMs: nextAttemptAtMs > 0 ? toWall(nextAttemptAtMs) : 0,
    lastReply: suspension?.reason ?? (isHeard(recipient.lastReply) ? recipient.lastReply : undefined),
  };
}
