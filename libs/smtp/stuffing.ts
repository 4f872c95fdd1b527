// Dot-stuffing of mail data on its way out (RFC 5321 §4.5.2), by slicing: octets are never copied. Pure.

const DOT = Buffer.from('.');
const LINE_DOT = Buffer.from('\n.');

/** Stuffs the pieces of one mail; remembers whether the next piece begins a line. */
export class Stuffer {
  #atLineStart = true;

  /** `pieces` with a second dot before each line that starts with one. Slices of the input. */
  stuff(pieces: readonly Uint8Array[]): Uint8Array[] {
    const out: Uint8Array[] = [];
    for (const piece of pieces) {
      if (piece.length > 0) this.#one(Buffer.from(piece.buffer, piece.byteOffset, piece.length), out);
    }
    return out;
  }

  #one(piece: Buffer, out: Uint8Array[]): void {
    if (this.#atLineStart && piece[0] === 46) out.push(DOT);
    let start = 0;
    for (let at = piece.indexOf(LINE_DOT); at >= 0; at = piece.indexOf(LINE_DOT, at + 2)) {
      out.push(piece.subarray(start, at + 1), DOT);
      start = at + 1;
    }
    out.push(start === 0 ? piece : piece.subarray(start));
    this.#atLineStart = piece[piece.length - 1] === 10;
  }
}
