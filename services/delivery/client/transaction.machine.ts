// Part of client.machine.ts: one mail, from MAIL to the reply to its final dot. It builds the commands too.
import type { SmtpReply } from '#libs/mail/reply.ts';
import {
  CLOSED,
  type ClientEffect,
  type ClientInput,
  type ClientPhase,
  type ClientPolicy,
  type ClientSession,
  type Effects,
  HANG_UP,
  IDLE,
  impossible,
  type MailToCarry,
  NOTHING,
  type Phase,
  type Result,
  type Transaction,
} from './client-session.ts';
import type { Extensions } from './extensions.ts';
import { type Ruling, replyOfSilence, ruleOnReply, ruleOnSize, type Stage } from './outcome-table.ts';

const RSET = -2;
const MAIL = -1;

const SOILED: ClientPhase = { name: 'soiled' };
const PASS: ClientEffect = { do: 'passCheckpoint' };
const SEND_MAIL: Effects = [{ do: 'sendMail' }];
const SEND_DOT: Effects = [{ do: 'sendDot' }];
const STREAM: Effects = [{ do: 'streamMail' }];
const LONE_DOT: Effects = [{ do: 'say', text: '.\r\n' }];
const STALE: Effects = [HANG_UP, { do: 'tellStale' }];
const REFUSED: Effects = [HANG_UP, { do: 'tellRefused' }];

/** Starts the transaction: all commands in one write when the server takes that (RFC 2920), else the first one. */
export function begin(session: ClientSession, mail: MailToCarry): Effects {
  const { extensions } = session;
  const tooBig = ruleOnSize(mail.size, extensions.sizeMax);
  const results: (Result | undefined)[] = new Array(mail.forwardPaths.length).fill(tooBig);
  if (tooBig !== undefined) {
    return [{ do: 'tellFinished', results: results as Result[], connectionIs: 'reusable' }];
  }
  const transaction: Transaction = { mail, results, undecided: results.length, checkpoint: 'ahead' };
  const at = session.phase.name === 'soiled' ? RSET : MAIL;
  const phase: Phase<'addressing'> = { name: 'addressing', transaction, at };
  session.phase = phase;
  if (extensions.pipelining === 'absent') return sayNext(phase, extensions);
  const say: ClientEffect = { do: 'say', text: groupText(phase, extensions) };
  return mail.data === 'whole' ? [say, askToPass(transaction)] : [say];
}

export function whileAddressing(
  session: ClientSession,
  phase: Phase<'addressing'>,
  input: ClientInput,
): Effects {
  switch (input.kind) {
    case 'replied':
      return hearEnvelope(session, phase, input.reply);
    case 'checkpointPassed':
      phase.transaction.checkpoint = 'passed';
      return NOTHING;
    case 'dotRefused':
      // The host has decided for all: that counts.
      return phase.transaction.undecided === 0 ? NOTHING : beRefused(session);
    case 'silent':
      if (isUntouched(session, phase)) return goStale(session);
      return fallSilent(session, phase.transaction, stageOfAddressing(phase), input);
    default:
      return impossible(session, input);
  }
}

export function whileStreaming(
  session: ClientSession,
  { transaction }: Phase<'streaming'>,
  input: ClientInput,
): Effects {
  switch (input.kind) {
    case 'streamed':
      session.phase = { name: 'passing', transaction };
      return [askToPass(transaction)];
    case 'dataLost':
      session.phase = CLOSED;
      return [HANG_UP, { do: 'tellDataLost', trouble: input.trouble }];
    case 'replied':
      return interrupted(session, transaction, input.reply);
    case 'silent':
      return fallSilent(session, transaction, 'data', input);
    default:
      return impossible(session, input);
  }
}

export function whilePassing(
  session: ClientSession,
  { transaction }: Phase<'passing'>,
  input: ClientInput,
): Effects {
  switch (input.kind) {
    case 'checkpointPassed':
      return sendEnd(session, transaction);
    case 'dotRefused':
      return beRefused(session);
    case 'replied':
      return interrupted(session, transaction, input.reply);
    case 'silent':
      return fallSilent(session, transaction, 'data', input);
    default:
      return impossible(session, input);
  }
}

export function whileEnding(
  session: ClientSession,
  phase: Phase<'ending'>,
  input: ClientInput,
  policy: ClientPolicy,
): Effects {
  switch (input.kind) {
    case 'replied':
      return hearEnd(session, phase, input.reply, policy);
    case 'silent':
      return fallSilent(session, phase.transaction, 'dot', input);
    // In the very moment in which it was to leave.
    case 'dotRefused':
      return beRefused(session);
    default:
      return impossible(session, input);
  }
}

