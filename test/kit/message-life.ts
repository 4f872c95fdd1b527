// A mail and what a test tells its machine: the policy, a site, replies, and the way until it is out with a worker.

import type { Reply } from '#proto/postrider/v1/mail.ts';
import { type Site, Transport } from '#proto/postrider/v1/route.ts';
import { type MessageEffect, type MessageInput, receive } from '../../services/queue/message.machine.ts';
import { type Message, messageFromPack } from '../../services/queue/message.ts';
import type { MessagePolicy } from '../../services/queue/message-reviews.ts';

export const POLICY: MessagePolicy = {
  scheduleMs: [60_000, 300_000],
  expireAfterMs: 1_000_000,
  delayWarningAfterMs: 500_000,
  inDoubt: 'redeliver',
};
export const SITE: Site = { key: 'smtp:mx.example:25', transport: Transport.SMTP, hosts: [], maildir: '' };
export const OK: Reply = { code: 250, enhanced: '2.0.0', text: 'Ok', host: 'mx' };
export const GONE: Reply = { code: 550, enhanced: '5.1.1', text: 'no such user', host: 'mx' };

export function newMessage(domains: string[], nullReversePath = false): Message {
  const entry = {
    queueId: '00abcdefghij00000001',
    offset: 0,
    length: 100,
    acceptedAtMs: 0,
    domains: [],
    nullReversePath,
    size: 100,
    trace: undefined,
  };
  return messageFromPack(entry, { stream: 'SPOOL_0', sequence: 1, offset: 0, length: 100 }, domains);
}

export function life(message: Message, policy = POLICY) {
  return (input: MessageInput): MessageEffect[] => receive(message, input, policy);
}

export const toSite = (site: Site, ...domains: string[]) =>
  new Map(domains.map((domain) => [domain, { kind: 'site', site } as const]));

/** One recipient, out with a worker. */
export function attempted(policy = POLICY, nullReversePath = false) {
  const message = newMessage(['a.example'], nullReversePath);
  const feed = life(message, policy);
  feed({ kind: 'due', nowMs: 0 });
  feed({ kind: 'routed', nowMs: 0, routes: toSite(SITE, 'a.example') });
  feed({ kind: 'dispatched', positions: [0] });
  return { message, feed };
}
