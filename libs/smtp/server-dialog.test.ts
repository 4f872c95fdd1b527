// Splitter, machine and data reader together, driven as server-session.ts tells a shell to: bytes in, replies out.
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { CommandSplitter } from './command-splitter.ts';
import { DataReader } from './data-reader.ts';
import { awaitsClient, openSession, receive, serverPolicy, takesCommands } from './server.machine.ts';
import type { ServerEffect, ServerInput } from './server-session.ts';

const policy = serverPolicy({
  hostname: 'mx',
  postmasterDomain: 'mx',
  messageSizeMax: 200,
  recipientsMax: 2,
  badCommandsMax: 8,
  receivedFieldsMax: 100,
  starttls: 'offered',
  relay: 'denied',
});

/** A shell without sockets: every answer is there at once. */
class Shell {
  readonly replies: string[] = [];
  readonly mails: string[] = [];
  private readonly session = openSession('off');
  private readonly splitter = new CommandSplitter();
  private readonly reader = new DataReader({ octetsMax: 200, lineOctetsMax: 100 });

  constructor() {
    this.feed({ kind: 'connected' });
  }

  take(chunk: Buffer): void {
    if (this.session.phase.name === 'receiving') this.takeData(chunk);
    else this.takeCommands(chunk);
  }

  private takeCommands(chunk: Buffer): void {
    this.splitter.push(chunk);
    while (takesCommands(this.session)) {
      const command = this.splitter.next();
      if (command === undefined) return;
      this.feed(command);
    }
  }

  private takeData(chunk: Buffer): void {
    const rest = this.reader.push(chunk);
    if (rest === undefined) return;
    this.feed({ kind: 'dataFinished', end: this.reader.end, receivedFields: 0 });
    if (rest.length > 0) this.take(rest);
  }

  private feed(input: ServerInput): void {
    for (const effect of receive(this.session, input, policy)) this.perform(effect);
  }

  private perform(effect: ServerEffect): void {
    switch (effect.do) {
      case 'reply':
        this.replies.push(effect.text);
        break;
      case 'verifyRecipient':
        this.feed({ kind: 'recipientVerdict', verdict: effect.domain === 'mx' ? 'local' : 'relay' });
        break;
      case 'openData':
        this.feed({ kind: 'dataOpened' });
        this.reader.reset();
        this.takeData(this.splitter.takeRest());
        break;
      case 'commit':
        this.mails.push(Buffer.concat(this.reader.takePieces()).toString('latin1'));
        this.feed({ kind: 'committed', queueId: `${this.mails.length}` });
        break;
      case 'startTls':
        this.splitter.clear();
        this.feed({ kind: 'tlsEstablished' });
        break;
      case 'abandonData':
      case 'close':
        break;
    }
  }

  get awaited(): boolean {
    return awaitsClient(this.session);
  }
}

function talk(chunks: readonly string[]) {
  const shell = new Shell();
  for (const chunk of chunks) shell.take(Buffer.from(chunk, 'latin1'));
  const { replies, mails, awaited } = shell;
  return { codes: replies.map((reply) => reply.slice(0, 3)).join(' '), mails, awaited };
}

const start = 'EHLO c\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<x@mx>\r\nDATA\r\n';

describe('a dialog', () => {
  test('of one packet is answered in order', () => {
    const packet = `${start}hi\r\n..dot\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<no@b.c>\r\nRCPT TO:<postmaster>\r\nDATA\r\n.\r\nQUIT\r\n`;
    const whole = talk([packet]);
    expect(whole).toEqual({
      codes: '220 250 250 250 354 250 250 550 250 354 250 221',
      mails: ['hi\r\n.dot\r\n', ''],
      awaited: false,
    });
    expect(talk([...packet])).toEqual(whole);
  });

  test('does not smuggle: what hides behind a false end is refused with its mail', () => {
    const hidden = 'MAIL FROM:<evil@b.c>\r\nRCPT TO:<x@mx>\r\nDATA\r\nevil\r\n.\r\n';
    for (const trick of ['\n.\n', '\n.\r\n', '\r\n.\n', '\r.\r', '\r.\r\n', '\r\n.\r', '\r\n.\0\r\n']) {
      const { codes, mails } = talk([`${start}good${trick}${hidden}QUIT\r\n`]);
      if (trick.includes('\0')) expect(mails).toEqual([`good\r\n\0\r\n${hidden.slice(0, -3)}`]);
      else expect([codes, mails]).toEqual(['220 250 250 250 354 550 221', []]);
    }
  });

  test('loses what was pipelined behind STARTTLS', () => {
    expect(talk(['EHLO c\r\nSTARTTLS\r\nMAIL FROM:<evil@b.c>\r\n', 'MAIL FROM:<a@b.c>\r\n'])).toMatchObject({
      codes: '220 250 220 503',
    });
  });

  test('goes on after mail that is too big or ill-formed', () => {
    const big = `${'x'.repeat(50)}\r\n`.repeat(5);
    const again = start.slice('EHLO c\r\n'.length);
    const { codes, mails } = talk([
      `${start}${big}.\r\n${again}bare\nline\r\n.\r\n${again}${'y'.repeat(101)}\r\n.\r\n${again}fine\r\n.\r\n`,
    ]);
    expect(codes).toBe('220 250 250 250 354 552 250 250 354 550 250 250 354 554 250 250 354 250');
    expect(mails).toEqual(['fine\r\n']);
  });

  test('is the same whatever the chunks', () => {
    const part = fc.constantFrom(
      start,
      'hi\r\n',
      '..\r\n',
      '.\r\n',
      '\n',
      '\r',
      'RSET\r\n',
      'MAIL FROM:<>\r\n',
      'RCPT TO:<x@mx>\r\n',
      'DATA\r\n',
      'x'.repeat(120),
      'QUIT\r\n',
    );
    fc.assert(
      fc.property(
        fc.array(part, { maxLength: 15 }),
        fc.array(fc.nat(400), { maxLength: 12 }),
        (parts, cuts) => {
          const text = `${start}${parts.join('')}`;
          const places = [
            0,
            ...cuts.map((cut) => Math.min(cut, text.length)).sort((a, b) => a - b),
            text.length,
          ];
          const chunks = places.slice(1).map((end, i) => text.slice(places[i], end));
          const whole = talk([text]);
          expect(talk(chunks)).toEqual(whole);
          expect(talk([...text])).toEqual(whole);
        },
      ),
      { numRuns: 500 },
    );
  });
});
