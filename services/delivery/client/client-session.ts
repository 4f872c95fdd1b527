// One client session as a value: its phases, the facts it is told, and what it wants done. The machine is in
// client.machine.ts; connection.actor.ts drives it.
import type { SmtpReply } from '#libs/mail/reply.ts';
import type { ServerReply } from '#libs/smtp/reply-parser.ts';
import type { Extensions } from './extensions.ts';
import type { Fate, Silence } from './outcome-table.ts';

/** A mail as its transaction needs it. */
export interface MailToCarry {
  readonly reversePath: string;
  /** Those of the job, in its order; at least one. */
  readonly forwardPaths: readonly string[];
  /** Octets before stuffing. */
  readonly size: number;
  readonly body: '7bit' | '8bitmime';
  /** whole: all of it is at hand, and goes out in one go; streamed: it comes piece by piece. */
  readonly data: 'whole' | 'streamed';
}

/** What became of one recipient, and the words that decided it. Those decided by one reply share the object. */
export interface Result {
  readonly fate: Fate;
  readonly reply: SmtpReply;
}

export interface Transaction {
  readonly mail: MailToCarry;
  /** One for each recipient; undefined until it is decided. */
  readonly results: (Result | undefined)[];
  /** How many of `results` are undefined. */
  undecided: number;
  /** ahead: not asked for yet. */
  checkpoint: 'ahead' | 'awaited' | 'passed';
}

export type HelloVerb = 'EHLO' | 'HELO' | 'LHLO';

export type ClientPhase =
  | { name: 'unopened' }
  | { name: 'connecting' }
  | { name: 'greeting' }
  | { name: 'hello'; verb: HelloVerb }
  | { name: 'starttls' }
  | { name: 'handshake' }
  /** Ready for a mail. */
  | { name: 'idle' }
  /** Ready too, but the server may still hold what is left of a refused transaction: RSET comes first. */
  | { name: 'soiled' }
  /** Commands are out; `at` is the one whose reply comes next: -2 RSET, -1 MAIL, 0.. RCPT, after them DATA. */
  | { name: 'addressing'; transaction: Transaction; at: number }
  /** 354 came, pieces of the mail go out. */
  | { name: 'streaming'; transaction: Transaction }
  /** 354 came, nothing is to be sent before the checkpoint is passed. */
  | { name: 'passing'; transaction: Transaction }
  /** The final dot is out; `at` is the recipient whose reply comes next. */
  | { name: 'ending'; transaction: Transaction; at: number }
  /** 354 came though no recipient was accepted; a lone dot is out. */
  | { name: 'emptying'; transaction: Transaction }
  | { name: 'closed' };

export interface ClientSession {
  phase: ClientPhase;
  /** Number of the address that is dialled or talked to. */
  target: number;
  /** wanted: used when it is offered; unwanted: by policy, or because it failed here. */
  tls: 'wanted' | 'on' | 'unwanted';
  extensions: Extensions;
  /** used: it has answered a transaction before. */
  history: 'fresh' | 'used';
}

export interface ClientPolicy {
  readonly protocol: 'smtp' | 'lmtp';
  /** Our name. */
  readonly hostname: string;
  /** How many addresses there are to dial. */
  readonly targets: number;
  readonly tls: 'opportunistic' | 'never';
}

export type DataTrouble = 'missing' | 'unavailable';

export type ClientInput =
  | { kind: 'opened' }
  | { kind: 'connected' }
  | { kind: 'replied'; reply: ServerReply }
  | { kind: 'secured' }
  /** No proper reply came, or nothing can come any more. */
  | { kind: 'silent'; silence: Silence; detail: string }
  /** A mail is to be carried; only while `isReady`. */
  | { kind: 'mailGiven'; mail: MailToCarry }
  /** The checkpoint that was asked for this mail is passed. */
  | { kind: 'checkpointPassed' }
  /** The final dot of this mail must not be sent: its checkpoint is refused, or it was time to send it and we may not. */
  | { kind: 'dotRefused' }
  /** The last piece of the mail is handed to the socket. */
  | { kind: 'streamed' }
  | { kind: 'dataLost'; trouble: DataTrouble }
  /** The session is not wanted any more; only while no mail is carried. */
  | { kind: 'dismissed' };

export type ClientEffect =
  /** Connects to an address; what was connected before is dropped. */
  | { do: 'dial'; target: number }
  | { do: 'say'; text: string }
  | { do: 'startTls' }
  | { do: 'passCheckpoint' }
  /** The whole mail and its final dot. */
  | { do: 'sendMail' }
  /** The mail piece by piece, without its final dot. */
  | { do: 'streamMail' }
  | { do: 'sendDot' }
  /** Drops the connection. */
  | { do: 'hangUp' }
  /** QUIT, and ends the connection in good order. */
  | { do: 'leave' }
  | { do: 'tellReady' }
  | { do: 'tellFinished'; results: readonly Result[]; connectionIs: 'reusable' | 'spent' }
  /** The mail was not begun: the connection was no good any more. */
  | { do: 'tellStale' }
  /** `results` are those of the mail that was carried. */
  | { do: 'tellClosed'; results: readonly Result[] | undefined }
  | { do: 'tellDown'; reason: SmtpReply; results: readonly Result[] | undefined }
  /** The mail may not be sent and nothing of it counts; the connection, which waits for its end, is dropped. */
  | { do: 'tellRefused' }
  /** The mail's data could not be had, half of it may be out; the connection is dropped. */
  | { do: 'tellDataLost'; trouble: DataTrouble };

export type Effects = readonly ClientEffect[];
export type Phase<Name extends ClientPhase['name']> = Extract<ClientPhase, { name: Name }>;

export const NOTHING: Effects = [];
export const HANG_UP: ClientEffect = { do: 'hangUp' };
export const IDLE: ClientPhase = { name: 'idle' };
export const CLOSED: ClientPhase = { name: 'closed' };

/** A fact that the shell must not feed in this phase. */
export function impossible(session: ClientSession, input: ClientInput): never {
  throw new Error(`${input.kind} cannot happen while ${session.phase.name}`);
}
