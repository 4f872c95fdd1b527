// The mail that `postrider smoke` sends, and the check of what arrives. Pure. The mail holds what careless software
// changes: lines of dots, octets over 127, a line of the longest length, white space at ends of lines, empty last lines.

import { Stuffer } from '#libs/smtp/stuffing.ts';

/** A mail with everything that a client must know; `data` ends with CRLF and is not stuffed. */
export interface SmokeMail {
  reversePath: string;
  forwardPath: string;
  data: Buffer;
}

/** Longest line without its CRLF (RFC 5321 §4.5.3.1.6). */
const LINE_OCTETS_MAX = 998;
/** A field of the header section: its first line, or one that goes on (RFC 5322 §2.2). */
const FIELD_LINE = /^(?:[!-9;-~]+:|[ \t])/;
const EXCERPT_OCTETS = 24;
const FINAL_DOT = Buffer.from('.\r\n');

/** The mail to `smoke-<token>@<domain>`; the token makes it one of its kind. */
export function smokeMail(domain: string, token: string, nowMs: number): SmokeMail {
  const reversePath = `smoke@${domain}`;
  const forwardPath = `smoke-${token}@${domain}`;
  const lines = [
    `From: <${reversePath}>`,
    `To: <${forwardPath}>`,
    `Date: ${new Date(nowMs).toUTCString().replace('GMT', '+0000')}`,
    `Message-ID: <${token}@${domain}>`,
    'Subject: postrider smoke',
    'MIME-Version: 1.0',
    'Content-Type: text/plain; charset=iso-8859-1',
    'Content-Transfer-Encoding: 8bit',
    '',
    '.',
    '..',
    '.a dot first',
    'caf\xe9 \xff',
    'From here on',
    'white space at the end \t ',
    'x'.repeat(LINE_OCTETS_MAX),
    '',
    '',
  ];
  return { reversePath, forwardPath, data: Buffer.from(`${lines.join('\r\n')}\r\n`, 'latin1') };
}

/** How mail data travels: the dots of its lines doubled, the final dot at its end (RFC 5321 §4.5.2). */
export function stuffed(data: Buffer): Buffer {
  return Buffer.concat([...new Stuffer().stuff([data]), FINAL_DOT]);
}

/** Undefined when `arrived` is `sent`, octet for octet, behind trace fields; otherwise one line that says what is not. */
export function difference(sent: Buffer, arrived: Buffer): string | undefined {
  const before = arrived.subarray(0, Math.max(0, arrived.length - sent.length));
  if (arrived.subarray(before.length).equals(sent)) return troubleOfFields(before.toString('latin1'));
  const firstLine = sent.subarray(0, sent.indexOf('\r\n') + 2);
  const start = arrived.indexOf(firstLine);
  if (start < 0) return `another mail arrived, it begins with ${excerpt(arrived, 0)}`;
  const at = sent.findIndex((octet, i) => arrived[start + i] !== octet);
  const octets = `sent ${sent.length} octets`;
  if (at < 0) return `${octets}, and ${arrived.length - start - sent.length} more arrived behind them`;
  return `${octets}, different from octet ${at}: sent ${excerpt(sent, at)}, arrived ${excerpt(arrived, start + at)}`;
}

function troubleOfFields(text: string): string | undefined {
  if (text === '') return 'it arrived without a Received field';
  const lines = text.split('\r\n');
  const isWhole = lines.pop() === '' && lines.every((line) => FIELD_LINE.test(line));
  if (!isWhole) return `what stands before it is not a header section: ${JSON.stringify(text)}`;
  return /^received:/im.test(text) ? undefined : 'it arrived without a Received field';
}

function excerpt(octets: Buffer, at: number): string {
  return JSON.stringify(octets.toString('latin1', at, at + EXCERPT_OCTETS));
}
