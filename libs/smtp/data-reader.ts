// Finds the end of mail data and removes the dots of transparency (RFC 5321 §4.5.2) by slicing. Only CR LF . CR LF ends
// mail data; a bare CR or LF anywhere condemns the mail, which is then read to its end and kept nowhere (so that no two
// servers can disagree where a mail ends). Chunks may break anywhere. It never holds more than `octetsMax` of a mail.

/** Octets of one mail (dots removed) and of one line with its CRLF (RFC 5321 §4.5.3.1.6: 1000). */
export interface DataLimits {
  octetsMax: number;
  lineOctetsMax: number;
}

/** How mail data ended: all is well, or why it must be refused (the first that holds, in this order). */
export type DataEnd = 'complete' | 'bare-line-end' | 'too-big' | 'line-too-long';

/** Where the last octet stood: a line's start, after its dot, after dot and CR, inside a line, after a CR inside it. */
type Place = 'line-start' | 'dot' | 'dot-cr' | 'text' | 'text-cr';

const SEVERITY: Record<DataEnd, number> = {
  'bare-line-end': 3,
  'too-big': 2,
  'line-too-long': 1,
  complete: 0,
};
const NOTHING = Buffer.alloc(0);
const CR = 13;
const LF = 10;
const DOT = 46;
/** Pieces smaller than this, so many in a row, are copied into one: a piece costs about 200 octets of its own. */
const SMALL_OCTETS = 1024;
const SMALL_RUN = 64;

/** Reads one mail after the other of one session. */
export class DataReader {
  /** Octets of mail data so far, dots removed; meaningless once the mail is condemned. */
  octets = 0;
  /** True when a line of the mail data starts with a dot, so that a client must stuff it. */
  hasDotLines = false;
  /** What is known now; final when `push` has returned the rest. A condemned mail has no pieces. */
  end: DataEnd = 'complete';
  readonly limits: DataLimits;
  private pieces: Buffer[] = [];
  private smallRun = 0;
  private place: Place = 'line-start';
  private lineOctets = 0;
  private chunk: Buffer = NOTHING;
  /** First octet of `chunk` that is not in `pieces` yet. */
  private from = 0;
  /** Next LF and CR of the chunk that is being scanned. */
  private lf = -1;
  private cr = -1;

  constructor(limits: DataLimits) {
    this.limits = limits;
  }

  /** Begins the next mail. */
  reset(): void {
    this.octets = 0;
    this.hasDotLines = false;
    this.end = 'complete';
    this.pieces = [];
    this.smallRun = 0;
    this.place = 'line-start';
    this.lineOctets = 0;
  }

  /**
   * Takes what arrived. Undefined: more is needed. A Buffer: mail data has ended, this follows it (may be empty).
   * Keeps views of `chunk`, so it must not be overwritten.
   */
  push(chunk: Buffer): Buffer | undefined {
    this.chunk = chunk;
    this.from = 0;
    this.lf = -1;
    this.cr = -1;
    const end = this.scan(chunk.toString('latin1'));
    if (end < 0) this.keepUntil(chunk.length);
    this.chunk = NOTHING;
    return end < 0 ? undefined : chunk.subarray(end);
  }

  /**
   * The unstuffed pieces since the last call, in order: views of the pushed chunks. Call it at the end, or earlier and
   * often to pass a large mail on in bounded memory.
   */
  takePieces(): Buffer[] {
    const pieces = this.pieces;
    this.pieces = [];
    this.smallRun = 0;
    return pieces;
  }

  /** Index behind the end of mail data; -1 when it is not in `text`. A string, since its indexOf costs half of Buffer's. */
  private scan(text: string): number {
    let at = 0;
    while (at < text.length) {
      switch (this.place) {
        case 'line-start':
          at = this.atLineStart(text, at);
          break;
        case 'dot':
          at = this.afterDot(text, at);
          break;
        case 'dot-cr':
          if (text.charCodeAt(at) === LF) return at + 1;
          this.condemn('bare-line-end');
          this.place = 'text';
          break;
        case 'text-cr':
          at = this.afterCr(text, at);
          break;
        case 'text':
          at = this.inText(text, at);
          break;
      }
    }
    return -1;
  }

  private atLineStart(text: string, at: number): number {
    this.lineOctets = 0;
    if (text.charCodeAt(at) !== DOT) {
      this.place = 'text';
      return at;
    }
    this.keepUntil(at);
    this.from = at + 1;
    this.place = 'dot';
    return at + 1;
  }

  private afterDot(text: string, at: number): number {
    const octet = text.charCodeAt(at);
    if (octet === CR) {
      this.from = at + 1;
      this.place = 'dot-cr';
      return at + 1;
    }
    if (octet === DOT) this.hasDotLines = true;
    this.place = 'text';
    return at;
  }

  private afterCr(text: string, at: number): number {
    if (text.charCodeAt(at) !== LF) {
      this.condemn('bare-line-end');
      this.place = 'text';
      return at;
    }
    this.endLine(1);
    return at + 1;
  }

  /** Goes over as many whole lines as do not start with a dot; stops at the first that does, or at trouble. */
  private inText(text: string, start: number): number {
    let at = start;
    for (;;) {
      const lf = this.lfFrom(text, at);
      const cr = this.crFrom(text, at);
      if (cr !== lf - 1 || lf === text.length) return this.atOddEnd(at, cr, lf);
      this.endLine(lf + 1 - at);
      at = lf + 1;
      if (at === text.length || text.charCodeAt(at) === DOT) return at;
      this.lineOctets = 0;
      this.place = 'text';
    }
  }

  /** A line whose end is not simply CR LF: a bare LF, a CR whose LF is not seen yet, or the end of the chunk. */
  private atOddEnd(at: number, cr: number, lf: number): number {
    if (cr < lf) {
      this.place = 'text-cr';
      this.lineOctets += cr + 1 - at;
      return cr + 1;
    }
    if (lf < cr) {
      this.condemn('bare-line-end');
      this.lineOctets += lf + 1 - at;
      return lf + 1;
    }
    this.lineOctets += lf - at;
    return lf;
  }

  /** Position of the first LF from `at`, text.length without one; remembered, so that no text is searched twice. */
  private lfFrom(text: string, at: number): number {
    if (this.lf >= at) return this.lf;
    const found = text.indexOf('\n', at);
    this.lf = found < 0 ? text.length : found;
    return this.lf;
  }

  private crFrom(text: string, at: number): number {
    if (this.cr >= at) return this.cr;
    const found = text.indexOf('\r', at);
    this.cr = found < 0 ? text.length : found;
    return this.cr;
  }

  private endLine(octets: number): void {
    this.lineOctets += octets;
    if (this.lineOctets > this.limits.lineOctetsMax) this.condemn('line-too-long');
    this.place = 'line-start';
  }

  private condemn(end: DataEnd): void {
    if (SEVERITY[end] > SEVERITY[this.end]) this.end = end;
    this.pieces = [];
    this.smallRun = 0;
  }

  private keepUntil(end: number): void {
    const octets = end - this.from;
    if (octets <= 0) return;
    this.octets += octets;
    if (this.octets > this.limits.octetsMax) this.condemn('too-big');
    if (this.end !== 'complete') return;
    this.pieces.push(octets === this.chunk.length ? this.chunk : this.chunk.subarray(this.from, end));
    this.smallRun = octets < SMALL_OCTETS ? this.smallRun + 1 : 0;
    if (this.smallRun === SMALL_RUN) {
      this.pieces.push(Buffer.concat(this.pieces.splice(-SMALL_RUN)));
      this.smallRun = 0;
    }
  }
}
