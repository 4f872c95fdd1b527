import { describe, expect, test } from '@jest/globals';
import type { Reply } from '#proto/postrider/v1/mail.ts';
import { type Site, Transport } from '#proto/postrider/v1/route.ts';
import { type MessageEffect, type MessageInput, receive } from './message.machine.ts';
import { type Message, messageFromPack } from './message.ts';
import type { MessagePolicy } from './message-reviews.ts';

const POLICY: MessagePolicy = {
  scheduleMs: [60_000, 300_000],
  expireAfterMs: 1_000_000,
  delayWarningAfterMs: 500_000,
  inDoubt: 'redeliver',
};
const SITE: Site = { key: 'smtp:mx.example:25', transport: Transport.SMTP, hosts: [], maildir: '' };
const OK: Reply = { code: 250, enhanced: '2.0.0', text: 'Ok', host: 'mx' };
const GONE: Reply = { code: 550, enhanced: '5.1.1', text: 'no such user', host: 'mx' };

function newMessage(domains: string[], nullReversePath = false): Message {
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

function life(message: Message, policy = POLICY) {
  return (input: MessageInput): MessageEffect[] => receive(message, input, policy);
}

const toSite = (site: Site, ...domains: string[]) =>
  new Map(domains.map((domain) => [domain, { kind: 'site', site } as const]));

/** One recipient, out with a worker. */
function attempted(policy = POLICY, nullReversePath = false) {
  const message = newMessage(['a.example'], nullReversePath);
  const feed = life(message, policy);
  feed({ kind: 'due', nowMs: 0 });
  feed({ kind: 'routed', nowMs: 0, routes: toSite(SITE, 'a.example') });
  feed({ kind: 'dispatched', positions: [0] });
  return { message, feed };
}

describe('a message', () => {
  test('whose data is gone fails, and its sender is told', () => {
    const { message, feed } = attempted();
    feed({ kind: 'returned', nowMs: 0, positions: [0], site: SITE });
    expect(feed({ kind: 'contentLost', nowMs: 0, content: 'damaged' })).toEqual([
      { kind: 'report', report: 'failure', positions: [0] },
    ]);
    expect(message.recipients[0]!.lastReply).toMatchObject({ code: 554, enhanced: '5.3.0' });
    expect(feed({ kind: 'contentLost', nowMs: 0, content: 'damaged' })).toEqual([]);
    expect(feed({ kind: 'reported', nowMs: 0 })).toEqual([{ kind: 'settle' }]);
    expect(feed({ kind: 'contentLost', nowMs: 0, content: 'gone' })).toEqual([]);
  });

  test('of which nothing is left is settled, also while it is being reported; what was delivered stays so', () => {
    const message = newMessage(['a.example', 'b.example']);
    const feed = life(message);
    feed({ kind: 'due', nowMs: 0 });
    feed({ kind: 'routed', nowMs: 0, routes: toSite(SITE, 'a.example', 'b.example') });
    feed({ kind: 'dispatched', positions: [0] });
    expect(feed({ kind: 'contentLost', nowMs: 0, content: 'gone' })).toEqual([]);
    feed({ kind: 'outcome', nowMs: 0, results: [{ position: 0, result: 'relayed', reply: OK }] });
    expect(feed({ kind: 'contentLost', nowMs: 0, content: 'gone' })).toEqual([{ kind: 'settle' }]);
    expect(message.recipients.map(({ fate, phase }) => [fate, phase])).toEqual([
      ['relayed', 'done'],
      ['failed', 'done'],
    ]);
    const failed = attempted();
    failed.feed({ kind: 'outcome', nowMs: 0, results: [{ position: 0, result: 'failed', reply: GONE }] });
    expect(failed.feed({ kind: 'contentLost', nowMs: 0, content: 'gone' })).toEqual([{ kind: 'settle' }]);
  });

  test('that stepped back hears no more of its routes', () => {
    const message = newMessage(['a.example']);
    const feed = life(message);
    feed({ kind: 'due', nowMs: 0 });
    expect(feed({ kind: 'due', nowMs: 1_000_000 })).toMatchObject([{ kind: 'report', report: 'delay' }]);
    expect(feed({ kind: 'routed', nowMs: 1_000_000, routes: toSite(SITE, 'a.example') })).toEqual([]);
  });
});
