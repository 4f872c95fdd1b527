// Command lines of a client (RFC 5321 §2.4, §4.1.1): tells the verb of a line, and parses the arguments of MAIL and RCPT.
// It never decides whether a command is in order; that is the machine's.

export type Verb =
  | 'EHLO'
  | 'HELO'
  | 'MAIL'
  | 'RCPT'
  | 'DATA'
  | 'RSET'
  | 'NOOP'
  | 'QUIT'
  | 'VRFY'
  | 'EXPN'
  | 'HELP'
  | 'STARTTLS'
  /** No command that we know. */
  | 'UNKNOWN'
  /** Octets that no command has (over 127, control characters, bare CR or LF). */
  | 'MALFORMED'
  /** A line over the limit; its rest is skipped. */
  | 'ENDLESS';

/** One command, as it is fed to the machine. `argument`: what follows the verb and a space, printable ASCII, trimmed. */
export interface Command {
  kind: 'command';
  verb: Verb;
  argument: string;
}
