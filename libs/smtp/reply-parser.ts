// Cuts what a server says into replies (RFC 5321 §4.2): code, enhanced status, text. Pure; never guesses: what is not a
// reply is said to be malformed, and the session is over.
import type { SmtpReply } from '#libs/mail/reply.ts';

/** A reply with its lines as they came, without their codes (EHLO lists extensions in them). */
export interface ServerReply extends SmtpReply {
  readonly lines: readonly string[];
}

/** Longest line and most lines of a reply that are read; a server that says more is not speaking SMTP. */
const LINE_MAX = 4096;
const LINES_MAX = 256;
/** Longest text kept: it is stored, and shown to people. */
const TEXT_MAX = 500;

const ENHANCED = /^([245]\.\d{1,3}\.\d{1,3})(?: |$)/;
const UNPRINTABLE = /[^\x20-\x7e]/g;

export class ReplyParser {
  #rest = '';
  #code = '';
  #lines: string[] = [];
  #replies: ServerReply[] = [];
  #malformed: string | undefined;

  /**
   * The replies that `piece` completes, also when something malformed follows them; nothing is read after that. A space
   * before the code and a bare LF are forgiven. The array is reused: read it before the next call.
   */
  push(piece: Uint8Array): ServerReply[] {
    const replies = this.#replies;
    replies.length = 0;
    if (this.#malformed !== undefined) return replies;
    const text = this.#rest + Buffer.from(piece.buffer, piece.byteOffset, piece.length).toString('latin1');
    let start = 0;
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', start)) {
      const stop = end > start && text.charCodeAt(end - 1) === 13 ? end - 1 : end;
      if (!this.#line(text.slice(start, stop))) return replies;
      start = end + 1;
    }
    this.#rest = start === 0 ? text : text.slice(start);
    if (this.#rest.length > LINE_MAX) this.#malformed = printable(this.#rest);
    return replies;
  }

  /** What the server said instead of a reply; undefined while it keeps to the syntax. */
  get malformed(): string | undefined {
    return this.#malformed;
  }

  /** True when all that was said were whole replies. */
  get isClean(): boolean {
    return this.#rest === '' && this.#lines.length === 0;
  }

  /** Forgets a reply that is not complete: after STARTTLS nothing said before counts (RFC 3207 §4.2). */
  reset(): void {
    this.#rest = '';
    this.#lines = [];
    this.#code = '';
  }

  /** False when the line is not one of a reply. */
  #line(raw: string): boolean {
    const line = raw.charCodeAt(0) === 32 ? raw.trimStart() : raw;
    const code = line.slice(0, 3);
    const mark = line.charCodeAt(3);
    const isCode = /^[2-5]\d\d$/.test(code) && (line.length === 3 || mark === 32 || mark === 45);
    const fits = this.#code === '' || this.#code === code;
    if (!isCode || !fits || this.#lines.length >= LINES_MAX) {
      this.#malformed = printable(raw);
      return false;
    }
    this.#code = code;
    this.#lines.push(line.slice(4));
    if (mark !== 45) this.#complete();
    return true;
  }

  #complete(): void {
    const lines = this.#lines;
    const first = lines[0]!;
    const enhanced = ENHANCED.exec(first)?.[1] ?? '';
    let text = first;
    if (enhanced !== '' || lines.length > 1) {
      const drop = enhanced.length;
      const words = lines.map((line) =>
        drop > 0 && line.startsWith(enhanced) ? line.slice(drop).trimStart() : line,
      );
      text = words.length === 1 ? words[0]! : words.join(' ');
    }
    this.#replies.push({ code: Number(this.#code), enhanced, text: printable(text), lines });
    this.#lines = [];
    this.#code = '';
  }
}

function printable(text: string): string {
  const short = text.length > TEXT_MAX ? text.slice(0, TEXT_MAX) : text;
  return UNPRINTABLE.test(short) ? short.replace(UNPRINTABLE, '?') : short;
}
