// Part of client.machine.ts: from the first address to a session that can carry mail, or to the last address that does
// not serve us.
import type { SmtpReply } from '#libs/mail/reply.ts';
import type { ServerReply } from '#libs/smtp/reply-parser.ts';
import {
  CLOSED,
  type ClientInput,
  type ClientPolicy,
  type ClientSession,
  type Effects,
  HANG_UP,
  type HelloVerb,
  IDLE,
  impossible,
  NOTHING,
  type Phase,
} from './client-session.ts';
import { extensionsOf, NO_EXTENSIONS } from './extensions.ts';
import { replyOfSilence, ruleOnReply, type Stage } from './outcome-table.ts';

type SetupPhase = Phase<'unopened' | 'connecting' | 'greeting' | 'hello' | 'starttls' | 'handshake'>;

const STAGE: Record<SetupPhase['name'], Stage> = {
  unopened: 'connect',
  connecting: 'connect',
  greeting: 'greeting',
  hello: 'hello',
  starttls: 'starttls',
  handshake: 'handshake',
};

export function whileSettingUp(
  session: ClientSession,
  phase: SetupPhase,
  input: ClientInput,
  policy: ClientPolicy,
): Effects {
  switch (input.kind) {
    case 'opened':
      return dial(session, 0, replyOfSilence('connect', 'refused', 'the site has no address'), policy);
    case 'connected':
      session.phase = { name: 'greeting' };
      return NOTHING;
    case 'secured':
      session.tls = 'on';
      return sayHello(session, firstHello(policy), policy);
    case 'replied':
      return hear(session, phase, input.reply, policy);
    case 'silent':
      return giveUp(
        session,
        replyOfSilence(STAGE[phase.name], input.silence, input.detail),
        policy,
        'silence',
      );
    case 'dismissed':
      session.phase = CLOSED;
      return [HANG_UP];
    default:
      return impossible(session, input);
  }
}

function hear(session: ClientSession, phase: SetupPhase, reply: ServerReply, policy: ClientPolicy): Effects {
  const accepted = ruleOnReply(STAGE[phase.name], reply.code).fate === 'accepted';
  switch (phase.name) {
    case 'greeting':
      return accepted
        ? sayHello(session, firstHello(policy), policy)
        : giveUp(session, reply, policy, 'refusal');
    case 'hello':
      return accepted ? introduced(session, phase.verb, reply) : helloRefused(session, phase, reply, policy);
    case 'starttls':
      if (!accepted) return giveUp(session, reply, policy, 'refusal');
      session.phase = { name: 'handshake' };
      return [{ do: 'startTls' }];
    default:
      // Words where there can be none: before the connection, or between STARTTLS and the handshake (C4).
      return giveUp(session, reply, policy, 'refusal');
  }
}

function firstHello(policy: ClientPolicy): HelloVerb {
  return policy.protocol === 'lmtp' ? 'LHLO' : 'EHLO';
}

function sayHello(session: ClientSession, verb: HelloVerb, policy: ClientPolicy): Effects {
  session.phase = { name: 'hello', verb };
  return [{ do: 'say', text: `${verb} ${policy.hostname}\r\n` }];
}

function introduced(session: ClientSession, verb: HelloVerb, reply: ServerReply): Effects {
  session.extensions = verb === 'HELO' ? NO_EXTENSIONS : extensionsOf(reply.lines);
  if (session.tls === 'wanted' && session.extensions.starttls === 'offered') {
    session.phase = { name: 'starttls' };
    return [{ do: 'say', text: 'STARTTLS\r\n' }];
  }
  session.phase = IDLE;
  return [{ do: 'tellReady' }];
}

/** A server that does not know EHLO gets HELO (RFC 5321 §3.2, §4.1.4). */
function helloRefused(
  session: ClientSession,
  { verb }: Phase<'hello'>,
  reply: ServerReply,
  policy: ClientPolicy,
): Effects {
  const isUnknown = verb === 'EHLO' && reply.code >= 500;
  return isUnknown ? sayHello(session, 'HELO', policy) : giveUp(session, reply, policy, 'refusal');
}

/** What TLS broke is tried once more without it, at the same address; anything else at the next address (C7). */
function giveUp(
  session: ClientSession,
  reason: SmtpReply,
  policy: ClientPolicy,
  by: 'silence' | 'refusal',
): Effects {
  const { name } = session.phase;
  const duringTls = name === 'starttls' || name === 'handshake';
  // A TLS alert may arrive only after our side has finished the handshake.
  if (duringTls || (session.tls === 'on' && by === 'silence')) {
    session.tls = 'unwanted';
    session.phase = { name: 'connecting' };
    return [{ do: 'dial', target: session.target }];
  }
  return dial(session, session.target + 1, reason, policy);
}

function dial(session: ClientSession, target: number, reason: SmtpReply, policy: ClientPolicy): Effects {
  if (target >= policy.targets) {
    session.phase = CLOSED;
    return [HANG_UP, { do: 'tellDown', reason, results: undefined }];
  }
  session.target = target;
  session.tls = policy.tls === 'opportunistic' ? 'wanted' : 'unwanted';
  session.phase = { name: 'connecting' };
  return [{ do: 'dial', target }];
}

/** What is waited for while setting up. */
export function stageOfSetup(phase: SetupPhase): Stage {
  return STAGE[phase.name];
}
