import { describe, expect, test } from '@jest/globals';
import { isReady, openSession, patienceMs, receive } from './client.machine.ts';
import type { ClientEffect, ClientInput, ClientPolicy, MailToCarry, Result } from './client-session.ts';
import { ReplyParser } from './reply-parser.ts';

const policy: ClientPolicy = { protocol: 'smtp', hostname: 'me.example', targets: 2, tls: 'opportunistic' };
const mail: MailToCarry = {
  reversePath: 's@x',
  forwardPaths: ['a@y', 'b@y'],
  size: 100,
  body: '8bitmime',
  data: 'whole',
};
const FULL = ['250-mx', '250-PIPELINING', '250-SIZE 1000', '250 8BITMIME'];

const lost: ClientInput = { kind: 'silent', silence: 'lost', detail: '' };
const opened: ClientInput = { kind: 'opened' };
const connected: ClientInput = { kind: 'connected' };
const secured: ClientInput = { kind: 'secured' };
const passed: ClientInput = { kind: 'checkpointPassed' };
const given: ClientInput = { kind: 'mailGiven', mail };

/** A session that is told facts, and replies as their lines; effects come back as short words. */
function dialog(changes: Partial<ClientPolicy> = {}) {
  const session = openSession();
  const used = { ...policy, ...changes };
  const tell = (...told: (ClientInput | string)[]): string[] =>
    told.flatMap((one) => inputsOf(one).flatMap((input) => receive(session, input, used).map(word)));
  return { session, tell };
}

function inputsOf(told: ClientInput | string): ClientInput[] {
  if (typeof told !== 'string') return [told];
  const replies = new ReplyParser().push(Buffer.from(`${told}\r\n`));
  if ('malformed' in replies) throw new Error(replies.malformed);
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
    case 'tellDataLost':
      return `data ${effect.trouble}`;
    default:
      return effect.do;
  }
}

function fatesOf(results: readonly Result[] | undefined): string {
  return (results ?? []).map(({ fate, reply }) => `${fate} ${reply.code}`).join(', ');
}

/** A session that is ready, and has nothing to say yet. */
function ready(hello: string[] = FULL, changes: Partial<ClientPolicy> = {}) {
  const made = dialog(changes);
  made.tell(opened, connected, '220 mx', hello.join('\r\n'));
  return made;
}

