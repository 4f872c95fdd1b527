import { describe, expect, test } from '@jest/globals';
import type { Envelope } from '#proto/postrider/v1/mail.ts';
import { messageFromPack, type Recipient } from './message.ts';
import { Oldest } from './oldest.ts';
import { describe as describeMail, type FindSite, phaseText } from './queued-mail.ts';

const BUSY = { code: 451, enhanced: '4.3.0', text: 'busy', host: 'mx' };
const ENTRY = { queueId: 'q', offset: 0, length: 1, acceptedAtMs: 7, domains: [], size: 5, trace: undefined };
const REF = { stream: 'SPOOL_0', sequence: 1, offset: 0, length: 1 };
const nowhere: FindSite = () => undefined;
const toWall = (atMs: number) => atMs;

function message(...changes: Partial<Recipient>[]) {
  const domains = changes.map((_, i) => `d${i}.example`);
  const one = messageFromPack({ ...ENTRY, nullReversePath: false }, REF, domains);
  changes.forEach((change, i) => {
    Object.assign(one.recipients[i]!, change);
  });
  return one;
}

const envelope = { reversePath: 'me@home', forwardPaths: ['a@d0.example', 'b@d1.example'] } as Envelope;

describe('a mail as the operator sees it', () => {
  test('has what is left to do, with its times and words', () => {
    const mail = message(
      { phase: 'done', fate: 'delivered' },
      { phase: 'waiting', attempts: 2, nextAttemptAtMs: 99, lastReply: BUSY, siteKey: 'site' },
    );
    expect(describeMail(mail, envelope, { domain: '', findSite: nowhere, toWall })).toEqual({
      queueId: 'q',
      reversePath: 'me@home',
      acceptedAtMs: 7,
      size: 5,
      recipients: [
        {
          forwardPath: 'b@d1.example',
          domain: 'd1.example',
          phase: 'deferred',
          site: 'site',
          attempts: 2,
          nextAttemptAtMs: 99,
          lastReply: BUSY,
        },
      ],
      moreRecipients: 0,
    });
  });

  test('whose site is suspended says so, and until when', () => {
    const suspended: FindSite = () => ({ phase: 'suspended', suspendedUntilMs: 500, reason: BUSY });
    const mail = message({ phase: 'ready', siteKey: 'site', nextAttemptAtMs: 3 });
    const [shown] = describeMail(mail, undefined, { domain: '', findSite: suspended, toWall }).recipients;
    expect(shown).toMatchObject({
      phase: 'site suspended',
      nextAttemptAtMs: 500,
      lastReply: BUSY,
      forwardPath: '?@d0.example',
    });
    const [open] = describeMail(mail, undefined, { domain: '', findSite: nowhere, toWall }).recipients;
    expect(open).toMatchObject({ phase: 'queued', nextAttemptAtMs: 0, lastReply: undefined });
  });

  test('with very many recipients lists some and counts the rest', () => {
    const mail = message(...Array.from({ length: 80 }, () => ({})));
    const shown = describeMail(mail, undefined, { domain: '', findSite: nowhere, toWall });
    expect(shown.recipients).toHaveLength(50);
    expect(shown.moreRecipients).toBe(30);
    const asked = describeMail(mail, undefined, { domain: 'd79.example', findSite: nowhere, toWall });
    expect(asked.recipients.map(({ domain }) => domain)).toEqual(['d79.example']);
  });

  test.each([
    ['routing', 'routing'],
    ['attempting', 'in delivery'],
    ['held', 'held'],
    ['failed', 'being reported'],
  ] as const)('that is %s is called "%s"', (phase, words) => {
    expect(phaseText(message({ phase }).recipients[0]!, nowhere)).toBe(words);
  });
});

describe('the oldest few of many', () => {
  test('are found whatever the order', () => {
    const oldest = new Oldest<{ acceptedAtMs: number }>(10);
    for (let i = 0; i < 5000; i++) oldest.add({ acceptedAtMs: (i * 7919) % 5000 });
    expect(oldest.items().map(({ acceptedAtMs }) => acceptedAtMs)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  test('are all when there are few', () => {
    const oldest = new Oldest<{ acceptedAtMs: number }>(10);
    oldest.add({ acceptedAtMs: 2 });
    oldest.add({ acceptedAtMs: 1 });
    expect(oldest.items()).toEqual([{ acceptedAtMs: 1 }, { acceptedAtMs: 2 }]);
  });
});