/** Whatever the server makes of a mail without recipients, it is nobody's (RFC 2920 §3.1). */
export function whileEmptying(
  session: ClientSession,
  { transaction }: Phase<'emptying'>,
  input: ClientInput,
): Effects {
  switch (input.kind) {
    case 'replied': {
      const ruling = ruleOnReply('dot', input.reply.code);
      if (ruling.session !== 'goes on') return breakOff(session, transaction, ruling, input.reply);
      return finish(session, transaction, IDLE);
    }
    case 'silent':
      return fallSilent(session, transaction, 'dot', input);
    case 'checkpointPassed':
    case 'dotRefused':
      return NOTHING;
    default:
      return impossible(session, input);
  }
}

/** The stage of the reply that comes next. */
export function stageOfAddressing({ at, transaction }: Phase<'addressing'>): Stage {
  if (at === RSET) return 'reset';
  if (at === MAIL) return 'mail';
  return at < transaction.results.length ? 'rcpt' : 'data';
}

function hearEnvelope(session: ClientSession, phase: Phase<'addressing'>, reply: SmtpReply): Effects {
  const { transaction } = phase;
  const stage = stageOfAddressing(phase);
  const ruling = ruleOnReply(stage, reply.code);
  if (stage === 'reset') return ruling.fate === 'accepted' ? goOn(session, phase) : goStale(session);
  if (ruling.session !== 'goes on') {
    return isUntouched(session, phase) ? goStale(session) : breakOff(session, transaction, ruling, reply);
  }
  if (stage === 'data') return hearData(session, transaction, ruling, reply);
  if (stage === 'mail') {
    if (ruling.fate !== 'accepted') decideRest(transaction, { fate: ruling.fate, reply });
  } else if (transaction.results[phase.at] === undefined) {
    if (ruling.fate !== 'accepted') decide(transaction, phase.at, { fate: ruling.fate, reply });
  } else if (ruling.fate === 'accepted') {
    // A recipient of a mail whose MAIL was refused: not even a lone dot is safe here.
    return breakOff(session, transaction, ruling, reply);
  }
  return goOn(session, phase);
}

/** On to the next reply; without pipelining the command for it is said first, if there is a point in it. */
function goOn(session: ClientSession, phase: Phase<'addressing'>): Effects {
  const { transaction, at } = phase;
  phase.at = at + 1;
  if (session.extensions.pipelining === 'offered') return NOTHING;
  if (transaction.undecided > 0) return sayNext(phase, session.extensions);
  return finish(session, transaction, at === MAIL ? IDLE : SOILED);
}

function hearData(
  session: ClientSession,
  transaction: Transaction,
  ruling: Ruling,
  reply: SmtpReply,
): Effects {
  if (ruling.fate !== 'accepted') {
    decideRest(transaction, { fate: ruling.fate, reply });
    return finish(session, transaction, SOILED);
  }
  if (transaction.undecided === 0) {
    session.phase = { name: 'emptying', transaction };
    return LONE_DOT;
  }
  if (transaction.mail.data === 'streamed') {
    session.phase = { name: 'streaming', transaction };
    return STREAM;
  }
  if (transaction.checkpoint === 'passed') return sendEnd(session, transaction);
  session.phase = { name: 'passing', transaction };
  return NOTHING;
}

/** C1: here, and only here, the final dot leaves. */
function sendEnd(session: ClientSession, transaction: Transaction): Effects {
  transaction.checkpoint = 'passed';
  session.phase = { name: 'ending', transaction, at: transaction.results.indexOf(undefined) };
  return transaction.mail.data === 'whole' ? SEND_MAIL : SEND_DOT;
}

/** LMTP answers for each accepted recipient in their order (RFC 2033 §4.2), SMTP once for all (C3). */
function hearEnd(
  session: ClientSession,
  phase: Phase<'ending'>,
  reply: SmtpReply,
  policy: ClientPolicy,
): Effects {
  const { transaction } = phase;
  const ruling = ruleOnReply('dot', reply.code);
  if (ruling.session !== 'goes on') return breakOff(session, transaction, ruling, reply);
  const result = { fate: ruling.fate, reply };
  if (policy.protocol === 'smtp') {
    decideRest(transaction, result);
    return finish(session, transaction, IDLE);
  }
  decide(transaction, phase.at, result);
  if (transaction.undecided === 0) return finish(session, transaction, IDLE);
  phase.at = transaction.results.indexOf(undefined, phase.at);
  return NOTHING;
}

