// Builds a delivery status notification: a multipart/report of RFC 6522 with the delivery-status part of RFC 3464, that
// tells the sender of a mail that it failed or is late. Pure: equal requests give equal octets. Whatever other hosts
// and senders wrote comes out as printable ASCII on lines of legal length, so that no field can be added by them.
import { isAddress } from '#libs/mail/address.ts';
import { cleanText, cleanWord, foldedField, wrap } from './clean-text.ts';
import { encodeFields } from './original-fields.ts';

/** What a host said, or we in the form of a reply: then `host` is ''. */
export interface DsnDiagnostic {
  /** 0 for words without a code. */
  code: number;
  enhanced: string;
  text: string;
  host: string;
}

export interface DsnRecipient {
  forwardPath: string;
  /** "5.1.1" (RFC 3463). */
  status: string;
  /** Why, for people. */
  reason: string;
  /** The last reply; absent when none was heard. */
  diagnostic?: DsnDiagnostic;
  /** Milliseconds since 1970; absent when nothing was tried. */
  lastAttemptMs?: number;
}

/** Times are milliseconds since 1970. */
export interface DsnRequest {
  kind: 'failure' | 'delay';
  hostname: string;
  /** The mail that is reported. */
  queueId: string;
  /** The report itself. */
  dsnQueueId: string;
  reversePath: string;
  arrivedAtMs: number;
  nowMs: number;
  willRetryUntilMs: number;
  recipients: readonly DsnRecipient[];
  /** With the CRLF of its last field, without the empty line; empty when it is not known. */
  originalHeaderSection: Uint8Array;
}

/** Longer words of other hosts are cut: 500 recipients must fit in one mail of a megabyte. */
const TEXT_MAX = 500;
const PATH_MAX = 900;
const HOST_MAX = 255;
const HUMAN_WIDTH = 72;

/** The mail data of the report: ASCII, CRLF, no line over 998 octets. */
export function buildDsn(request: DsnRequest): Buffer {
  const human = crlf(humanPart(request));
  const status = statusPart(request);
  const original = encodeFields(request.originalHeaderSection);
  const boundary = boundaryFor(request.dsnQueueId, [human, status, original.text]);
  const parts = [
    part('Content-Type: text/plain; charset=us-ascii', '7bit', human),
    part('Content-Type: message/delivery-status', '7bit', status),
  ];
  if (original.text !== '')
    parts.push(part('Content-Type: text/rfc822-headers', original.encoding, original.text));
  const body = parts.map((one) => `--${boundary}\r\n${one}\r\n`).join('');
  return Buffer.from(`${headerSection(request, boundary)}\r\n${body}--${boundary}--\r\n`, 'latin1');
}

function headerSection(request: DsnRequest, boundary: string): string {
  const hostname = hostOf(request);
  const subject = request.kind === 'failure' ? 'Mail delivery failed' : 'Mail delivery is delayed';
  return [
    `From: "Mail Delivery System" <MAILER-DAEMON@${hostname}>\r\n`,
    `To: <${addressOf(request.reversePath)}>\r\n`,
    `Subject: ${subject}\r\n`,
    `Date: ${dateOf(request.nowMs)}\r\n`,
    `Message-ID: <${cleanWord(request.dsnQueueId, 64)}@${hostname}>\r\n`,
    // RFC 3834 §5: no vacation program answers it.
    'Auto-Submitted: auto-replied\r\n',
    'MIME-Version: 1.0\r\n',
    `Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary="${boundary}"\r\n`,
    'Content-Transfer-Encoding: 7bit\r\n',
  ].join('');
}

function part(contentType: string, encoding: string, text: string): string {
  return `${contentType}\r\nContent-Transfer-Encoding: ${encoding}\r\n\r\n${text}`;
}

function humanPart(request: DsnRequest): string[] {
  const many = request.recipients.length > 1;
  const whom = many ? 'these recipients' : 'this recipient';
  const opening =
    request.kind === 'failure'
      ? `Your message could not be delivered to ${whom}, and will not be tried again:`
      : `Your message has not been delivered to ${whom} yet. It will be tried again until ` +
        `${dateOf(request.willRetryUntilMs)}; you need not send it again.`;
  const lines = [`This is the mail system of ${hostOf(request)}.`, '', ...wrap(opening, HUMAN_WIDTH, '')];
  for (const recipient of request.recipients) {
    lines.push('', ...wrap(`<${path(recipient.forwardPath)}>`, PATH_MAX, '  '));
    for (const said of explanations(recipient)) lines.push(...wrap(said, HUMAN_WIDTH, '    '));
  }
  const closing =
    'A report for programs and, where we have it, the header of your message are attached. ' +
    `The message is known here as ${cleanWord(request.queueId, 64)}.`;
  return [...lines, '', ...wrap(closing, HUMAN_WIDTH, '')];
}

