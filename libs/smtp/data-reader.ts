// Finds the end of mail data and removes the dots of transparency (RFC 5321 §4.5.2) by slicing. Only CR LF . CR LF ends
// mail data; a bare CR or LF anywhere condemns the mail, which is then read to its end and kept nowhere. Chunks may
// break anywhere. It never copies mail data and never holds more than `octetsMax` of it.

/** Octets of one mail (dots removed) and of one line with its CRLF (RFC 5321 §4.5.3.1.6: 1000). */
export interface DataLimits {
  octetsMax: number;
  lineOctetsMax: number;
}

/** How mail data ended: all is well, or why it must be refused. */
export type DataEnd = 'complete' | 'bare-line-end' | 'line-too-long' | 'too-big';

/** Reads one mail after the other of one session. */
export class DataReader {
  /** Octets of mail data so far, dots removed; meaningless once the mail is condemned. */
  octets = 0;
  /** True when a line of the mail data starts with a dot, so that a client must stuff it. */
  hasDotLines = false;
  /** What is known now; final when `push` has returned the rest. Condemned mail has no pieces. */
  end: DataEnd = 'complete';
  readonly limits: DataLimits;
  private pieces: Buffer[] = [];

  constructor(limits: DataLimits) {
    this.limits = limits;
  }

  /** Begins the next mail. */
  reset(): void {
    this.octets = 0;
    this.hasDotLines = false;
    this.end = 'complete';
    this.pieces = [];
  }

  /** Takes what arrived. Undefined: more is needed. A Buffer: mail data has ended, this follows it (may be empty). */
  push(_chunk: Buffer): Buffer | undefined {
    return undefined;
  }

  /** The unstuffed pieces since the last call, in order: views of the pushed chunks. Call at the end, or earlier and
   * often to pass a large mail on in bounded memory. */
  takePieces(): Buffer[] {
    const pieces = this.pieces;
    this.pieces = [];
    return pieces;
  }
}
