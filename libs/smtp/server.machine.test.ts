import { describe, expect, test } from '@jest/globals';
import { parseCommandLine } from './command-line.ts';
import { awaitsClient, openSession, receive, serverPolicy, takesCommands } from './server.machine.ts';
import type { ServerEffect, ServerInput, ServerPolicyOptions, ServerSession } from './server-session.ts';

const options: ServerPolicyOptions = {
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
function dialog(changes: Partial<ServerPolicyOptions> = {}, tls: 'off' | 'on' = 'off') {
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

function word(effect: ServerEffect): string {
  if (effect.do === 'reply') return effect.text.slice(0, /^\d{3} \d\.\d/.test(effect.text) ? 9 : 3);
  return effect.do === 'verifyRecipient' ? `verify ${effect.forwardPath} at ${effect.domain}` : effect.do;
}

const local: ServerInput = { kind: 'recipientVerdict', verdict: 'local' };
const dataOpened: ServerInput = { kind: 'dataOpened' };
const wellFinished: ServerInput = { kind: 'dataFinished', end: 'complete', receivedFields: 3 };
const toReady = ['EHLO client'];
const toAddressing = [...toReady, 'MAIL FROM:<a@b.c>'];
const toVerifying = [...toAddressing, 'RCPT TO:<d@e.f>'];
const toAddressed = [...toVerifying, local];
const toOpening = [...toAddressed, 'DATA'];
const toReceiving = [...toOpening, dataOpened];
const toCommitting = [...toReceiving, wellFinished];
const toSecuring = [...toReady, 'STARTTLS'];

describe('a session', () => {
  test('takes mail after mail', () => {
    const { tell, session } = dialog();
    expect(tell('EHLO client')).toEqual(['250']);
    for (const queueId of ['first', 'second']) {
      expect(tell('MAIL FROM:<a@b.c> SIZE=1000 BODY=8BITMIME')).toEqual(['250 2.1.0']);
      expect(tell('RCPT TO:<D@E.f>')).toEqual(['verify D@E.f at e.f']);
      expect(tell(local)).toEqual(['250 2.1.5']);
      expect(tell('RCPT TO:<postmaster>')).toEqual(['verify postmaster@example.com at example.com']);
      expect(tell(local)).toEqual(['250 2.1.5']);
      expect(tell('DATA')).toEqual(['openData']);
      expect(tell(dataOpened)).toEqual(['354']);
      const policy = serverPolicy(options);
      expect(receive(session, wellFinished, policy)).toEqual([
        {
          do: 'commit',
          client: { name: 'client', protocol: 'ESMTP' },
          transaction: {
            reversePath: 'a@b.c',
            declaredSize: 1000,
            bodyType: '8BITMIME',
            forwardPaths: ['D@E.f', 'postmaster@example.com'],
          },
        },
      ]);
      expect(receive(session, { kind: 'committed', queueId }, policy)).toEqual([
        { do: 'reply', text: `250 2.0.0 Ok: queued as ${queueId}\r\n` },
      ]);
    }
    expect(tell('QUIT')).toEqual(['221 2.0.0', 'close']);
    expect(tell('NOOP')).toEqual([]);
  });

  test('offers its extensions, STARTTLS only before it', () => {
    const policy = serverPolicy(options);
    const offered = (tls: 'off' | 'on', changes = {}) => {
      const session = openSession(tls);
      const own = { ...policy, ...serverPolicy({ ...options, ...changes }) };
      receive(session, { kind: 'connected' }, own);
      return receive(session, parseCommandLine('EHLO c'), own);
    };
    const plain =
      '250-mx.example.com\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250 STARTTLS\r\n';
    const secured = plain.replace('\r\n250 STARTTLS', '').replace('250-ENH', '250 ENH');
    expect(offered('off')).toEqual([{ do: 'reply', text: plain }]);
    expect(offered('on')).toEqual([{ do: 'reply', text: secured }]);
    expect(offered('off', { starttls: 'absent' })).toEqual([{ do: 'reply', text: secured }]);
  });

  test.each<[string[], 'off' | 'on', string]>([
    [['HELO c'], 'off', 'SMTP'],
    [['EHLO c'], 'off', 'ESMTP'],
    [['EHLO c'], 'on', 'ESMTPS'],
    [['HELO c'], 'on', 'SMTP'],
    [['EHLO c', 'HELO c'], 'off', 'SMTP'],
  ])('after %j with TLS %s speaks %s', (lines, tls, protocol) => {
    const { session, all } = dialog({}, tls);
    expect(all(...lines)).toEqual(lines.map(() => '250'));
    expect(session.phase).toMatchObject({ client: { name: 'c', protocol } });
  });
});

describe('the order of commands', () => {
  const lines = {
    EHLO: 'EHLO c',
    HELO: 'HELO c',
    MAIL: 'MAIL FROM:<>',
    RCPT: 'RCPT TO:<x@y.z>',
    DATA: 'DATA',
    RSET: 'RSET',
    NOOP: 'NOOP a',
    VRFY: 'VRFY a',
    EXPN: 'EXPN a',
    HELP: 'HELP',
    STARTTLS: 'STARTTLS',
    QUIT: 'QUIT',
    UNKNOWN: 'BDAT 1',
    MALFORMED: 'NOOP \x01',
  };
  const same = {
    NOOP: '250 2.0.0',
    VRFY: '252 2.0.0',
    EXPN: '502 5.5.1',
    HELP: '214 2.0.0',
    EHLO: '250',
    HELO: '250',
  };
  const inAll = {
    ...same,
    QUIT: '221 2.0.0',
    UNKNOWN: '500 5.5.2',
    MALFORMED: '500 5.5.2',
    RSET: '250 2.0.0',
  };
  const verify = 'verify x@y.z at y.z';
  const table: [string, (string | ServerInput)[], Record<keyof typeof lines, string>][] = [
    [
      'greeted',
      [],
      { ...inAll, MAIL: '503 5.5.1', RCPT: '503 5.5.1', DATA: '503 5.5.1', STARTTLS: '503 5.5.1' },
    ],
    [
      'ready',
      toReady,
      { ...inAll, MAIL: '250 2.1.0', RCPT: '503 5.5.1', DATA: '503 5.5.1', STARTTLS: '220 2.0.0' },
    ],
    [
      'addressing',
      toAddressing,
      { ...inAll, MAIL: '503 5.5.1', RCPT: verify, DATA: '554 5.5.1', STARTTLS: '503 5.5.1' },
    ],
    [
      'addressed',
      toAddressed,
      { ...inAll, MAIL: '503 5.5.1', RCPT: verify, DATA: 'openData', STARTTLS: '503 5.5.1' },
    ],
  ];
  const cases = table.flatMap(([phase, way, expected]) =>
    Object.entries(lines).map(([verb, line]) => ({
      phase,
      way,
      verb,
      line,
      first: expected[verb as keyof typeof lines],
    })),
  );

  test.each(cases)('$verb while $phase gives $first', ({ phase, way, line, first }) => {
    const { session, tell, all } = dialog();
    all(...way);
    expect(session.phase.name).toBe(phase);
    expect(tell(line)[0]).toBe(first);
  });

  test.each(['EHLO again', 'HELO again', 'RSET'])('%s ends a transaction', (line) => {
    const { session, all } = dialog();
    all(...toAddressed, line);
    expect(session.phase.name).toBe('ready');
    expect(all('DATA')).toEqual(['503 5.5.1']);
  });
});

describe('a refusal', () => {
  test.each([
    [[], 'EHLO', '501 5.5.4'],
    [[], 'EHLO a b', '501 5.5.4'],
    [[], 'EHLO evil(comment', '501 5.5.4'],
    [[], `EHLO ${'n'.repeat(256)}`, '501 5.5.4'],
    [[], 'HELO', '501 5.5.4'],
    [[], 'RSET now', '501 5.5.4'],
    [[], 'QUIT now', '501 5.5.4'],
    [[], 'VRFY', '501 5.5.4'],
    [toReady, 'STARTTLS now', '501 5.5.4'],
    [toReady, 'MAIL a@b.c', '501 5.5.4'],
    [toReady, 'MAIL FROM:a@b.c', '501 5.1.7'],
    [toReady, 'MAIL FROM:<a@b.c> SIZE=1x', '501 5.5.4'],
    [toReady, 'MAIL FROM:<a@b.c> X=1', '555 5.5.4'],
    [toReady, 'MAIL FROM:<a@b.c> SIZE=1001', '552 5.3.4'],
    [toAddressing, 'RCPT d@e.f', '501 5.5.4'],
    [toAddressing, 'RCPT TO:<>', '501 5.1.3'],
    [toAddressing, 'RCPT TO:<d@e.f> X', '555 5.5.4'],
    [toAddressing, 'RSET now', '501 5.5.4'],
    [toAddressed, 'DATA now', '501 5.5.4'],
  ])('after %j, %.40s: %s, and the session is as before', (way, line, reply) => {
    const { session, tell, all } = dialog();
    all(...way);
    const before = structuredClone(session.phase);
    expect(tell(line)).toEqual([reply]);
    expect(session.phase).toEqual(before);
  });

  test.each<[ServerInput, 'allowed' | 'denied', string, string]>([
    [local, 'denied', '250 2.1.5', 'addressed'],
    [{ kind: 'recipientVerdict', verdict: 'relay' }, 'allowed', '250 2.1.5', 'addressed'],
    [{ kind: 'recipientVerdict', verdict: 'relay' }, 'denied', '550 5.7.1', 'addressing'],
    [{ kind: 'recipientVerdict', verdict: 'unknown' }, 'allowed', '550 5.1.1', 'addressing'],
    [{ kind: 'recipientVerdict', verdict: 'deferred' }, 'allowed', '451 4.4.3', 'addressing'],
  ])('follows the verdict %j with relay %s: %s', (verdict, relay, reply, phase) => {
    const { session, tell, all } = dialog({ relay });
    all(...toVerifying);
    expect(tell(verdict)).toEqual([reply]);
    expect(session.phase.name).toBe(phase);
  });

  test('of one recipient leaves the others', () => {
    const { session, all } = dialog();
    all(...toAddressed, 'RCPT TO:<no@e.f>', { kind: 'recipientVerdict', verdict: 'unknown' });
    expect(session.phase).toMatchObject({ name: 'addressed', transaction: { forwardPaths: ['d@e.f'] } });
  });

  test('of too many recipients lets the mail go on', () => {
    const { all } = dialog();
    expect(all(...toAddressed, 'RCPT TO:<2@e.f>', local).at(-1)).toBe('250 2.1.5');
    expect(all('RCPT TO:<3@e.f>', 'RCPT TO:<4@e.f>', 'DATA')).toEqual(['452 4.5.3', '452 4.5.3', 'openData']);
  });

  test.each<[ServerInput, string]>([
    [{ kind: 'dataFinished', end: 'bare-line-end', receivedFields: 0 }, '550 5.6.11'],
    [{ kind: 'dataFinished', end: 'too-big', receivedFields: 0 }, '552 5.3.4'],
    [{ kind: 'dataFinished', end: 'line-too-long', receivedFields: 0 }, '554 5.6.0'],
    [{ kind: 'dataFinished', end: 'complete', receivedFields: 4 }, '554 5.4.6'],
  ])('of mail data: %j gives %s', (input, reply) => {
    const { session, all } = dialog();
    all(...toReceiving);
    const [first, second] = all(input);
    expect(first).toBe('abandonData');
    expect(reply).toMatch(second!);
    expect(session.phase.name).toBe('ready');
  });

  test.each<[ServerInput, (string | ServerInput)[], string]>([
    [{ kind: 'dataRefused' }, toOpening, '452 4.3.1'],
    [{ kind: 'commitFailed', trouble: 'full' }, toCommitting, '452 4.3.1'],
    [{ kind: 'commitFailed', trouble: 'unavailable' }, toCommitting, '451 4.3.0'],
    [{ kind: 'commitFailed', trouble: 'too-big' }, toCommitting, '552 5.3.4'],
  ])('for want of room: %j', (input, way, reply) => {
    const { session, all } = dialog();
    all(...way);
    expect(all(input)).toEqual([reply]);
    expect(session.phase.name).toBe('ready');
  });

  test('comes so often and no more', () => {
    const { all } = dialog();
    expect(all('X', 'X', 'DATA', 'X', 'X')).toEqual([
      '500 5.5.2',
      '500 5.5.2',
      '503 5.5.1',
      '500 5.5.2',
      '421 4.7.0',
      'close',
    ]);
  });

  test('is forgiven by an accepted mail', () => {
    const { session, all } = dialog();
    all('X', 'X', 'X', 'X', ...toCommitting);
    expect(session.badCommands).toBe(4);
    all({ kind: 'committed', queueId: 'q' });
    expect(session.badCommands).toBe(0);
  });
});

describe('STARTTLS', () => {
  test('forgets the client (S5)', () => {
    const { session, tell, all } = dialog();
    expect(all(...toSecuring)).toEqual(['250', '220 2.0.0', 'startTls']);
    expect(JSON.stringify(session)).not.toContain('client');
    expect(tell({ kind: 'tlsEstablished' })).toEqual([]);
    expect(session).toEqual({ phase: { name: 'greeted' }, tls: 'on', badCommands: 0, farewell: 'none' });
    expect(all('MAIL FROM:<>', 'EHLO c', 'STARTTLS')).toEqual(['503 5.5.1', '250', '503 5.5.1']);
  });

  test('is not there when it is not offered', () => {
    expect(dialog({ starttls: 'absent' }).all(...toSecuring)).toEqual(['250', '502 5.5.1']);
  });

  test.each<ServerInput>([{ kind: 'tlsFailed' }, { kind: 'timeout' }])('ends the session on %j', (input) => {
    const { tell, all } = dialog();
    all(...toSecuring);
    expect(tell(input)).toEqual(['close']);
  });
});

const waysInto: Record<ServerSession['phase']['name'], (string | ServerInput)[]> = {
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

describe('the end of a session', () => {
  const at421 = ['421 4.3.2', 'close'];
  const finishing: ServerInput[] = [
    local,
    { kind: 'dataRefused' },
    wellFinished,
    { kind: 'committed', queueId: 'q' },
  ];
  test.each(['greeted', 'ready', 'addressing', 'addressed'] as const)('comes at once while %s', (phase) => {
    for (const kind of ['shutdown', 'overload', 'timeout'] as const) {
      const { all } = dialog();
      all(...waysInto[phase]);
      expect(all({ kind })).toEqual(kind === 'timeout' ? ['421 4.4.2', 'close'] : at421);
    }
  });

  test.each(['shutdown', 'overload'] as const)('by %s waits for what is under way', (kind) => {
    const expected: Partial<Record<ServerSession['phase']['name'], [ServerInput, string[]]>> = {
      verifying: [finishing[0]!, ['250 2.1.5', ...at421]],
      opening: [finishing[1]!, ['452 4.3.1', ...at421]],
      committing: [finishing[3]!, ['250 2.0.0', ...at421]],
      securing: [{ kind: 'tlsEstablished' }, at421],
    };
    for (const [phase, [input, effects]] of Object.entries(expected)) {
      const { tell, all } = dialog();
      all(...waysInto[phase as keyof typeof waysInto]);
      expect(tell({ kind })).toEqual([]);
      expect(tell({ kind })).toEqual([]);
      expect(tell(input)).toEqual(effects);
    }
  });

  test('lets mail data finish once, and cuts it short when told twice', () => {
    const patient = dialog();
    patient.all(...toReceiving);
    expect(patient.all({ kind: 'shutdown' }, wellFinished)).toEqual(['commit']);
    expect(patient.all({ kind: 'committed', queueId: 'q' })).toEqual(['250 2.0.0', ...at421]);
    const refused = dialog();
    refused.all(...toReceiving, { kind: 'shutdown' });
    expect(refused.all({ kind: 'dataFinished', end: 'too-big', receivedFields: 0 })).toEqual([
      'abandonData',
      '552 5.3.4',
      ...at421,
    ]);
    const cut = dialog();
    cut.all(...toReceiving, { kind: 'shutdown' });
    expect(cut.tell({ kind: 'overload' })).toEqual(['abandonData', ...at421]);
  });

  test('comes before mail data that was not begun', () => {
    const { tell, all } = dialog();
    all(...toOpening, { kind: 'shutdown' });
    expect(tell(dataOpened)).toEqual(['abandonData', ...at421]);
  });

  test('gives the room of mail data back when the client is silent or gone', () => {
    const ends: [(string | ServerInput)[], ServerInput, string[]][] = [
      [toReceiving, { kind: 'timeout' }, ['abandonData', '421 4.4.2', 'close']],
      [toReceiving, { kind: 'disconnected' }, ['abandonData']],
      [toOpening, { kind: 'disconnected' }, ['abandonData']],
      [toCommitting, { kind: 'disconnected' }, []],
      [toVerifying, { kind: 'disconnected' }, []],
      [toSecuring, { kind: 'disconnected' }, []],
      [toAddressed, { kind: 'disconnected' }, []],
    ];
    for (const [way, input, effects] of ends) {
      const { session, tell, all } = dialog();
      all(...way);
      expect(tell(input)).toEqual(effects);
      expect(session.phase.name).toBe('closed');
      for (const late of finishing) expect(tell(late)).toEqual([]);
    }
  });

  test.each<[ServerInput, string[]]>([
    [{ kind: 'connected' }, ['220']],
    [{ kind: 'overload' }, at421],
    [{ kind: 'shutdown' }, at421],
    [{ kind: 'disconnected' }, []],
  ])('may be its beginning: %j', (input, effects) => {
    const session = openSession('off');
    expect(receive(session, input, serverPolicy(options)).map(word)).toEqual(effects);
  });
});

describe('whose turn it is', () => {
  test.each(Object.entries(waysInto))('while %s', (phase, way) => {
    const { session, all } = dialog();
    all(...way);
    if (phase === 'arriving') session.phase = { name: 'arriving' };
    expect(session.phase.name).toBe(phase);
    expect(takesCommands(session)).toBe(['greeted', 'ready', 'addressing', 'addressed'].includes(phase));
    expect(awaitsClient(session)).toBe(
      takesCommands(session) || phase === 'receiving' || phase === 'securing',
    );
  });

  test.each(Object.entries(waysInto))('is kept by the shell, else it is told: %s', (phase, way) => {
    const { session, tell, all } = dialog();
    all(...way);
    if (phase === 'arriving') session.phase = { name: 'arriving' };
    const wrong: ServerInput = takesCommands(session) ? dataOpened : parseCommandLine('NOOP');
    if (phase === 'closed') expect(tell(wrong)).toEqual([]);
    else expect(() => tell(wrong)).toThrow(`cannot happen while ${phase}`);
  });

  test("is not the client's while an answer is owed", () => {
    for (const way of [toVerifying, toOpening, toCommitting]) {
      const { tell, all } = dialog();
      all(...way);
      expect(tell({ kind: 'timeout' })).toEqual([]);
    }
  });
});
