import { describe, expect, test } from '@jest/globals';
import { FULL, given, givenStreamed, lost, mail, passed, ready, refused } from '#kit/client-dialog.ts';
import type { ClientInput } from './client-session.ts';

describe('a transaction with PIPELINING', () => {
  const group = 'MAIL FROM:<s@x> SIZE=100 BODY=8BITMIME | RCPT TO:<a@y> | RCPT TO:<b@y> | DATA';

  test('is one write, and the mail another', () => {
    const { tell } = ready();
    expect(tell(given)).toEqual([group, 'passCheckpoint']);
    expect(tell('250 ok', '250 ok', passed, '250 ok')).toEqual([]);
    expect(tell('354 go')).toEqual(['sendMail']);
    expect(tell('250 2.0.0 queued')).toEqual(['finished reusable: accepted 250, accepted 250']);
    expect(tell(given)).toEqual([group, 'passCheckpoint']);
  });

  test('waits for its checkpoint', () => {
    const { tell } = ready();
    expect(tell(given, '250 ok', '250 ok', '250 ok', '354 go')).toHaveLength(2);
    expect(tell(passed)).toEqual(['sendMail']);
  });

  test('sends to those who were accepted', () => {
    const { tell } = ready();
    expect(tell(given, '250 ok', '550 no', '250 ok', passed, '354 go').at(-1)).toBe('sendMail');
    expect(tell('250 ok')).toEqual(['finished reusable: failed 550, accepted 250']);
  });

  test('ends with a lone dot when nobody was accepted and the data is wanted all the same', () => {
    const { tell } = ready();
    expect(tell(given, '250 ok', '550 no', '450 no', '354 go').at(-1)).toBe('.');
    expect(tell(passed, '250 taken?')).toEqual(['finished reusable: failed 550, deferred 450']);
    expect(tell(given)[0]).toBe(group);
  });

  test.each(['421 bye', '354 again'])('ends the session when a lone dot is answered with %s', (reply) => {
    const { tell } = ready();
    const end = tell(given, '250 ok', '550 no', '450 no', '354 go', reply).at(-1);
    expect(end).toMatch(/^(down 421|closed): failed 550, deferred 450$/);
  });

  test('keeps the results when the connection is lost after a lone dot', () => {
    const { tell } = ready();
    expect(tell(given, '250 ok', '550 no', '450 no', '354 go', lost).at(-1)).toBe(
      'closed: failed 550, deferred 450',
    );
  });

  test('is reset before the next one when it was refused', () => {
    const { tell } = ready();
    expect(tell(given, '250 ok', '550 no', '550 no', '554 no recipients').at(-1)).toBe(
      'finished reusable: failed 550, failed 550',
    );
    expect(tell(given)[0]).toBe(`RSET | ${group}`);
    expect(tell('250 reset', '250 ok', '250 ok', '250 ok', passed, '354 go', '250 ok').at(-1)).toBe(
      'finished reusable: accepted 250, accepted 250',
    );
  });

  test('counts the reply to MAIL for all, whatever follows', () => {
    const { tell } = ready();
    expect(tell(given, '450 later', '503 no', '503 no', '503 no').at(-1)).toBe(
      'finished reusable: deferred 450, deferred 450',
    );
  });

  test('ends when a recipient is accepted though MAIL was refused', () => {
    const { tell } = ready();
    expect(tell(given, '550 no', '250 ok')).toEqual([
      group,
      'passCheckpoint',
      'hangUp',
      'closed: failed 550, failed 550',
    ]);
  });

  test('counts the refusal of DATA for those who are not decided', () => {
    const { tell } = ready();
    expect(tell(given, '250 ok', '550 no', '250 ok', '451 later').at(-1)).toBe(
      'finished reusable: failed 550, deferred 451',
    );
  });

  test('is not begun with a mail over the limit of the server', () => {
    const { tell } = ready();
    expect(tell({ kind: 'mailGiven', mail: { ...mail, size: 1001 } })).toEqual([
      'finished reusable: failed 552, failed 552',
    ]);
    expect(tell(given)[0]).toBe(group);
  });

  test.each<[string, string[]]>([
    ['while commands are out', ['250 ok']],
    ['when its data is asked for', ['250 ok', '250 ok', '550 no', '354 go']],
  ])('is dropped, as if it had not begun, when its checkpoint is refused %s', (_, replies) => {
    const { tell } = ready();
    expect(tell(given, ...replies, refused, '250 late')).toEqual([
      group,
      'passCheckpoint',
      'hangUp',
      'refused',
    ]);
  });

  test('is dropped when it may not end in the moment in which it should', () => {
    const { tell } = ready();
    tell(given, '250 ok', '250 ok', '250 ok', passed);
    expect(tell('354 go', refused)).toEqual(['sendMail', 'hangUp', 'refused']);
  });

  test('keeps what the host has decided for all when its checkpoint is refused', () => {
    const { tell } = ready();
    expect(tell(given, '550 no', refused, '503 no', '503 no', '354 go', refused).slice(2)).toEqual(['.']);
    expect(tell('554 nothing there')).toEqual(['finished reusable: failed 550, failed 550']);
  });
});

