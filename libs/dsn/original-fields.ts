// The header section of the mail that a report is about, as a body part that any 7-bit path carries unchanged. Pure.
import { LINE_OCTETS_MAX } from './clean-text.ts';

/** Longest line of quoted-printable, its soft line end included (RFC 2045 §6.7). */
const QUOTED_LINE_MAX = 76;

export interface EncodedPart {
  encoding: '7bit' | 'quoted-printable';
  /** ASCII lines, each with its CRLF. */
  text: string;
}

/**
 * As it is when it is 7-bit lines of legal length; else quoted-printable, which RFC 6522 §4 allows for broken header
 * sections, so that a report never needs 8BITMIME on its way.
 */
export function encodeFields(headerSection: Uint8Array): EncodedPart {
  const octets = Buffer.from(headerSection.buffer, headerSection.byteOffset, headerSection.length);
  const text = octets.toString('latin1');
  const lines = text.split('\r\n');
  if (lines.at(-1) === '') lines.pop();
  const plain = lines.every((line) => line.length <= LINE_OCTETS_MAX && !/[\0\r\n\x80-\xff]/.test(line));
  if (plain) return { encoding: '7bit', text: joined(lines) };
  return { encoding: 'quoted-printable', text: joined(lines.flatMap(quoteLine)) };
}

function joined(lines: string[]): string {
  return lines.map((line) => `${line}\r\n`).join('');
}

/** One line as lines of quoted-printable. */
function quoteLine(line: string): string[] {
  const lines: string[] = [];
  let current = '';
  for (let i = 0; i < line.length; i++) {
    const piece = quoteOctet(line, i);
    const isLast = i === line.length - 1;
    if (current.length + piece.length > QUOTED_LINE_MAX - (isLast ? 0 : 1)) {
      lines.push(`${current}=`);
      current = '';
    }
    current += piece;
  }
  lines.push(current);
  return lines;
}

function quoteOctet(line: string, at: number): string {
  const code = line.charCodeAt(at);
  const isSpace = code === 0x20 || code === 0x09;
  const literal = isSpace ? at < line.length - 1 : code > 0x20 && code < 0x7f && code !== 0x3d;
  return literal ? line[at]! : `=${code.toString(16).toUpperCase().padStart(2, '0')}`;
}