function explanations({ reason, diagnostic }: DsnRecipient): string[] {
  const ours = cleanText(reason, TEXT_MAX);
  if (diagnostic === undefined) return [ours === '' ? 'No reply was heard.' : ours];
  const reply = replyText(diagnostic);
  const host = cleanWord(diagnostic.host, HOST_MAX);
  const heard = host === '' ? reply : `${host} said: ${reply}`;
  // A reason that only repeats the reply is said once.
  return reply.endsWith(ours) ? [heard] : [ours, heard];
}

function replyText({ code, enhanced, text }: DsnDiagnostic): string {
  return cleanText([code, enhanced, text].filter((word) => word !== '' && word !== 0).join(' '), TEXT_MAX);
}

/** RFC 3464 §2.2 and §2.3: a group for the message, then one for each recipient. */
function statusPart(request: DsnRequest): string {
  const message = [
    `Reporting-MTA: dns; ${hostOf(request)}\r\n`,
    `X-Postrider-Queue-ID: ${cleanWord(request.queueId, 64)}\r\n`,
    `Arrival-Date: ${dateOf(request.arrivedAtMs)}\r\n`,
  ].join('');
  const groups = request.recipients.map((recipient) => `\r\n${recipientFields(request, recipient)}`);
  return message + groups.join('');
}

function recipientFields(request: DsnRequest, recipient: DsnRecipient): string {
  const { forwardPath, status, diagnostic, lastAttemptMs } = recipient;
  const delayed = request.kind === 'delay';
  const known = /^[245]\.\d{1,3}\.\d{1,3}$/.test(status);
  let fields = `Final-Recipient: rfc822; ${path(forwardPath)}\r\n`;
  fields += `Action: ${delayed ? 'delayed' : 'failed'}\r\n`;
  fields += `Status: ${known ? status : delayed ? '4.0.0' : '5.0.0'}\r\n`;
  if (diagnostic !== undefined) {
    const host = cleanWord(diagnostic.host, HOST_MAX);
    if (host !== '') fields += `Remote-MTA: dns; ${host}\r\n`;
    // Our own words are not an SMTP reply (§2.3.6).
    fields += foldedField(
      'Diagnostic-Code',
      `${host === '' ? 'x-postrider' : 'smtp'}; ${replyText(diagnostic)}`,
    );
  }
  if (lastAttemptMs !== undefined) fields += `Last-Attempt-Date: ${dateOf(lastAttemptMs)}\r\n`;
  if (delayed) fields += `Will-Retry-Until: ${dateOf(request.willRetryUntilMs)}\r\n`;
  return fields;
}

/** A boundary that stands in none of the parts (RFC 2046 §5.1.1). */
function boundaryFor(dsnQueueId: string, texts: string[]): string {
  const base = `=_${dsnQueueId.replace(/[^0-9A-Za-z]/g, '').slice(0, 40)}`;
  for (let n = 0; ; n++) {
    const boundary = `${base}_${n}`;
    if (!texts.some((text) => text.includes(boundary))) return boundary;
  }
}

function hostOf({ hostname }: DsnRequest): string {
  return hostname.replace(/[^0-9A-Za-z.:[\]_-]/g, '').slice(0, HOST_MAX) || 'localhost';
}

/** A path for people and for fields that end with it; a quoted local part may have spaces. */
function path(address: string): string {
  return address.replace(/[^\x20-\x7e]/g, '?').slice(0, PATH_MAX);
}

/** What is no address must not become several of them. */
function addressOf(reversePath: string): string {
  return isAddress(reversePath)
    ? reversePath
    : cleanWord(reversePath, PATH_MAX).replace(/[<>,;:()"\\]/g, '?');
}

/** RFC 5322 §3.3, in UTC. */
function dateOf(atMs: number): string {
  return new Date(atMs).toUTCString().replace('GMT', '+0000');
}

function crlf(lines: string[]): string {
  return lines.map((line) => `${line}\r\n`).join('');
}
