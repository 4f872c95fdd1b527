// A client session that tests tell facts, and replies as their lines; its effects come back as short words. No bytes, no
// sockets.

import { ReplyParser } from '#libs/smtp/reply-parser.ts';
import { openSession, receive } from '../../services/delivery/client/client.machine.ts';
import type {
  ClientEffect,
  ClientInput,
  ClientPolicy,
  MailToCarry,
  Result,
} from '../../services/delivery/client/client-session.ts';

const policy: ClientPolicy = { protocol: 'smtp', hostname: 'me.example', targets: 2, tls: 'opportunistic' };

/** For two recipients, whole. */
export const mail: MailToCarry = {
  reversePath: 's@x',
  forwardPaths: ['a@y', 'b@y'],
  size: 100,
  body: '8bitmime',
  data: 'whole',
};

export const lost: ClientInput = { kind: 'silent', silence: 'lost', detail: '' };
export const opened: ClientInput = { kind: 'opened' };
export const connected: ClientInput = { kind: 'connected' };
export const secured: ClientInput = { kind: 'secured' };
export const passed: ClientInput = { kind: 'checkpointPassed' };
export const refused: ClientInput = { kind: 'dotRefused' };
export const given: ClientInput = { kind: 'mailGiven', mail };
export const givenStreamed: ClientInput = { kind: 'mailGiven', mail: { ...mail, data: 'streamed' } };

/** What a server offers that offers all that the client uses in a transaction. */
export const FULL = ['250-mx', '250-PIPELINING', '250-SIZE 1000', '250 8BITMIME'];

/** A new session. */
export function dialog(changes: Partial<ClientPolicy> = {}) {
  const session = openSession();
  const used = { ...policy, ...changes };
  const tell = (...told: (ClientInput | string)[]): string[] =>
    told.flatMap((one) => inputsOf(one).flatMap((input) => receive(session, input, used).map(word)));
  return { session, tell };
}

/** A session that is ready, and has nothing to say yet. */
export function ready(hello: string[] = FULL, changes: Partial<ClientPolicy> = {}) {
  const made = dialog(changes);
  made.tell(opened, connected, '220 mx', hello.join('\r\n'));
  return made;
}

function inputsOf(told: ClientInput | string): ClientInput[] {
  if (typeof told !== 'string') return [told];
  const replies = new ReplyParser().push(Buffer.from(`${told}\r\n`));
  return replies.map((reply) => ({ kind: 'replied', reply }));
}

function word(effect: ClientEffect): string {
  switch (effect.do) {
    case 'dial':
      return `dial ${effect.target}`;
    case 'say':
      return effect.text.trimEnd().replaceAll('\r\n', ' | ');
    case 'tellFinished':
      return `finished ${effect.connectionIs}: ${fatesOf(effect.results)}`;
    case 'tellClosed':
      return `closed: ${fatesOf(effect.results)}`;
    case 'tellDown':
      return `down ${effect.reason.code}: ${fatesOf(effect.results)}`;
    case 'tellRefused':
      return 'refused';
    case 'tellDataLost':
      return `data ${effect.trouble}`;
    default:
      return effect.do;
  }
}

function fatesOf(results: readonly Result[] | undefined): string {
  return (results ?? []).map(({ fate, reply }) => `${fate} ${reply.code}`).join(', ');
}
