// Looks at the names of the fields of a header section, piece by piece as mail data arrives. It reads line starts only,
// never field bodies, and nothing after the header section. It holds at most the start of one line.

/** Octets of a line start that tell its field: the longest name that we look for, spaces, and the colon. */
const START_OCTETS = 32;
const LF = 10;
/** Names may be followed by white space before the colon (RFC 5322 §4.5.8). */
const NAMED = /^(received|date|message-id|from)[ \t]*:/i;

/** One scanner per session; `reset` for each mail. */
export class FieldScanner {
  receivedFields = 0;
  hasDate = false;
  hasMessageId = false;
  hasFrom = false;
  /** True once the header section has ended: further pieces need not be pushed. */
  finished = false;
  /** Start of a line that goes on in the next piece; '' at the start of a line. */
  private start = '';

  /** Begins the next mail. */
  reset(): void {
    this.receivedFields = 0;
    this.hasDate = false;
    this.hasMessageId = false;
    this.hasFrom = false;
    this.finished = false;
    this.start = '';
  }

  /** Takes the next piece of mail data (unstuffed, CRLF lines). Does nothing once finished. */
  push(piece: Buffer): void {
    let at = 0;
    while (!this.finished && at < piece.length) {
      const lf = piece.indexOf(LF, at);
      const end = lf < 0 ? piece.length : lf + 1;
      if (this.start === '' && lf >= 0) this.look(piece, at, end);
      else this.lookAcross(piece, at, end);
      at = end;
    }
  }

  /** A whole line inside a piece: decoded only when its first octet may begin a name that we know. */
  private look(piece: Buffer, at: number, end: number): void {
    switch (piece[at]) {
      case 0x0d:
        this.finished = end - at === 2;
        break;
      case 0x52: // R
      case 0x72:
      case 0x44: // D
      case 0x64:
      case 0x4d: // M
      case 0x6d:
      case 0x46: // F
      case 0x66:
        this.note(piece.toString('latin1', at, Math.min(end, at + START_OCTETS)));
        break;
    }
  }

  /** A part of a line that began in an earlier piece or ends in a later one. */
  private lookAcross(piece: Buffer, at: number, end: number): void {
    const room = START_OCTETS - this.start.length;
    this.start += piece.toString('latin1', at, Math.min(end, at + room));
    if (piece[end - 1] !== LF) return;
    if (this.start === '\r\n') this.finished = true;
    else this.note(this.start);
    this.start = '';
  }

  private note(lineStart: string): void {
    const name = NAMED.exec(lineStart)?.[1]?.toLowerCase();
    if (name === 'received') this.receivedFields++;
    else if (name === 'date') this.hasDate = true;
    else if (name === 'message-id') this.hasMessageId = true;
    else if (name === 'from') this.hasFrom = true;
  }
}
