// Looks at the names of the fields of a header section, piece by piece as mail data arrives. It reads line starts only,
// never field bodies, and nothing after the header section.

/** One scanner per session; `reset` for each mail. */
export class FieldScanner {
  receivedFields = 0;
  hasDate = false;
  hasMessageId = false;
  hasFrom = false;
  /** True once the header section has ended: further pieces need not be pushed. */
  finished = false;

  /** Begins the next mail. */
  reset(): void {
    this.receivedFields = 0;
    this.hasDate = false;
    this.hasMessageId = false;
    this.hasFrom = false;
    this.finished = false;
  }

  /** Takes the next piece of mail data (unstuffed, CRLF lines). Does nothing once finished. */
  push(_piece: Buffer): void {}
}