describe('setting up', () => {
  test('greets, and is ready when nothing better is offered', () => {
    const { tell, session } = dialog();
    expect(tell(opened)).toEqual(['dial 0']);
    expect(tell(connected)).toEqual([]);
    expect(tell('220 mx')).toEqual(['EHLO me.example']);
    expect(isReady(session)).toBe(false);
    expect(tell(FULL.join('\r\n'))).toEqual(['tellReady']);
    expect(isReady(session)).toBe(true);
  });

  test('says HELO to a server that does not know EHLO, and never uses what HELO seems to offer', () => {
    const { tell } = dialog();
    expect(tell(opened, connected, '220 mx', '502 what?')).toEqual([
      'dial 0',
      'EHLO me.example',
      'HELO me.example',
    ]);
    expect(tell(FULL.join('\r\n'))).toEqual(['tellReady']);
    expect(tell(given)).toEqual(['MAIL FROM:<s@x>']);
  });

  test('says LHLO to LMTP, and has nothing else to say when it is refused', () => {
    const { tell } = dialog({ protocol: 'lmtp' });
    expect(tell(opened, connected, '220 mx')).toEqual(['dial 0', 'LHLO me.example']);
    expect(tell('500 what?')).toEqual(['dial 1']);
  });

  test('secures the connection where that is offered, and greets again', () => {
    const { tell, session } = dialog();
    expect(tell(opened, connected, '220 mx', '250-mx\r\n250-SIZE 5\r\n250 STARTTLS').slice(2)).toEqual([
      'STARTTLS',
    ]);
    expect(tell('220 go')).toEqual(['startTls']);
    expect(tell(secured)).toEqual(['EHLO me.example']);
    expect(tell('250-mx\r\n250 STARTTLS')).toEqual(['tellReady']);
    // What was said before the handshake is forgotten.
    expect(session.extensions.size).toBe('absent');
  });

  test('does not secure it against the policy', () => {
    expect(dialog({ tls: 'never' }).tell(opened, connected, '220 mx', '250-mx\r\n250 STARTTLS').at(-1)).toBe(
      'tellReady',
    );
  });

  const toStarttls = [opened, connected, '220 mx', '250-mx\r\n250 STARTTLS'];
  test.each<[string, (ClientInput | string)[]]>([
    ['STARTTLS is refused', ['454 not now']],
    ['STARTTLS is answered with 421', ['421 no']],
    ['the handshake fails', ['220 go', lost]],
    ['the server speaks before the handshake', ['220 go', '250 injected']],
    ['the connection is lost after the handshake', ['220 go', secured, lost]],
  ])('dials the same address once more without TLS when %s', (_, trouble) => {
    const { tell } = dialog();
    expect(tell(...toStarttls, ...trouble).at(-1)).toBe('dial 0');
    expect(tell(connected, '220 mx', '250-mx\r\n250 STARTTLS').at(-1)).toBe('tellReady');
  });

  test('goes to the next address, and wants TLS again there', () => {
    const { tell } = dialog();
    tell(...toStarttls, '454 not now');
    expect(tell(connected, '220 mx', lost)).toEqual(['EHLO me.example', 'dial 1']);
    expect(tell(connected, '220 mx', '250-mx\r\n250 STARTTLS').at(-1)).toBe('STARTTLS');
  });

  test.each<[string, (ClientInput | string)[]]>([
    ['cannot be reached', [{ kind: 'silent', silence: 'refused', detail: 'ECONNREFUSED' }]],
    ['does not greet', [connected, { kind: 'silent', silence: 'timed out', detail: '' }]],
    ['greets with 554', [connected, '554 no service']],
    ['greets with 421', [connected, '421 busy']],
    ['refuses EHLO for now', [connected, '220 mx', '450 later']],
    ['refuses EHLO and HELO', [connected, '220 mx', '500 what?', '500 what?']],
  ])('leaves an address that %s, and is down after the last', (_, trouble) => {
    const { tell } = dialog();
    expect(tell(opened, ...trouble).at(-1)).toBe('dial 1');
    const end = tell(...trouble);
    expect(end.slice(-2)).toEqual(['hangUp', expect.stringMatching(/^down \d+: $/)]);
    expect(tell(lost, connected, passed)).toEqual([]);
  });

  test('is down at once without an address', () => {
    expect(dialog({ targets: 0 }).tell(opened)).toEqual(['hangUp', 'down 0: ']);
  });

  test('can be dismissed', () => {
    expect(dialog().tell(opened, passed, { kind: 'dismissed' }, connected)).toEqual(['dial 0', 'hangUp']);
  });
});

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

  test('counts a checkpoint of an earlier mail for nothing', () => {
    const { tell } = ready();
    tell(given, '550 no', '503 no', '503 no', '503 no');
    expect(tell(passed)).toEqual([]);
    tell({ kind: 'mailGiven', mail: { ...mail, data: 'streamed' } });
    expect(tell('250 ok', passed, '250 ok', '250 ok', '250 ok', '354 go')).toEqual(['streamMail']);
    expect(tell(passed, { kind: 'streamed' })).toEqual(['passCheckpoint']);
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

  const streaming = [
    { kind: 'mailGiven', mail: { ...mail, data: 'streamed' } } as const,
    '250 ok',
    '250 ok',
    '250 ok',
    '354 go',
  ];

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

describe('a ready session', () => {
  test('says goodbye when it is dismissed', () => {
    expect(ready().tell({ kind: 'dismissed' }, lost)).toEqual(['leave']);
  });

  test('is closed by silence, and by anything that is said to it', () => {
    expect(ready().tell(lost)).toEqual(['hangUp', 'closed: ']);
    expect(ready().tell('421 bye')).toEqual(['hangUp', 'closed: ']);
    expect(ready().tell('250 and another thing')).toEqual(['hangUp', 'closed: ']);
  });
});

describe('patience', () => {
  test('is that of the stage, and none while it is not the server’s turn', () => {
    const { tell, session } = ready();
    const seconds = () => patienceMs(session) / 1000;
    expect(seconds()).toBe(0);
    tell(given);
    expect(seconds()).toBe(300);
    tell('250 ok', '250 ok', '250 ok');
    expect(seconds()).toBe(120);
    tell('354 go');
    expect(seconds()).toBe(0);
    tell(passed);
    expect(seconds()).toBe(600);
    tell('250 ok', given, '250 ok', '550 no', '550 no', '354 go');
    expect(seconds()).toBe(600);
    tell(
      '250 ok',
      { kind: 'mailGiven', mail: { ...mail, data: 'streamed' } },
      '250 ok',
      '250 ok',
      '250 ok',
      '354 go',
    );
    expect(seconds()).toBe(180);
    tell(lost);
    expect(seconds()).toBe(0);
    const other = ready();
    other.tell(given, '250 ok', '550 no', '550 no', '554 no');
    expect(patienceMs(other.session)).toBe(0);
    other.tell(given);
    expect(patienceMs(other.session)).toBe(20_000);
    const early = dialog();
    early.tell(opened);
    expect(patienceMs(early.session)).toBe(30_000);
  });
});

describe('a fact that cannot happen', () => {
  const nonsense: ClientInput = { kind: 'streamed' };
  const streamed: ClientInput = { kind: 'mailGiven', mail: { ...mail, data: 'streamed' } };
  test.each<[string, (ClientInput | string)[], ClientInput]>([
    ['connecting', [], nonsense],
    ['idle', [], nonsense],
    ['addressing', [given], nonsense],
    ['passing', [given, '250 ok', '250 ok', '250 ok', '354 go'], nonsense],
    ['ending', [given, '250 ok', '250 ok', '250 ok', passed, '354 go'], nonsense],
    ['emptying', [given, '250 ok', '550 no', '550 no', '354 go'], nonsense],
    ['streaming', [streamed, '250 ok', '250 ok', '250 ok', '354 go'], connected],
  ])('while %s is a bug of the shell', (name, way, input) => {
    const { tell } = name === 'connecting' ? dialog() : ready();
    if (name === 'connecting') tell(opened);
    tell(...way);
    expect(() => tell(input)).toThrow(`${input.kind} cannot happen while ${name}`);
  });
});
