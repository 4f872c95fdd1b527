import { describe, expect, test } from '@jest/globals';
import {
  dataOpened,
  dialog,
  local,
  options,
  toAddressed,
  toCommitting,
  toOpening,
  toReceiving,
  toSecuring,
  toVerifying,
  waysInto,
  wellFinished,
  word,
} from '#kit/server-dialog.ts';
import { parseCommandLine } from './command-line.ts';
import { awaitsClient, openSession, receive, serverPolicy, takesCommands } from './server.machine.ts';
import type { ServerInput, ServerSession } from './server-session.ts';

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

describe('MAIL', () => {
  test('is refused before any data while nothing can be stored, and costs no good will', () => {
    const { session, tell, all } = dialog();
    expect(all('EHLO c')).toEqual(['250']);
    tell({ kind: 'storage', storage: 'full' });
    expect(all('MAIL FROM:<>')).toEqual(['452 4.3.1']);
    tell({ kind: 'storage', storage: 'stuck' });
    expect(all('MAIL FROM:<>', 'RCPT TO:<r@b.example>')).toEqual(['452 4.3.1', '503 5.5.1']);
    expect(session.badCommands).toBe(0);
    tell({ kind: 'storage', storage: 'open' });
    expect(all('MAIL FROM:<>')).toEqual(['250 2.1.0']);
  });
});

describe('STARTTLS', () => {
  test('forgets the client (S5)', () => {
    const { session, tell, all } = dialog();
    expect(all(...toSecuring)).toEqual(['250', '220 2.0.0', 'startTls']);
    expect(JSON.stringify(session)).not.toContain('client');
    expect(tell({ kind: 'tlsEstablished' })).toEqual([]);
    expect(session).toEqual({
      phase: { name: 'greeted' },
      tls: 'on',
      badCommands: 0,
      pardons: 0,
      farewell: 'none',
      storage: 'open',
    });
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
      'abandonData 552',
      '552 5.3.4',
      ...at421,
    ]);
    const cut = dialog();
    cut.all(...toReceiving, { kind: 'shutdown' });
    expect(cut.tell({ kind: 'overload' })).toEqual(['abandonData 421', ...at421]);
  });

  test('comes before mail data that was not begun', () => {
    const { tell, all } = dialog();
    all(...toOpening, { kind: 'shutdown' });
    expect(tell(dataOpened)).toEqual(['abandonData 421', ...at421]);
  });

  test('gives the room of mail data back when the client is silent or gone', () => {
    const ends: [(string | ServerInput)[], ServerInput, string[]][] = [
      [toReceiving, { kind: 'timeout' }, ['abandonData 421', '421 4.4.2', 'close']],
      [toReceiving, { kind: 'disconnected' }, ['abandonData 0']],
      [toOpening, { kind: 'disconnected' }, ['abandonData 0']],
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
