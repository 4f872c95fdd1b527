// The commands of the server side and their order: one table phase x verb (RFC 5321 §4.1.4). Part of server.machine.ts:
// pure, changes the session in place.
import { type Command, parseMailArgument, parseRcptArgument, type Verb } from './command-line.ts';
import { replyText, type ServerReplyName, serverReplyNames } from './server-replies.ts';
import type {
  ServerEffect,
  ServerPhase,
  ServerPolicy,
  ServerSession,
  StorageState,
} from './server-session.ts';

export type Effects = readonly ServerEffect[];
export type Phase<Name extends ServerPhase['name']> = Extract<ServerPhase, { name: Name }>;

type CommandPhase = 'greeted' | 'ready' | 'addressing' | 'addressed';

/** What a command does in a phase. */
type Act<InPhase> = (
  session: ServerSession,
  phase: InPhase,
  argument: string,
  policy: ServerPolicy,
) => Effects;

const REPLIES = Object.fromEntries(
  serverReplyNames.map((name) => [name, [{ do: 'reply', text: replyText(name) }]]),
) as unknown as Record<ServerReplyName, Effects>;

/** The reply alone. */
export function say(name: ServerReplyName): Effects {
  return REPLIES[name];
}

/** The reply, and the end of the session. */
export function leave(session: ServerSession, name: ServerReplyName): Effects {
  session.phase = { name: 'closed' };
  return [...say(name), { do: 'close' }];
}

const inEveryPhase = {
  EHLO: ehlo,
  HELO: helo,
  NOOP: noop,
  QUIT: quit,
  VRFY: vrfy,
  EXPN: refuse('notImplemented'),
  HELP: help,
  UNKNOWN: refuse('unknownCommand'),
  MALFORMED: refuse('malformedCommand'),
  ENDLESS: refuse('endlessCommand'),
} satisfies Partial<Record<Verb, Act<Phase<CommandPhase>>>>;

const ORDER: { [Name in CommandPhase]: Record<Verb, Act<Phase<Name>>> } = {
  greeted: {
    ...inEveryPhase,
    MAIL: refuse('helloFirst'),
    RCPT: refuse('helloFirst'),
    DATA: refuse('helloFirst'),
    RSET: resetNothing,
    STARTTLS: refuse('helloFirst'),
  },
  ready: {
    ...inEveryPhase,
    MAIL: mail,
    RCPT: pardoned('mailFirst'),
    DATA: pardonedLast('mailFirst'),
    RSET: resetNothing,
    STARTTLS: startTls,
  },
  addressing: {
    ...inEveryPhase,
    MAIL: refuse('nestedMail'),
    RCPT: rcpt,
    DATA: pardonedLast('noRecipients'),
    RSET: reset,
    STARTTLS: refuse('notInTransaction'),
  },
  addressed: {
    ...inEveryPhase,
    MAIL: refuse('nestedMail'),
    RCPT: rcpt,
    DATA: data,
    RSET: reset,
    STARTTLS: refuse('notInTransaction'),
  },
};

/** Does the command, or refuses it. */
export function takeCommand(
  session: ServerSession,
  phase: Phase<CommandPhase>,
  { verb, argument }: Command,
  policy: ServerPolicy,
): Effects {
  switch (phase.name) {
    case 'greeted':
      return ORDER.greeted[verb](session, phase, argument, policy);
    case 'ready':
      return ORDER.ready[verb](session, phase, argument, policy);
    case 'addressing':
      return ORDER.addressing[verb](session, phase, argument, policy);
    case 'addressed':
      return ORDER.addressed[verb](session, phase, argument, policy);
  }
}

function refuse(name: ServerReplyName): Act<ServerPhase> {
  return (session, _phase, _argument, policy) => refused(session, name, policy);
}

/** A refusal that counts as a bad command. */
function refused(session: ServerSession, name: ServerReplyName, policy: ServerPolicy): Effects {
  session.badCommands++;
  return session.badCommands < policy.badCommandsMax ? say(name) : leave(session, 'tooManyBadCommands');
}

/** A refusal that counts, unless the command only follows from one before it: who pipelines has sent it without knowing. */
function pardoned(name: ServerReplyName): Act<ServerPhase> {
  return (session, _phase, _argument, policy) => {
    if (session.pardons === 0) return refused(session, name, policy);
    session.pardons--;
    return say(name);
  };
}

/** The same of the last command of a group (RFC 2920 §3.1). */
function pardonedLast(name: ServerReplyName): Act<ServerPhase> {
  const act = pardoned(name);
  return (session, phase, argument, policy) => {
    const effects = act(session, phase, argument, policy);
    session.pardons = 0;
    return effects;
  };
}

