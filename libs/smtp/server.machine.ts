// One SMTP session as its server, phase by phase (RFC 5321 §3, §4.1.4). With server-order.ts, which has the commands, it
// decides every reply; it does no I/O. How a shell drives it is told in server-session.ts.
//
//   arriving --connected--> greeted --EHLO/HELO--> ready --MAIL--> addressing --RCPT--> verifying --verdict--> addressed
//                                                    ^                ^                    |                      |
//                                                    |                +----- refused ------+    RCPT: verifying --+
//                                                    |                                                            |
//                                                    +-- committing <--dataFinished-- receiving <-- opening <--DATA
//   ready --STARTTLS--> securing --tlsEstablished--> greeted           any --QUIT, 421, disconnected--> closed
//
// Invariants:
//   S1  A commit is asked for once per DATA, and only after mail data ended well.
//   S2  "250 queued" is said only upon `committed`.
//   S3  Every command gets one reply (DATA two: 354 and the last word), in order; none is taken while one is owed.
//   S4  Room for mail data is asked for once per DATA, and given back once: by commit or abandonData.
//   S5  After STARTTLS nothing that the client said before is known (RFC 3207 §4.2).
//   S6  After close there is no effect.
//   S7  A transaction has at most recipientsMax recipients, each accepted by a verdict.

import { type Effects, leave, type Phase, say, takeCommand } from './server-order.ts';
import { ehloText, greetingText, replyCode, replyText, type ServerReplyName } from './server-replies.ts';
import type {
  CommitTrouble,
  RecipientVerdict,
  ServerInput,
  ServerPhase,
  ServerPolicy,
  ServerPolicyOptions,
  ServerSession,
} from './server-session.ts';

export type { ServerPolicy } from './server-session.ts';

/** Makes the policy of a listener and kind of client; keep it. */
export function serverPolicy(options: ServerPolicyOptions): ServerPolicy {
  const always = ['PIPELINING', `SIZE ${options.messageSizeMax}`, '8BITMIME', 'ENHANCEDSTATUSCODES'];
  return {
    ...options,
    greeting: greetingText(options.hostname),
    helo: ehloText(options.hostname, []),
    ehloPlain: ehloText(options.hostname, options.starttls === 'offered' ? [...always, 'STARTTLS'] : always),
    ehloSecured: ehloText(options.hostname, always),
  };
}

/** A new session; 'on' when TLS was there before SMTP. Feed it `connected` first. */
export function openSession(tls: 'off' | 'on'): ServerSession {
  return { phase: { name: 'arriving' }, tls, badCommands: 0, pardons: 0, farewell: 'none', storage: 'open' };
}

/** True when the next command may be fed; false while an answer of ours is awaited, in mail data, and after the end. */
export function takesCommands(session: ServerSession): boolean {
  const { name } = session.phase;
  return name === 'greeted' || name === 'ready' || name === 'addressing' || name === 'addressed';
}

/** True when it is the client's turn, so that its silence is measured (RFC 5321 §4.5.3.2.7). */
export function awaitsClient(session: ServerSession): boolean {
  const { name } = session.phase;
  return name === 'receiving' || name === 'securing' || takesCommands(session);
}

type Listening = Phase<'greeted' | 'ready' | 'addressing' | 'addressed'>;

const NOTHING: Effects = [];
const GREETED: ServerPhase = { name: 'greeted' };
const CLOSED: ServerPhase = { name: 'closed' };

/**
 * Changes `session` in place and returns what to do, in order. Throws when the shell feeds what cannot happen now, such
 * as a command while an answer is awaited.
 */
export function receive(session: ServerSession, input: ServerInput, policy: ServerPolicy): Effects {
  const { phase } = session;
  switch (phase.name) {
    case 'greeted':
    case 'ready':
    case 'addressing':
    case 'addressed':
      return whileListening(session, phase, input, policy);
    case 'verifying':
      return whileVerifying(session, phase, input, policy);
    case 'opening':
      return whileOpening(session, phase, input);
    case 'receiving':
      return whileReceiving(session, phase, input, policy);
    case 'committing':
      return whileCommitting(session, phase, input);
    case 'arriving':
      return whileArriving(session, input, policy);
    case 'securing':
      return whileSecuring(session, input);
    case 'closed':
      return NOTHING; // S6: answers that come too late
  }
}

function whileArriving(session: ServerSession, input: ServerInput, policy: ServerPolicy): Effects {
  switch (input.kind) {
    case 'connected':
      session.phase = GREETED;
      return [{ do: 'reply', text: policy.greeting }];
    case 'overload':
      return leave(session, 'overloaded');
    case 'shutdown':
      return leave(session, 'shuttingDown');
    case 'disconnected':
      return end(session, NOTHING);
    default:
      return impossible(session, input);
  }
}

function whileListening(
  session: ServerSession,
  phase: Listening,
  input: ServerInput,
  policy: ServerPolicy,
): Effects {
  switch (input.kind) {
    case 'command':
      return takeCommand(session, phase, input, policy);
    case 'storage':
      session.storage = input.storage;
      return NOTHING;
    case 'timeout':
      return leave(session, 'idleTooLong');
    case 'overload':
      return leave(session, 'overloaded');
    case 'shutdown':
      return leave(session, 'shuttingDown');
    case 'disconnected':
      return end(session, NOTHING);
    default:
      return impossible(session, input);
  }
}

