// A server session that tests speak to in lines and facts; its effects come back as short words. No bytes, no sockets.
import { parseCommandLine } from '#libs/smtp/command-line.ts';
import { openSession, receive, serverPolicy } from '#libs/smtp/server.machine.ts';
import type {
  ServerEffect,
  ServerInput,
  ServerPolicyOptions,
  ServerSession,
} from '#libs/smtp/server-session.ts';

/** Small limits. */
export const options: ServerPolicyOptions = {
  hostname: 'mx.example.com',
  postmasterDomain: 'example.com',
  messageSizeMax: 1000,
  recipientsMax: 2,
  badCommandsMax: 5,
  receivedFieldsMax: 3,
  starttls: 'offered',
  relay: 'denied',
};

/** A session that is spoken to in lines and facts; each answer is the effects as short words. */
export function dialog(changes: Partial<ServerPolicyOptions> = {}, tls: 'off' | 'on' = 'off') {
  const policy = serverPolicy({ ...options, ...changes });
  const session = openSession(tls);
  const tell = (input: ServerInput | string) =>
    receive(session, typeof input === 'string' ? parseCommandLine(input) : input, policy).map(word);
  tell({ kind: 'connected' });
  return {
    session,
    tell,
    all: (...inputs: (ServerInput | string)[]) => inputs.flatMap((input) => tell(input)),
  };
}

export function word(effect: ServerEffect): string {
  if (effect.do === 'reply') return effect.text.slice(0, /^\d{3} \d\.\d/.test(effect.text) ? 9 : 3);
  if (effect.do === 'abandonData') return `abandonData ${effect.code}`;
  return effect.do === 'verifyRecipient' ? `verify ${effect.forwardPath} at ${effect.domain}` : effect.do;
}

export const local: ServerInput = { kind: 'recipientVerdict', verdict: 'local' };
export const dataOpened: ServerInput = { kind: 'dataOpened' };
export const wellFinished: ServerInput = { kind: 'dataFinished', end: 'complete', receivedFields: 3 };
export const toReady = ['EHLO client'];
export const toAddressing = [...toReady, 'MAIL FROM:<a@b.c>'];
export const toVerifying = [...toAddressing, 'RCPT TO:<d@e.f>'];
export const toAddressed = [...toVerifying, local];
export const toOpening = [...toAddressed, 'DATA'];
export const toReceiving = [...toOpening, dataOpened];
export const toCommitting = [...toReceiving, wellFinished];
export const toSecuring = [...toReady, 'STARTTLS'];

/** What leads from the greeting into each phase. */
export const waysInto: Record<ServerSession['phase']['name'], (string | ServerInput)[]> = {
  arriving: [],
  greeted: [],
  ready: toReady,
  addressing: toAddressing,
  addressed: toAddressed,
  verifying: toVerifying,
  opening: toOpening,
  receiving: toReceiving,
  committing: toCommitting,
  securing: toSecuring,
  closed: ['QUIT'],
};
