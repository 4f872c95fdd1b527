// The client of the delivery service and what becomes of a mail: real sockets, a mail system that behaves as each
// recipient's local part says (sink-script.ts).
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { DeliveryRig, told } from '#kit/delivery-rig.ts';
import { OutcomeKind } from '#proto/postrider/v1/job.ts';

const { RELAYED, DEFERRED, FAILED } = OutcomeKind;
const HOST = 'mx.test[127.0.0.1]';

let rig: DeliveryRig;

beforeEach(() => {
  rig = new DeliveryRig();
});

afterEach(() => rig.close());

describe.each(['on', 'off'] as const)('with PIPELINING %s', (pipelining) => {
  test('many mails go over one connection, octet for octet', async () => {
    const { sink, carry } = await rig.connected({ pipelining });
    for (let i = 0; i < 20; i++) {
      const event = await carry({ from: `s${i}@x.test`, data: `Subject: ${i}\r\n\r\ncaf\xe9 ${i}\r\n` });
      expect(told(event)).toEqual({ event: 'reusable', fate: [RELAYED, 250], each: [] });
    }
    expect(sink.connectionsTotal).toBe(1);
    expect(sink.mails.map(({ reversePath }) => reversePath)).toEqual(
      Array.from({ length: 20 }, (_, i) => `s${i}@x.test`),
    );
    expect(sink.mails[7]!.data.toString('latin1')).toBe('X-Trace: 1\r\nSubject: 7\r\n\r\ncaf\xe9 7\r\n');
    expect(rig.passed).toHaveLength(20);
  });

  test.each([
    ['a 4xx recipient defers', ['450@y'], [DEFERRED, 450], []],
    ['a 5xx recipient fails', ['550@y'], [FAILED, 550], []],
    ['too many recipients defers', ['552@y'], [DEFERRED, 552], []],
    ['no DATA for now defers', ['start-451@y'], [DEFERRED, 451], []],
    ['no DATA for good fails', ['start-554@y'], [FAILED, 554], []],
    ['a dot that is refused for now defers', ['data-450@y'], [DEFERRED, 450], []],
    ['a dot that is refused for good fails', ['data-550@y'], [FAILED, 550], []],
    ['a mail that is taken slowly is taken', ['slow-after-dot@y'], [RELAYED, 250], []],
    ['TLS that is asked for and not there fails', ['tls@y'], [FAILED, 530], []],
    [
      'each recipient has its own fate',
      ['a@y', '550@y', '450@y', 'b@y'],
      [DEFERRED, 250],
      [
        [0, RELAYED, 250],
        [1, FAILED, 550],
        [2, DEFERRED, 450],
        [3, RELAYED, 250],
      ],
    ],
  ])('%s, and the connection goes on', async (_, to, fate, each) => {
    const { sink, carry } = await rig.connected({ pipelining });
    expect(told(await carry({ to }))).toEqual({ event: 'reusable', fate, each });
    expect(told(await carry({ to: ['next@y'] }))).toEqual({
      event: 'reusable',
      fate: [RELAYED, 250],
      each: [],
    });
    expect(sink.connectionsTotal).toBe(1);
    expect(sink.mails.at(-1)!.forwardPaths).toEqual(['next@y']);
  });

  test('a refused sender counts for every recipient', async () => {
    const { carry } = await rig.connected({ pipelining });
    const all = { to: ['a@y', 'b@y'] };
    expect(told(await carry({ ...all, from: '550@x' }))).toMatchObject({ fate: [FAILED, 550], each: [] });
    expect(told(await carry({ ...all, from: '451@x' }))).toMatchObject({ fate: [DEFERRED, 451], each: [] });
    expect(told(await carry(all))).toMatchObject({ fate: [RELAYED, 250] });
  });

  test.each([
    ['drop-at-rcpt', 0],
    ['drop-at-data', 0],
    ['drop-after-dot', 1],
  ])('a connection that is lost by %s defers, and says nothing about the host', async (local, taken) => {
    const { sink, carry } = await rig.connected({ pipelining });
    const event = await carry({ to: [`${local}@y`] });
    expect(told(event)).toEqual({ event: 'closed', fate: [DEFERRED, 0], each: [] });
    expect(event).toMatchObject({
      outcome: { reply: { enhanced: '4.4.2', host: '', text: expect.stringContaining(HOST) } },
    });
    expect(sink.taken).toBe(taken);
  });

  test('a recipient that was deferred is taken another time', async () => {
    const { carry } = await rig.connected({ pipelining });
    for (const to of [['450-then-250@y'], ['greylist@y'], ['data-450-then-250@y']]) {
      expect(told(await carry({ to }))).toMatchObject({ fate: [DEFERRED, 450] });
      expect(told(await carry({ to }))).toMatchObject({ fate: [RELAYED, 250] });
    }
  });
});

describe('the way of commands', () => {
  test('is one write with PIPELINING, with the parameters that are offered', async () => {
    const { sink, carry } = await rig.connected();
    await carry({ to: ['a@y', 'b@y'], data: 'x\r\n', body: '8bitmime' });
    expect(sink.commands).toEqual([
      'EHLO client.test',
      'MAIL FROM:<s@x.test> SIZE=15 BODY=8BITMIME',
      'RCPT TO:<a@y>',
      'RCPT TO:<b@y>',
      'DATA',
    ]);
    expect(sink.mails[0]!.parameters).toBe('SIZE=15 BODY=8BITMIME');
  });

  test('falls back to HELO, and sends 8-bit mail as it is', async () => {
    const { sink, carry } = await rig.connected({ extensions: 'ehlo-refused' });
    expect(told(await carry({ data: 'caf\xe9\r\n', body: '8bitmime' }))).toMatchObject({
      fate: [RELAYED, 250],
    });
    expect(sink.commands.slice(0, 3)).toEqual([
      'EHLO client.test',
      'HELO client.test',
      'MAIL FROM:<s@x.test>',
    ]);
    expect(sink.mails[0]!.data.toString('latin1')).toBe('X-Trace: 1\r\ncaf\xe9\r\n');
  });

  test('has RSET after a transaction that was refused, in the next group', async () => {
    const { sink, carry } = await rig.connected();
    await carry({ to: ['550@y'] });
    await carry({ to: ['a@y'] });
    expect(sink.commands.slice(4)).toEqual(['RSET', 'MAIL FROM:<s@x.test> SIZE=33', 'RCPT TO:<a@y>', 'DATA']);
  });

  test('sends only to the recipients of the job', async () => {
    const { sink, carry } = await rig.connected();
    const event = await carry({ to: ['a@y', '550@y', 'c@y'], recipients: [1, 2] });
    expect(told(event).each).toEqual([
      [1, FAILED, 550],
      [2, RELAYED, 250],
    ]);
    expect(event).toMatchObject({ outcome: { jobRecipients: [1, 2] } });
    expect(sink.mails[0]!.forwardPaths).toEqual(['c@y']);
  });

  test('keeps the words of the server, and who said them', async () => {
    const { carry } = await rig.connected();
    expect(await carry({ to: ['550@y'] })).toMatchObject({
      outcome: { reply: { code: 550, enhanced: '5.1.1', text: 'no, as asked', host: HOST } },
    });
  });

  test('ends with QUIT', async () => {
    const { sink, carrier, carry } = await rig.connected();
    await carry({});
    carrier.quit();
    while (sink.connectionsNow > 0) await new Promise((done) => setTimeout(done, 5));
    expect(sink.commands.at(-1)).toBe('QUIT');
    while (rig.left === 0) await new Promise((done) => setTimeout(done, 5));
    expect(rig.unread).toBe(0);
  });
});
