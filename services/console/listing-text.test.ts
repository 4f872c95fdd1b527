import { describe, expect, test } from '@jest/globals';
import type { Listing } from '#libs/rpc/queue-admin.ts';
import type { QueuedMail, QueuedRecipient } from '#proto/postrider/v1/admin.ts';
import { listingText } from './listing-text.ts';

const NOW_MS = 1_700_000_000_000;

function recipient(over: Partial<QueuedRecipient> = {}): QueuedRecipient {
  return {
    forwardPath: 'bob@b.example',
    domain: 'b.example',
    phase: 'deferred',
    site: 'smtp:mx.b.example:25',
    attempts: 3,
    nextAttemptAtMs: NOW_MS + 240_000,
    lastReply: { code: 451, enhanced: '4.3.0', text: 'busy', host: 'mx.b.example' },
    ...over,
  };
}

function mail(over: Partial<QueuedMail> = {}): QueuedMail {
  return {
    queueId: '00abcdefghij00000001',
    reversePath: 'ann@a.example',
    acceptedAtMs: NOW_MS - 7_200_000,
    size: 4200,
    recipients: [recipient()],
    moreRecipients: 0,
    ...over,
  };
}

function listing(mails: QueuedMail[], over: Partial<Listing['summary']> = {}): Listing {
  const phases = [{ phase: 'deferred', recipients: mails.length }];
  return {
    mails,
    summary: {
      mails: mails.length,
      phases,
      instances: 1,
      answered: 1,
      clocks: undefined,
      partitionsMissed: 0,
      ...over,
    },
  };
}

describe('the list of what waits', () => {
  test('has a row for each mail and each recipient, in columns', () => {
    const second = mail({
      queueId: '01abcdefghij00000002',
      reversePath: '',
      size: 52_428_800,
      acceptedAtMs: NOW_MS - 12_000,
      recipients: [
        recipient({ phase: 'in delivery', attempts: 0, nextAttemptAtMs: 0, lastReply: undefined }),
        recipient({ forwardPath: 'someone.else@c.example', phase: 'routing', site: '', attempts: 12 }),
      ],
      moreRecipients: 40,
    });
    const phases = [
      { phase: 'deferred', recipients: 1 },
      { phase: 'in delivery', recipients: 1042 },
    ];
    expect(listingText(listing([mail(), second], { phases }), NOW_MS).split('\n')).toEqual([
      'QUEUE ID              AGE   SIZE     SENDER',
      '  RECIPIENT               PHASE        SITE                  TRIES  NEXT TRY  LAST REPLY',
      '00abcdefghij00000001  2 h   4.1 KiB  ann@a.example',
      '  bob@b.example           deferred     smtp:mx.b.example:25  3      in 4 min  mx.b.example: 451 4.3.0 busy',
      '01abcdefghij00000002  12 s  50 MiB   <> (null reverse-path)',
      '  bob@b.example           in delivery  smtp:mx.b.example:25  0      -         -',
      '  someone.else@c.example  routing      -                     12     in 4 min  mx.b.example: 451 4.3.0 busy',
      '  ... and 40 more recipients',
      '',
      '2 mails wait; recipients: 1 deferred, 1,042 in delivery.',
      '',
    ]);
  });

  test('says that nothing waits', () => {
    expect(listingText(listing([]), NOW_MS)).toBe('The queue is empty.\n');
  });

  test('does not say that nothing waits when it does not know', () => {
    const text = listingText(listing([], { partitionsMissed: 2 }), NOW_MS);
    const missed =
      'INCOMPLETE: mail of 2 partitions could not be listed, since owners change; ask again in a moment.';
    expect(text).toBe(`No mail was found.\n${missed}\n`);
  });

  test('says when it is not all', () => {
    const text = listingText(listing([mail()], { mails: 200_000, instances: 2 }), NOW_MS);
    expect(text).toContain('\n200,000 mails wait; recipients: 1 deferred.\nListed: the oldest 1.\n');
    expect(text).toContain('INCOMPLETE: 1 of 2 queue instances answered; ask again in a moment.\n');
  });

  test.each([
    [{ differMs: 12_340, instance: 'queue-ab12', isAhead: true }, '12.3 s (queue-ab12 is ahead)'],
    [
      { differMs: 9_000_000, instance: 'delivery-\u001b[2J', isAhead: false },
      '2 h 30 min (delivery-?[2J is behind)',
    ],
  ])('says when clocks differ: %j', (clocks, words) => {
    const text = listingText(listing([], { clocks }), NOW_MS);
    expect(text).toBe(`The queue is empty.\nCLOCKS differ by up to ${words}.\n`);
  });

  test('says nothing of clocks that agree, or of which nothing is known', () => {
    const clocks = { differMs: 2000, instance: 'queue-a', isAhead: true };
    expect(listingText(listing([], { clocks }), NOW_MS)).toBe('The queue is empty.\n');
  });

  test('does not let one long value push all columns away', () => {
    const long = recipient({ forwardPath: `${'x'.repeat(100)}@b.example` });
    const lines = listingText(listing([mail({ recipients: [long, recipient()] })]), NOW_MS).split('\n');
    expect(lines[4]!.indexOf('deferred')).toBe(42);
    expect(lines[3]).toContain(`${'x'.repeat(100)}@b.example  deferred`);
  });

  test('shows nothing that a terminal would act on', () => {
    const reply = { code: 0, enhanced: '', text: 'a\u001b[2Jb\nc\u202e', host: '' };
    const text = listingText(
      listing([mail({ reversePath: '"\u0007"@a', recipients: [recipient({ lastReply: reply })] })]),
      NOW_MS,
    );
    expect(text).toContain('a?[2Jb?c?\n');
    expect(text).toContain('"?"@a');
  });
});