function whileVerifying(
  session: ServerSession,
  phase: Phase<'verifying'>,
  input: ServerInput,
  policy: ServerPolicy,
): Effects {
  if (input.kind !== 'recipientVerdict') return whileTheyWait(session, input, NOTHING);
  const { client, transaction, forwardPath } = phase;
  const verdict = judge(input.verdict, policy);
  if (verdict === 'recipientOk') transaction.forwardPaths.push(forwardPath); // S7
  const name = transaction.forwardPaths.length > 0 ? 'addressed' : 'addressing';
  session.phase = { name, client, transaction };
  return orFarewell(session, say(verdict));
}

function judge(verdict: RecipientVerdict, policy: ServerPolicy) {
  switch (verdict) {
    case 'local':
      return 'recipientOk';
    case 'relay':
      return policy.relay === 'allowed' ? 'recipientOk' : 'relayDenied';
    case 'unknown':
      return 'recipientUnknown';
    case 'deferred':
      return 'recipientDeferred';
    case 'no-room':
      return 'tooManyRecipients'; // RFC 5321 §4.5.3.1.10
  }
}

function whileOpening(session: ServerSession, phase: Phase<'opening'>, input: ServerInput): Effects {
  const { client, transaction } = phase;
  switch (input.kind) {
    case 'dataOpened':
      session.phase = { name: 'receiving', client, transaction };
      return session.farewell === 'none' ? say('sendData') : cutShort(session);
    case 'dataRefused':
      session.phase = { name: 'ready', client };
      return orFarewell(session, say('noMemory'));
    default:
      return whileTheyWait(session, input, CLIENT_GONE);
  }
}

const CLIENT_GONE: Effects = [{ do: 'abandonData', code: 0 }];

function abandon(reply: ServerReplyName): Effects {
  return [{ do: 'abandonData', code: replyCode(reply) }];
}

function whileReceiving(
  session: ServerSession,
  phase: Phase<'receiving'>,
  input: ServerInput,
  policy: ServerPolicy,
): Effects {
  switch (input.kind) {
    case 'dataFinished':
      return weigh(session, phase, input, policy);
    case 'timeout':
      return [...abandon('idleTooLong'), ...leave(session, 'idleTooLong')];
    case 'shutdown':
    case 'overload':
      if (session.farewell !== 'none') return cutShort(session);
      return whileTheyWait(session, input, CLIENT_GONE);
    default:
      return whileTheyWait(session, input, CLIENT_GONE);
  }
}

const DATA_REFUSALS = {
  'bare-line-end': 'bareLineEnd',
  'too-big': 'tooBig',
  'line-too-long': 'lineTooLong',
} as const;

function weigh(
  session: ServerSession,
  { client, transaction }: Phase<'receiving'>,
  input: Extract<ServerInput, { kind: 'dataFinished' }>,
  policy: ServerPolicy,
): Effects {
  if (input.end === 'complete' && input.receivedFields <= policy.receivedFieldsMax) {
    session.phase = { name: 'committing', client };
    return [{ do: 'commit', client, transaction }]; // S1, S4
  }
  session.phase = { name: 'ready', client };
  const refusal = input.end === 'complete' ? 'looping' : DATA_REFUSALS[input.end];
  return orFarewell(session, [...abandon(refusal), ...say(refusal)]);
}

const COMMIT_REFUSALS = {
  full: 'storageFull',
  unavailable: 'commitUnavailable',
  stuck: 'storageStuck',
  'too-big': 'tooBig',
} as const satisfies Record<CommitTrouble, ServerReplyName>;

/** Code of the reply to a commit that failed so. */
export function commitRefusalCode(trouble: CommitTrouble): number {
  return replyCode(COMMIT_REFUSALS[trouble]);
}

function whileCommitting(session: ServerSession, phase: Phase<'committing'>, input: ServerInput): Effects {
  switch (input.kind) {
    case 'committed':
      session.badCommands = 0;
      session.phase = { name: 'ready', client: phase.client };
      return orFarewell(session, [{ do: 'reply', text: replyText('queued', input.queueId) }]); // S2
    case 'commitFailed':
      session.phase = { name: 'ready', client: phase.client };
      return orFarewell(session, say(COMMIT_REFUSALS[input.trouble]));
    default:
      return whileTheyWait(session, input, NOTHING);
  }
}

function whileSecuring(session: ServerSession, input: ServerInput): Effects {
  switch (input.kind) {
    case 'tlsEstablished':
      session.tls = 'on';
      session.phase = GREETED; // S5: the phase that knew the client is gone
      return orFarewell(session, NOTHING);
    case 'tlsFailed':
    case 'timeout':
      return end(session, [{ do: 'close' }]);
    default:
      return whileTheyWait(session, input, NOTHING);
  }
}

/** What can happen to any session that owes an answer; `lastly` is done when the client is gone. */
function whileTheyWait(session: ServerSession, input: ServerInput, lastly: Effects): Effects {
  switch (input.kind) {
    case 'timeout':
      return NOTHING; // its silence is right
    case 'shutdown':
    case 'overload':
      session.farewell = input.kind;
      return NOTHING;
    case 'disconnected':
      return end(session, lastly);
    default:
      return impossible(session, input);
  }
}

/** `effects`, and then the 421 that was put off. */
function orFarewell(session: ServerSession, effects: Effects): Effects {
  switch (session.farewell) {
    case 'none':
      return effects;
    case 'shutdown':
      return [...effects, ...leave(session, 'shuttingDown')];
    case 'overload':
      return [...effects, ...leave(session, 'overloaded')];
  }
}

function cutShort(session: ServerSession): Effects {
  return orFarewell(session, abandon('shuttingDown'));
}

function end(session: ServerSession, effects: Effects): Effects {
  session.phase = CLOSED;
  return effects;
}

function impossible(session: ServerSession, input: ServerInput): never {
  throw new Error(`${input.kind} cannot happen while ${session.phase.name}`);
}
