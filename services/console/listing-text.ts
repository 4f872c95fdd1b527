// What waits, as text for a terminal: a row per mail, a row per recipient below it, a summary at the end. Pure. What
// senders and other hosts wrote cannot move the cursor or break a row.
import { CLOCKS_AGREE_MS } from '#libs/nats/clock-skew.ts';
import type { Flushed, Listing } from '#libs/rpc/queue-admin.ts';
import type { ClockSpread, QueuedMail, QueuedRecipient } from '#proto/postrider/v1/admin.ts';
import { ageText, countText, sizeText, untilText } from './quantities.ts';
import { aligned, visible, widthsOf } from './table.ts';

const MAIL_HEADINGS = ['QUEUE ID', 'AGE', 'SIZE', 'SENDER'];
const RECIPIENT_HEADINGS = ['  RECIPIENT', 'PHASE', 'SITE', 'TRIES', 'NEXT TRY', 'LAST REPLY'];

/** The whole listing, each line with its line end. */
export function listingText(listing: Listing, nowMs: number): string {
  const { mails } = listing;
  const lines = mails.length === 0 ? [] : tableLines(mails, nowMs);
  return [...lines, ...summaryLines(listing)].map((line) => `${line}\n`).join('');
}

function tableLines(mails: QueuedMail[], nowMs: number): string[] {
  const mailRows = mails.map((mail) => [
    mail.queueId,
    ageText(nowMs - mail.acceptedAtMs),
    sizeText(mail.size),
    mail.reversePath === '' ? '<> (null reverse-path)' : visible(mail.reversePath),
  ]);
  const recipientRows = mails.map((mail) => mail.recipients.map((recipient) => rowOf(recipient, nowMs)));
  const mailWidths = widthsOf([MAIL_HEADINGS, ...mailRows]);
  const recipientWidths = widthsOf([RECIPIENT_HEADINGS, ...recipientRows.flat()]);
  const lines = [aligned(MAIL_HEADINGS, mailWidths), aligned(RECIPIENT_HEADINGS, recipientWidths)];
  mails.forEach((mail, i) => {
    lines.push(aligned(mailRows[i]!, mailWidths));
    for (const row of recipientRows[i]!) lines.push(aligned(row, recipientWidths));
    if (mail.moreRecipients > 0) lines.push(`  ... and ${countText(mail.moreRecipients, 'more recipient')}`);
  });
  return lines;
}

function rowOf(recipient: QueuedRecipient, nowMs: number): string[] {
  const { forwardPath, phase, site, attempts, nextAttemptAtMs, lastReply } = recipient;
  return [
    `  ${visible(forwardPath)}`,
    phase,
    site === '' ? '-' : visible(site),
    String(attempts),
    nextAttemptAtMs === 0 ? '-' : untilText(nextAttemptAtMs - nowMs),
    lastReply === undefined ? '-' : replyText(lastReply),
  ];
}

function replyText(reply: NonNullable<QueuedRecipient['lastReply']>): string {
  const said = [reply.code, reply.enhanced, reply.text].filter((word) => word !== '' && word !== 0).join(' ');
  return visible(reply.host === '' ? said : `${reply.host}: ${said}`);
}

function summaryLines({ mails, summary }: Listing): string[] {
  const { clocks } = summary;
  const lines: string[] = [];
  const incomplete = incompleteLines(summary, 'listed');
  if (summary.mails === 0) lines.push(incomplete.length === 0 ? 'The queue is empty.' : 'No mail was found.');
  else {
    const phases = summary.phases.map(
      ({ phase, recipients }) => `${recipients.toLocaleString('en')} ${phase}`,
    );
    const verb = summary.mails === 1 ? 'waits' : 'wait';
    lines.push('', `${countText(summary.mails, 'mail')} ${verb}; recipients: ${phases.join(', ')}.`);
    if (mails.length < summary.mails) lines.push(`Listed: the oldest ${mails.length.toLocaleString('en')}.`);
  }
  lines.push(...incomplete);
  if (clocks !== undefined && clocks.differMs > CLOCKS_AGREE_MS) lines.push(clocksText(clocks));
  return lines;
}

/** What of the cluster had no part in an answer, and so in what was to be done. */
function incompleteLines(
  { answered, instances, partitionsMissed }: Omit<Flushed, 'recipients'>,
  done: 'listed' | 'made due',
): string[] {
  const lines: string[] = [];
  if (answered < instances) {
    lines.push(
      `INCOMPLETE: ${answered} of ${countText(instances, 'queue instance')} answered; ask again in a moment.`,
    );
  }
  if (partitionsMissed > 0) {
    const missed = countText(partitionsMissed, 'partition');
    lines.push(
      `INCOMPLETE: mail of ${missed} could not be ${done}, since owners change; ask again in a moment.`,
    );
  }
  return lines;
}

/** What came of a flush. */
export function flushedText(flushed: Flushed): string {
  const { recipients } = flushed;
  const incomplete = incompleteLines(flushed, 'made due');
  const lines: string[] = [];
  if (recipients > 0) lines.push(`${countText(recipients, 'recipient')} made due now.`);
  else if (incomplete.length === 0) {
    lines.push('Nothing that matches waits: no recipient is due earlier than before.');
  } else lines.push('Nothing that matches was found.');
  return [...lines, ...incomplete, ''].join('\n');
}

function clocksText({ differMs, instance, isAhead }: ClockSpread): string {
  const apart = differMs < 60_000 ? `${(differMs / 1000).toFixed(1)} s` : ageText(differMs);
  return `CLOCKS differ by up to ${apart} (${visible(instance)} is ${isAhead ? 'ahead' : 'behind'}).`;
}
