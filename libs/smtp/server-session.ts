// What one SMTP session as the server consists of: its state by phase, the facts it is told, and what it asks for.
//
// How a shell drives it (server.machine.ts decides, the shell does what the effects say, in order):
//
//   session = openSession('off' | 'on')            'on' for implicit TLS, after the handshake
//   receive(session, {kind: 'connected'}, policy)  or {kind: 'overload'} / {kind: 'shutdown'} to turn the client away
//   at bytes of the client:
//     while session.phase.name is 'receiving': rest = dataReader.push(chunk); when rest is not undefined the mail data
//       has ended: receive(dataFinished), then go on with splitter.push(rest) if it is not empty
//     otherwise splitter.push(chunk), and then
//       while (takesCommands(session) && (command = splitter.next()) !== undefined) receive(session, command, policy)
//     Commands that wait while the session waits stay in the splitter (pause the socket when splitter.size is large);
//     go on with the loop after feeding the awaited answer.
//   effects:
//     reply            write `text` (ASCII, with CRLF). Collect the texts of a turn and write them once (RFC 2920 §3.2).
//     verifyRecipient  ask the resolver, then feed {kind: 'recipientVerdict'}; at once when the answer is known.
//     openData         find room for mail data, then feed {kind: 'dataOpened'} or {kind: 'dataRefused'}. After
//                      dataOpened: dataReader.reset(); chunk = splitter.takeRest() is the first piece of mail data.
//     commit           store the mail durably, then feed {kind: 'committed', queueId} or {kind: 'commitFailed'}.
//     abandonData      forget the mail data and its room; nothing more is fed about it.
//     startTls         splitter.clear() FIRST (nothing from before the handshake survives, RFC 3207 §4.2), then after the
//                      reply has been written start the handshake; then feed {kind: 'tlsEstablished'} or 'tlsFailed'.
//     close            end the connection after what was written; feed nothing more.
//   other facts, at any time: timeout (only while awaitsClient(session)), shutdown, overload, disconnected.
//   A first shutdown or overload lets mail data and commits under way finish and then says 421; a second one cuts
//   mail data short (never a commit: its outcome must be told).
import type { Command } from './command-line.ts';
import type { DataEnd } from './data-reader.ts';

/** What is known of the client since its last EHLO or HELO. */
export interface ClientGreeting {
  /** Argument of EHLO or HELO: a domain or an address literal, [A-Za-z0-9._:\[\]-]{1,255}. */
  name: string;
  /** For the "with" clause of Received (RFC 3848). */
  protocol: 'SMTP' | 'ESMTP' | 'ESMTPS';
}

/** MAIL and RCPT that were accepted. */
export interface Transaction {
  /** '' for the null reverse-path. */
  reversePath: string;
  bodyType: '7BIT' | '8BITMIME';
  /** Octets declared by SIZE; 0 when not declared. */
  declaredSize: number;
  forwardPaths: string[];
}

/** A phase owns its data. The comments of server.machine.ts show the order. */
export type ServerPhase =
  | { name: 'arriving' }
  | { name: 'greeted' }
  | { name: 'ready'; client: ClientGreeting }
  | { name: 'addressing'; client: ClientGreeting; transaction: Transaction }
  | { name: 'addressed'; client: ClientGreeting; transaction: Transaction }
  | { name: 'verifying'; client: ClientGreeting; transaction: Transaction; forwardPath: string }
  | { name: 'opening'; client: ClientGreeting; transaction: Transaction }
  | { name: 'receiving'; client: ClientGreeting; transaction: Transaction }
  | { name: 'committing'; client: ClientGreeting }
  | { name: 'securing' }
  | { name: 'closed' };

/** State of a session. `receive` changes it in place. */
export interface ServerSession {
  phase: ServerPhase;
  tls: 'off' | 'on';
  /** Refused commands since the last accepted mail. */
  badCommands: number;
  /** RCPT and DATA that still follow from a refused MAIL or RCPT: refused, too, but no bad commands. */
  pardons: number;
  /** Why the session ends as soon as it may. */
  farewell: 'none' | 'shutdown' | 'overload';
  storage: StorageState;
}

/** Whether accepted mail can be stored: yes; there is no room; there may be, and nothing is stored. */
export type StorageState = 'open' | 'full' | 'stuck';

/**
 * What the resolver says of a recipient; 'relay' is a domain that is not ours. 'no-room' is said by the shell: the mail can be stored
 * with those that it has, and not with this one.
 */
export type RecipientVerdict = 'local' | 'relay' | 'unknown' | 'deferred' | 'no-room';

/**
 * Why a commit failed: no room for it; no answer in time; no answer in time from a storage that is known to take nothing; over what
 * can be stored.
 */
export type CommitTrouble = 'full' | 'unavailable' | 'stuck' | 'too-big';

export type ServerInput =
  | { kind: 'connected' }
  | Command
  /** Before a MAIL, which is refused unless it is open. It stays so until it is told otherwise. */
  | { kind: 'storage'; storage: StorageState }
  | { kind: 'recipientVerdict'; verdict: RecipientVerdict }
  | { kind: 'dataOpened' }
  | { kind: 'dataRefused' }
  /** `receivedFields`: Received fields in the header section (field-scanner). */
  | { kind: 'dataFinished'; end: DataEnd; receivedFields: number }
  | { kind: 'committed'; queueId: string }
  | { kind: 'commitFailed'; trouble: CommitTrouble }
  | { kind: 'tlsEstablished' }
  | { kind: 'tlsFailed' }
  | { kind: 'timeout' }
  | { kind: 'shutdown' }
  | { kind: 'overload' }
  | { kind: 'disconnected' };

export type ServerEffect =
  | { do: 'reply'; text: string }
  /** `domain` is lower-cased, '' never: "<Postmaster>" is completed with policy.postmasterDomain. */
  | { do: 'verifyRecipient'; forwardPath: string; domain: string }
  | { do: 'openData'; transaction: Transaction }
  | { do: 'commit'; client: ClientGreeting; transaction: Transaction }
  /** `code`: of the reply that refuses the mail; 0 when the client is gone and hears none. */
  | { do: 'abandonData'; code: number }
  | { do: 'startTls' }
  | { do: 'close' };

/** What a listener allows; made once per listener by `serverPolicy`. */
export interface ServerPolicyOptions {
  /** Our name in greeting, EHLO reply and 221. */
  hostname: string;
  /** Completes "<Postmaster>"; a local domain. */
  postmasterDomain: string;
  /** Octets of mail data; offered as SIZE. */
  messageSizeMax: number;
  recipientsMax: number;
  badCommandsMax: number;
  receivedFieldsMax: number;
  starttls: 'offered' | 'absent';
  /** Whether this client may send to domains that are not ours. */
  relay: 'allowed' | 'denied';
}

/** A policy with its texts made once. */
export interface ServerPolicy extends ServerPolicyOptions {
  greeting: string;
  helo: string;
  ehloPlain: string;
  ehloSecured: string;
}
