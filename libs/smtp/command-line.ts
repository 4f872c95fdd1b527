// Command lines of a client (RFC 5321 §2.4, §4.1.1): tells the verb of a line, and parses the arguments of MAIL and
// RCPT. It never decides whether a command is in order; that is the machine's.
import { type MailPath, parsePath } from '#libs/mail/address.ts';

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

/** One command, as it is fed to the machine. `argument`: what follows the verb, printable ASCII, trimmed. */
export interface Command {
  kind: 'command';
  verb: Verb;
  argument: string;
}

const KNOWN: readonly Verb[] = [
  'EHLO',
  'HELO',
  'MAIL',
  'RCPT',
  'DATA',
  'RSET',
  'NOOP',
  'QUIT',
  'VRFY',
  'EXPN',
  'HELP',
  'STARTTLS',
];
const VERBS = new Map<string, Verb>(KNOWN.map((verb) => [verb, verb]));
const NOT_PRINTABLE = /[^\t\x20-\x7e]/;

/** The command of a line without its CRLF, decoded as latin1 (so that every octet is one character). */
export function parseCommandLine(line: string): Command {
  if (NOT_PRINTABLE.test(line)) return { kind: 'command', verb: 'MALFORMED', argument: '' };
  const space = line.indexOf(' ');
  if (space < 0) return { kind: 'command', verb: verbOf(line.trimEnd()), argument: '' };
  return { kind: 'command', verb: verbOf(line.slice(0, space)), argument: line.slice(space + 1).trim() };
}

function verbOf(word: string): Verb {
  return VERBS.get(word) ?? VERBS.get(word.toUpperCase()) ?? 'UNKNOWN';
}

/** What MAIL said. `declaredSize`: octets, 0 when not told; it may be over 2^53 and is only to be compared. */
export interface MailArguments {
  reversePath: string;
  declaredSize: number;
  bodyType: '7BIT' | '8BITMIME';
}

/** Why an argument is refused: names of server-replies. */
export type ArgumentTrouble =
  | 'mailSyntax'
  | 'rcptSyntax'
  | 'reversePathSyntax'
  | 'forwardPathSyntax'
  | 'parameterSyntax'
  | 'parameterUnknown';

/** Parses "FROM:<path> [SIZE=n] [BODY=7BIT|8BITMIME]" (RFC 5321 §4.1.1.2, RFC 1870, RFC 6152). */
export function parseMailArgument(argument: string): MailArguments | ArgumentTrouble {
  const start = pathStart(argument, 'FROM:');
  if (start < 0) return 'mailSyntax';
  const path = parsePath(argument, start);
  if (path === undefined || isPostmasterAlone(path)) return 'reversePathSyntax';
  const parameters = parseParameters(argument, path.end);
  if (parameters === undefined) return 'parameterSyntax';
  const found: MailArguments = { reversePath: path.path, declaredSize: 0, bodyType: '7BIT' };
  for (const [keyword, value] of parameters) {
    const trouble = take(found, keyword, value);
    if (trouble !== undefined) return trouble;
  }
  return found;
}

/** Parses "TO:<path>" (§4.1.1.3); no parameter is known. `domain` is '' for "<Postmaster>" only. */
export function parseRcptArgument(argument: string): MailPath | ArgumentTrouble {
  const start = pathStart(argument, 'TO:');
  if (start < 0) return 'rcptSyntax';
  const path = parsePath(argument, start);
  if (path === undefined || path.path === '') return 'forwardPathSyntax';
  const parameters = parseParameters(argument, path.end);
  if (parameters === undefined) return 'parameterSyntax';
  return parameters.size > 0 ? 'parameterUnknown' : path;
}

/** Index of what follows `label` and spaces (tolerated, though §3.3 has none); -1 when `label` is not there. */
function pathStart(argument: string, label: string): number {
  if (argument.slice(0, label.length).toUpperCase() !== label) return -1;
  let start = label.length;
  while (argument[start] === ' ') start++;
  return start;
}

function isPostmasterAlone(path: MailPath): boolean {
  return path.domain === '' && path.path !== '';
}

const NO_PARAMETERS: ReadonlyMap<string, string> = new Map();
const PARAMETER = /^([A-Za-z0-9][A-Za-z0-9-]*)(?:=([\x21-\x3c\x3e-\x7e]+))?$/;

/** Upper-cased keywords with their values ('' without one); undefined on bad syntax or a repeated keyword. */
function parseParameters(argument: string, start: number): ReadonlyMap<string, string> | undefined {
  if (start === argument.length) return NO_PARAMETERS;
  if (argument[start] !== ' ') return undefined;
  const parameters = new Map<string, string>();
  for (const word of argument.slice(start).trim().split(/ +/)) {
    const match = PARAMETER.exec(word);
    if (match === null) return undefined;
    const keyword = match[1]!.toUpperCase();
    if (parameters.has(keyword)) return undefined;
    parameters.set(keyword, match[2] ?? '');
  }
  return parameters;
}

function take(found: MailArguments, keyword: string, value: string): ArgumentTrouble | undefined {
  if (keyword === 'SIZE') {
    // Number() alone would take "0x10" and "1e3".
    if (!/^\d{1,20}$/.test(value)) return 'parameterSyntax';
    found.declaredSize = Number(value);
    return undefined;
  }
  if (keyword === 'BODY') {
    const bodyType = value.toUpperCase();
    if (bodyType !== '7BIT' && bodyType !== '8BITMIME') return 'parameterSyntax';
    found.bodyType = bodyType;
    return undefined;
  }
  return 'parameterUnknown';
}