describe('a transaction in lock-step', () => {
  const bare = ['250 mx'];

  test('says one command after the other', () => {
    const { tell } = ready(bare);
    expect(tell(given)).toEqual(['MAIL FROM:<s@x>']);
    expect(tell('250 ok')).toEqual(['RCPT TO:<a@y>']);
    expect(tell('250 ok')).toEqual(['RCPT TO:<b@y>']);
    expect(tell('250 ok')).toEqual(['DATA', 'passCheckpoint']);
    expect(tell('354 go', passed)).toEqual(['sendMail']);
    expect(tell('550 spam')).toEqual(['finished reusable: failed 550, failed 550']);
    expect(tell(given)).toEqual(['MAIL FROM:<s@x>']);
  });

  test('ends with MAIL when that is refused, with nothing to reset', () => {
    const { tell } = ready(bare);
    expect(tell(given, '550 no')).toEqual(['MAIL FROM:<s@x>', 'finished reusable: failed 550, failed 550']);
    expect(tell(given)).toEqual(['MAIL FROM:<s@x>']);
  });

  test('does not ask for DATA without recipients, and is reset', () => {
    const { tell } = ready(bare);
    expect(tell(given, '250 ok', '550 no', '452 too many').at(-1)).toBe(
      'finished reusable: failed 550, deferred 452',
    );
    expect(tell(given)).toEqual(['RSET']);
    expect(tell('250 reset')).toEqual(['MAIL FROM:<s@x>']);
  });

  test('asks for the checkpoint of a streamed mail when all of it is out', () => {
    const { tell } = ready(bare);
    const streamed: ClientInput = {
      kind: 'mailGiven',
      mail: { ...mail, data: 'streamed', forwardPaths: ['a@y'] },
    };
    expect(tell(streamed, '250 ok', '250 ok').at(-1)).toBe('DATA');
    expect(tell('354 go')).toEqual(['streamMail']);
    expect(tell({ kind: 'streamed' })).toEqual(['passCheckpoint']);
    expect(tell(passed)).toEqual(['sendDot']);
    expect(tell('250 ok')).toEqual(['finished reusable: accepted 250']);
  });
});

describe('LMTP', () => {
  test('answers for each accepted recipient after the dot', () => {
    const { tell } = ready(FULL, { protocol: 'lmtp' });
    const three: ClientInput = { kind: 'mailGiven', mail: { ...mail, forwardPaths: ['a@y', 'b@y', 'c@y'] } };
    tell(three, '250 ok', '250 ok', '550 no', '250 ok', passed, '354 go');
    expect(tell('250 a')).toEqual([]);
    expect(tell('452 c is full')).toEqual(['finished reusable: accepted 250, failed 550, deferred 452']);
  });

  test('keeps what was answered when the rest never comes', () => {
    const { tell } = ready(FULL, { protocol: 'lmtp' });
    tell(given, '250 ok', '250 ok', '250 ok', passed, '354 go', '250 a');
    expect(tell(lost)).toEqual(['hangUp', 'closed: accepted 250, deferred 0']);
  });
});