/** Domain or address literal; underscores are tolerated, what could break out of a Received field is not. */
const CLIENT_NAME = /^[A-Za-z0-9._:[\]-]{1,255}$/;

function ehlo(session: ServerSession, _phase: ServerPhase, name: string, policy: ServerPolicy): Effects {
  if (!CLIENT_NAME.test(name)) return refused(session, 'helloSyntax', policy);
  const secured = session.tls === 'on';
  session.phase = { name: 'ready', client: { name, protocol: secured ? 'ESMTPS' : 'ESMTP' } };
  return [{ do: 'reply', text: secured ? policy.ehloSecured : policy.ehloPlain }];
}

function helo(session: ServerSession, _phase: ServerPhase, name: string, policy: ServerPolicy): Effects {
  if (!CLIENT_NAME.test(name)) return refused(session, 'helloSyntax', policy);
  session.phase = { name: 'ready', client: { name, protocol: 'SMTP' } };
  return [{ do: 'reply', text: policy.helo }];
}

const NO_STORAGE = { full: 'storageFull', stuck: 'storageStuck' } as const satisfies Partial<
  Record<StorageState, ServerReplyName>
>;

function mail(
  session: ServerSession,
  { client }: Phase<'ready'>,
  argument: string,
  policy: ServerPolicy,
): Effects {
  session.pardons = policy.recipientsMax + 1;
  const parsed = parseMailArgument(argument);
  if (typeof parsed === 'string') return refused(session, parsed, policy);
  if (parsed.declaredSize > policy.messageSizeMax) return say('tooBig'); // RFC 1870 §6.1
  if (session.storage !== 'open') return say(NO_STORAGE[session.storage]); // before the data is sent
  session.pardons = 0;
  session.phase = { name: 'addressing', client, transaction: { ...parsed, forwardPaths: [] } };
  return say('senderOk');
}

function rcpt(
  session: ServerSession,
  { client, transaction }: Phase<'addressing' | 'addressed'>,
  argument: string,
  policy: ServerPolicy,
): Effects {
  session.pardons = 1; // a DATA, should none be accepted
  const parsed = parseRcptArgument(argument);
  if (typeof parsed === 'string') return refused(session, parsed, policy);
  if (transaction.forwardPaths.length >= policy.recipientsMax) return say('tooManyRecipients'); // S7
  const domain = parsed.domain === '' ? policy.postmasterDomain : parsed.domain;
  const forwardPath = parsed.domain === '' ? `${parsed.path}@${domain}` : parsed.path;
  session.phase = { name: 'verifying', client, transaction, forwardPath };
  return [{ do: 'verifyRecipient', forwardPath, domain }];
}

function data(
  session: ServerSession,
  { client, transaction }: Phase<'addressed'>,
  argument: string,
  policy: ServerPolicy,
): Effects {
  if (argument !== '') return refused(session, 'argumentNotAllowed', policy);
  session.phase = { name: 'opening', client, transaction };
  return [{ do: 'openData', transaction }];
}

function reset(
  session: ServerSession,
  { client }: Phase<'addressing' | 'addressed'>,
  argument: string,
  policy: ServerPolicy,
): Effects {
  if (argument !== '') return refused(session, 'argumentNotAllowed', policy);
  session.phase = { name: 'ready', client };
  return say('ok');
}

function resetNothing(
  session: ServerSession,
  _phase: ServerPhase,
  argument: string,
  policy: ServerPolicy,
): Effects {
  if (argument !== '') return refused(session, 'argumentNotAllowed', policy);
  session.pardons = 0;
  return say('ok');
}

function startTls(
  session: ServerSession,
  _phase: ServerPhase,
  argument: string,
  policy: ServerPolicy,
): Effects {
  if (argument !== '') return refused(session, 'argumentNotAllowed', policy);
  if (session.tls === 'on') return refused(session, 'tlsActive', policy);
  if (policy.starttls === 'absent') return refused(session, 'notImplemented', policy);
  session.pardons = 0;
  session.phase = { name: 'securing' }; // S5
  return [...say('startTlsReady'), { do: 'startTls' }];
}

function quit(session: ServerSession, _phase: ServerPhase, argument: string, policy: ServerPolicy): Effects {
  return argument === '' ? leave(session, 'goodbye') : refused(session, 'argumentNotAllowed', policy);
}

function vrfy(session: ServerSession, _phase: ServerPhase, argument: string, policy: ServerPolicy): Effects {
  return argument === '' ? refused(session, 'argumentMissing', policy) : say('notVerified');
}

function noop(): Effects {
  return say('ok');
}

function help(): Effects {
  return say('helpful');
}
