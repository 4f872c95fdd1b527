import { describe, expect, test } from '@jest/globals';
import {
  dialog,
  local,
  toAddressed,
  toAddressing,
  toCommitting,
  toOpening,
  toReady,
  toReceiving,
  toVerifying,
} from '#kit/server-dialog.ts';
import type { ServerInput } from './server-session.ts';

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
    [{ kind: 'recipientVerdict', verdict: 'no-room' }, 'allowed', '452 4.5.3', 'addressing'],
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
    expect(first).toBe(`abandonData ${reply.slice(0, 3)}`);
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

  test('is none that was sent before the refusal of MAIL or RCPT was heard, however often', () => {
    const { session, tell, all } = dialog();
    const group = ['MAIL FROM:<a@b.c>', 'RCPT TO:<d@e.f>', 'RCPT TO:<g@e.f>', 'DATA'];
    all('EHLO c');
    tell({ kind: 'storage', storage: 'full' });
    for (let i = 0; i < 20; i++) {
      expect(all(...group)).toEqual(['452 4.3.1', '503 5.5.1', '503 5.5.1', '503 5.5.1']);
    }
    expect(all('MAIL FROM:<a@b.c> SIZE=1001', ...group.slice(1))).toHaveLength(4);
    expect(session.badCommands).toBe(0);
    all('MAIL a@b.c', ...group.slice(1));
    expect(session.badCommands).toBe(1);
    tell({ kind: 'storage', storage: 'open' });
    all(group[0]!, group[1]!, { kind: 'recipientVerdict', verdict: 'deferred' }, 'DATA');
    expect(session.badCommands).toBe(1);
    all('RCPT d@e.f', 'DATA');
    expect(session.badCommands).toBe(2);
  });

  test.each([
    ['is what follows from no refusal', [], 'DATA', 1],
    ['is a second DATA', ['MAIL FROM:<a@b.c> SIZE=1001', 'DATA'], 'DATA', 1],
    [
      'is more than a transaction has',
      ['MAIL FROM:<a@b.c> SIZE=1001', ...Array(3).fill('RCPT TO:<d@e.f>')],
      'DATA',
      1,
    ],
    ['is what comes after RSET', ['MAIL FROM:<a@b.c> SIZE=1001', 'RSET'], 'RCPT TO:<d@e.f>', 1],
    ['is DATA after a MAIL alone', ['MAIL FROM:<a@b.c> SIZE=1001', 'MAIL FROM:<a@b.c>'], 'DATA', 1],
  ])('%s', (_, before, last, count) => {
    const { session, all } = dialog();
    all('EHLO c', ...before);
    expect(session.badCommands).toBe(0);
    all(last);
    expect(session.badCommands).toBe(count);
  });

  test('is forgiven by an accepted mail', () => {
    const { session, all } = dialog();
    all('X', 'X', 'X', 'X', ...toCommitting);
    expect(session.badCommands).toBe(4);
    all({ kind: 'committed', queueId: 'q' });
    expect(session.badCommands).toBe(0);
  });
});