describe('trouble in a transaction', () => {
  const sent = [given, '250 ok', '250 ok', '250 ok', passed, '354 go'];

  test('by 421 is the host', () => {
    for (const upTo of [1, 2, 3, 4, 6]) {
      const { tell } = ready();
      expect(tell(...sent.slice(0, upTo), '421 bye').slice(-2)).toEqual([
        'hangUp',
        'down 421: deferred 421, deferred 421',
      ]);
    }
  });

  test('by silence is deferred in our words', () => {
    for (const upTo of [1, 2, 3, 4, 6]) {
      const { tell } = ready();
      expect(tell(...sent.slice(0, upTo), lost).slice(-2)).toEqual([
        'hangUp',
        'closed: deferred 0, deferred 0',
      ]);
    }
  });

  test('by words out of step is deferred in theirs', () => {
    const { tell } = ready();
    expect(tell(given, '354 what?').slice(-2)).toEqual(['hangUp', 'closed: deferred 354, deferred 354']);
  });

  test.each<[string, ClientInput | string]>([
    ['lost', lost],
    ['left with 421', '421 too long idle'],
    ['out of step', '354 what?'],
  ])('before MAIL was answered on a used connection that is %s touches no mail', (_, trouble) => {
    const { tell } = ready();
    tell(...sent, '250 ok');
    expect(tell(given, trouble).slice(-2)).toEqual(['hangUp', 'tellStale']);
  });

  test.each<[string, ClientInput | string]>([
    ['refused', '500 what?'],
    ['answered with 421', '421 bye'],
    ['never answered', lost],
  ])('when RSET is %s touches no mail', (_, trouble) => {
    const { tell } = ready();
    tell(given, '250 ok', '550 no', '550 no', '554 no');
    expect(tell(given, trouble).slice(-2)).toEqual(['hangUp', 'tellStale']);
  });

  test('after MAIL was answered on a used connection is the mail’s', () => {
    const { tell } = ready();
    tell(...sent, '250 ok');
    expect(tell(given, '250 ok', lost).at(-1)).toBe('closed: deferred 0, deferred 0');
  });

  test('by an early refusal counts, and the connection is spent', () => {
    const early = [given, '250 ok', '250 ok', '250 ok', '354 go'];
    expect(
      ready()
        .tell(...early, '552 too much')
        .slice(-2),
    ).toEqual(['hangUp', 'finished spent: failed 552, failed 552']);
    expect(
      ready()
        .tell(...early, '421 bye')
        .at(-1),
    ).toBe('down 421: deferred 421, deferred 421');
    expect(
      ready()
        .tell(...early, '250 taken?')
        .at(-1),
    ).toBe('closed: deferred 250, deferred 250');
    expect(
      ready()
        .tell(...early, '354 again')
        .at(-1),
    ).toBe('closed: deferred 354, deferred 354');
    expect(
      ready()
        .tell(...early, lost)
        .at(-1),
    ).toBe('closed: deferred 0, deferred 0');
  });

  const streaming = [givenStreamed, '250 ok', '250 ok', '250 ok', '354 go'];

  test('while a mail is streamed ends the session', () => {
    expect(
      ready()
        .tell(...streaming, '552 too much')
        .at(-1),
    ).toBe('finished spent: failed 552, failed 552');
    expect(
      ready()
        .tell(...streaming, lost)
        .at(-1),
    ).toBe('closed: deferred 0, deferred 0');
    expect(
      ready()
        .tell(...streaming, { kind: 'dataLost', trouble: 'unavailable' })
        .slice(-2),
    ).toEqual(['hangUp', 'data unavailable']);
  });
});
