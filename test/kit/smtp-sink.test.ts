import { connect, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { type SinkOptions, type SmtpSink, startSmtpSink } from './smtp-sink.ts';

let sink: SmtpSink;

afterEach(() => sink.close());

/** Says all lines at once and returns what came until the connection ended or `lines` answers were there. */
async function talk(options: SinkOptions, said: string[]): Promise<string[]> {
  sink = await startSmtpSink(options);
  const socket: Socket = connect(sink.port, '127.0.0.1');
  socket.write(said.map((line) => `${line}\r\n`).join(''));
  let heard = '';
  socket.on('error', () => {});
  socket.on('data', (piece) => {
    heard += piece;
  });
  await new Promise((closed) => socket.on('close', closed));
  return heard.split('\r\n').slice(0, -1);
}

const GREETING = '220 sink.test SMTP';

describe('the sink', () => {
  test('takes a mail, unstuffs it, and finds its queue id', async () => {
    const id = '00abcdefghi123450001';
    const data = [`Received: from x`, `\tby y with SMTP id ${id};`, '', '..dot', 'end', '.'];
    const heard = await talk({}, ['HELO x', 'MAIL FROM:<a@b>', 'RCPT TO:<c@d>', 'DATA', ...data, 'QUIT']);
    expect(heard.map((line) => line.slice(0, 3))).toEqual(['220', '250', '250', '250', '354', '250', '221']);
    expect(sink.mails).toHaveLength(1);
    expect(sink.mails[0]).toMatchObject({
      reversePath: 'a@b',
      forwardPaths: ['c@d'],
      queueId: id,
      connection: 1,
    });
    expect(sink.mails[0]!.data.toString()).toBe(
      `Received: from x\r\n\tby y with SMTP id ${id};\r\n\r\n.dot\r\nend\r\n`,
    );
    expect(sink.connectionsMost).toBe(1);
  });

  test('answers recipients as their local parts say', async () => {
    const to = ['550@x', '450-then-250@x', '450-then-250@x', 'greylist@x', 'greylist@x', 'tls@x'];
    const heard = await talk({}, [
      'HELO x',
      'MAIL FROM:<>',
      ...to.map((path) => `RCPT TO:<${path}>`),
      'QUIT',
    ]);
    expect(heard.slice(3, 9).map((line) => line.slice(0, 3))).toEqual([
      '550',
      '450',
      '250',
      '450',
      '250',
      '530',
    ]);
  });

  test('answers each LMTP recipient after the mail', async () => {
    const commands = ['LHLO x', 'MAIL FROM:<>', 'RCPT TO:<a@x>', 'RCPT TO:<data-552@x>', 'DATA', '.', 'QUIT'];
    const heard = await talk({ protocol: 'lmtp' }, commands);
    expect(heard.slice(-3)).toEqual(['250 2.0.0 taken', '552 5.1.1 no, as asked', '221 2.0.0 bye']);
    expect(sink.mails[0]).toMatchObject({ forwardPaths: ['a@x'] });
    expect(sink.mails[0]!.data).toHaveLength(0);
  });

  test('takes the mail and cuts the connection after its dot', async () => {
    const heard = await talk({}, [
      'HELO x',
      'MAIL FROM:<>',
      'RCPT TO:<drop-after-dot@x>',
      'DATA',
      'x',
      '.',
      'QUIT',
    ]);
    expect(heard[0]).toBe(GREETING);
    expect(sink.taken).toBe(1);
  });
});