/** The server speaks before the mail has ended: it counts as its word, but the rest of the mail cannot be told now. */
function interrupted(session: ClientSession, transaction: Transaction, reply: SmtpReply): Effects {
  const ruling = ruleOnReply('data', reply.code);
  if (ruling.session !== 'goes on' || ruling.fate === 'accepted') {
    return breakOff(session, transaction, ruling, reply);
  }
  decideRest(transaction, { fate: ruling.fate, reply });
  return dropFinished(session, transaction);
}

/** The session ends by this reply: who is not decided yet is deferred (C2). */
function breakOff(
  session: ClientSession,
  transaction: Transaction,
  ruling: Ruling,
  reply: SmtpReply,
): Effects {
  decideRest(transaction, { fate: 'deferred', reply });
  session.phase = CLOSED;
  const results = resultsOf(transaction);
  return ruling.session === 'host down'
    ? [HANG_UP, { do: 'tellDown', reason: reply, results }]
    : [HANG_UP, { do: 'tellClosed', results }];
}

function fallSilent(
  session: ClientSession,
  transaction: Transaction,
  stage: Stage,
  { silence, detail }: ClientInput & { kind: 'silent' },
): Effects {
  decideRest(transaction, { fate: 'deferred', reply: replyOfSilence(stage, silence, detail) });
  session.phase = CLOSED;
  return [HANG_UP, { do: 'tellClosed', results: resultsOf(transaction) }];
}

function finish(session: ClientSession, transaction: Transaction, phase: ClientPhase): Effects {
  session.phase = phase;
  session.history = 'used';
  return [{ do: 'tellFinished', results: resultsOf(transaction), connectionIs: 'reusable' }];
}

function dropFinished(session: ClientSession, transaction: Transaction): Effects {
  session.phase = CLOSED;
  return [HANG_UP, { do: 'tellFinished', results: resultsOf(transaction), connectionIs: 'spent' }];
}

/** C5: nothing was said about this mail, and the connection may just have grown old. */
function isUntouched(session: ClientSession, { at }: Phase<'addressing'>): boolean {
  return session.history === 'used' && at <= MAIL;
}

function goStale(session: ClientSession): Effects {
  session.phase = CLOSED;
  return STALE;
}

/** Data is on its way or asked for: only a closed connection says that the mail does not come (RFC 5321 §4.1.1.4). */
function beRefused(session: ClientSession): Effects {
  session.phase = CLOSED;
  return REFUSED;
}

function askToPass(transaction: Transaction): ClientEffect {
  transaction.checkpoint = 'awaited';
  return PASS;
}

function decide(transaction: Transaction, recipient: number, result: Result): void {
  transaction.results[recipient] = result;
  transaction.undecided -= 1;
}

function decideRest(transaction: Transaction, result: Result): void {
  const { results } = transaction;
  for (let i = 0; i < results.length; i++) results[i] ??= result;
  transaction.undecided = 0;
}

function resultsOf({ results }: Transaction): readonly Result[] {
  return results as Result[];
}

/** The command whose reply `phase.at` waits for; DATA asks for the checkpoint of a whole mail, to lose no time. */
function sayNext({ transaction, at }: Phase<'addressing'>, extensions: Extensions): Effects {
  const { mail, results } = transaction;
  if (at === RSET) return [{ do: 'say', text: 'RSET\r\n' }];
  if (at === MAIL) return [{ do: 'say', text: mailText(mail, extensions) }];
  if (at < results.length) return [{ do: 'say', text: rcptText(mail.forwardPaths[at]!) }];
  const say: ClientEffect = { do: 'say', text: 'DATA\r\n' };
  return mail.data === 'whole' ? [say, askToPass(transaction)] : [say];
}

/** All commands from `phase.at` on; DATA must be the last (RFC 2920 §3.1). */
function groupText({ transaction, at }: Phase<'addressing'>, extensions: Extensions): string {
  const { mail } = transaction;
  let text = at === RSET ? `RSET\r\n${mailText(mail, extensions)}` : mailText(mail, extensions);
  for (const forwardPath of mail.forwardPaths) text += rcptText(forwardPath);
  return `${text}DATA\r\n`;
}

/** SIZE (RFC 1870 §6.1) and BODY (RFC 6152 §3) only where they are offered: elsewhere 8-bit mail is sent as it is. */
function mailText(mail: MailToCarry, extensions: Extensions): string {
  const size = extensions.size === 'offered' ? ` SIZE=${mail.size}` : '';
  const isMime = mail.body === '8bitmime' && extensions.eightBitMime === 'offered';
  return `MAIL FROM:<${mail.reversePath}>${size}${isMime ? ' BODY=8BITMIME' : ''}\r\n`;
}

function rcptText(forwardPath: string): string {
  return `RCPT TO:<${forwardPath}>\r\n`;
}
