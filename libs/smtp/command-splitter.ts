// Cuts what a client sends into command lines. Only CR LF ends a line; a line with a bare LF is refused as soon as the LF
// is seen, and its rest up to CR LF is skipped, so that nothing behind the LF is taken for a command. Any chunking of
// the bytes gives the same commands. It never holds more than it was given to wait.
import { type Command, parseCommandLine } from './command-line.ts';

/** Octets of a command line with its CRLF: 512 (RFC 5321 §4.5.3.1.4) and room for parameters of extensions. */
export const COMMAND_OCTETS_MAX = 2048;

const NOTHING = Buffer.alloc(0);
const CR = 13;
const LF = 10;

/** Holds the bytes of one session that are not used yet. */
export class CommandSplitter {
  private held: Buffer = NOTHING;
  private at = 0;
  private mode: 'reading' | 'skipping' = 'reading';

  /** Octets that wait. */
  get size(): number {
    return this.held.length - this.at;
  }

  /** Adds what arrived; keeps views of `chunk`, so it must not be overwritten. */
  push(chunk: Buffer): void {
    this.held = this.size === 0 ? chunk : Buffer.concat([this.held.subarray(this.at), chunk]);
    this.at = 0;
  }

  /** The next command; undefined when no whole line waits. */
  next(): Command | undefined {
    if (this.mode === 'skipping' && !this.skip()) return undefined;
    if (this.size === 0) return undefined;
    const lf = this.held.indexOf(LF, this.at);
    if (lf < 0 || lf - this.at >= COMMAND_OCTETS_MAX) {
      return this.size >= COMMAND_OCTETS_MAX ? this.refuse('ENDLESS', COMMAND_OCTETS_MAX) : undefined;
    }
    const start = this.at;
    if (lf === start || this.held[lf - 1] !== CR) return this.refuse('MALFORMED', lf + 1 - start);
    this.at = lf + 1;
    return parseCommandLine(this.held.toString('latin1', start, lf - 1));
  }

  /** All octets that wait, and forgets them: mail data that came with DATA in one packet. */
  takeRest(): Buffer {
    const rest = this.held.subarray(this.at);
    this.clear();
    return rest;
  }

  /** Forgets all octets that wait (RFC 3207 §4.2). */
  clear(): void {
    this.held = NOTHING;
    this.at = 0;
    this.mode = 'reading';
  }

  /** Drops `octets` of a line and goes on at the next CR LF; a last CR stays, it may be the one. */
  private refuse(verb: 'ENDLESS' | 'MALFORMED', octets: number): Command {
    const end = this.at + octets;
    this.at = this.held[end - 1] === CR ? end - 1 : end;
    this.mode = 'skipping';
    return { kind: 'command', verb, argument: '' };
  }

  /** Drops up to CR LF; false when it is not there yet. */
  private skip(): boolean {
    const end = this.held.indexOf('\r\n', this.at, 'latin1');
    if (end >= 0) {
      this.at = end + 2;
      this.mode = 'reading';
      return true;
    }
    const endsWithCr = this.size > 0 && this.held[this.held.length - 1] === CR;
    this.at = this.held.length - (endsWithCr ? 1 : 0);
    return false;
  }
}
