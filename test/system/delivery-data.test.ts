// The data of mails on their way out: octet for octet, in bounded memory, behind their checkpoint.
import { createServer } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { DeliveryRig, siteAt, told } from '#kit/delivery-rig.ts';
import { OutcomeKind } from '#proto/postrider/v1/job.ts';

const { RELAYED, FAILED, RETURNED } = OutcomeKind;

let rig: DeliveryRig;

beforeEach(() => {
  rig = new DeliveryRig();
});

afterEach(() => rig.close());

async function restart(options: ConstructorParameters<typeof DeliveryRig>[0]): Promise<void> {
  await rig.close();
  rig = new DeliveryRig(options);
}

describe('the data of a mail', () => {
  test.each([
    ['.\r\n', '.\r\n'],
    ['..\r\n.x\r\n\r\n.\r\n', '..\r\n.x\r\n\r\n.\r\n'],
    ['a\r\n.\r\nQUIT\r\n', 'a\r\n.\r\nQUIT\r\n'],
    ['no end', 'no end\r\n'],
    ['', ''],
  ])('%j arrives as %j', async (data, expected) => {
    const { sink, carry } = await rig.connected();
    for (const chunkSize of [undefined, 1, 3]) {
      const event = await carry({ prepended: '', data, ...(chunkSize === undefined ? {} : { chunkSize }) });
      expect(told(event)).toMatchObject({ event: 'reusable', fate: [RELAYED, 250] });
      expect(sink.mails.at(-1)!.data.toString('latin1')).toBe(expected);
    }
  });

  test('waits for its checkpoint before its dot', async () => {
    const { sink, carrier } = await rig.connected();
    for (const chunkSize of [undefined, 10]) {
      rig.gate = 'closed';
      const taken = sink.taken;
      carrier.carry(rig.attempt(chunkSize === undefined ? {} : { chunkSize }));
      await new Promise((done) => setTimeout(done, 50));
      expect(sink.taken).toBe(taken);
      rig.openGate();
      expect(told(await rig.event())).toMatchObject({ event: 'reusable' });
    }
  });

  test('that is over the limit of the server is refused here', async () => {
    const { sink, carry } = await rig.connected();
    const data = Buffer.alloc(105 * 1024 ** 2, 'x\r\n');
    expect(await carry({ data, chunkSize: 1024 ** 2 })).toMatchObject({
      connectionIs: 'reusable',
      outcome: { kind: FAILED, reply: { enhanced: '5.3.4', host: '' } },
    });
    expect(sink.commands).toHaveLength(1);
  });

  test('of 8 MB goes out in bounded memory, as fast as the server takes it', async () => {
    await restart({ packCacheMax: 1024 });
    const { sink, carry } = await rig.connected();
    const line = 'x'.repeat(76) + '\r\n..dots\r\n.\r\n';
    const data = Buffer.from(line.repeat(Math.ceil((8 * 1024 ** 2) / line.length)));
    const event = await carry({ data, chunkSize: 512 * 1024 });
    expect(told(event)).toMatchObject({ event: 'reusable', fate: [RELAYED, 250] });
    expect(sink.mails[0]!.data.subarray(12).equals(data)).toBe(true);
    expect(rig.cache.octets).toBeLessThan(1024);
  }, 30_000);

  test('is read no faster than a server takes it', async () => {
    await restart({ packCacheMax: 1024 });
    let resume = () => {};
    const server = createServer((socket) => {
      socket.on('error', () => {});
      socket.write('220 slow\r\n');
      socket.on('data', (piece) => {
        const text = piece.toString('latin1');
        if (text.startsWith('EHLO')) socket.write('250-slow\r\n250 PIPELINING\r\n');
        if (!text.endsWith('DATA\r\n')) return;
        socket.write('250 a\r\n250 b\r\n354 c\r\n');
        socket.pause();
        resume = () => socket.resume();
      });
    });
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
    const { port } = server.address() as { port: number };
    const carrier = await rig.openReady(siteAt(port));
    const chunkSize = 64 * 1024;
    carrier.carry(rig.attempt({ data: Buffer.alloc(512 * chunkSize, 'x\r\n'), chunkSize }));
    await new Promise((done) => setTimeout(done, 300));
    const early = rig.cache.fetches;
    resume();
    await new Promise((done) => setTimeout(done, 300));
    // What the two sockets hold is all that is on its way.
    expect(early).toBeLessThan(200);
    expect(rig.cache.fetches).toBeGreaterThan(early);
    carrier.destroy();
    server.close();
  });

  test('that is missing gives the job back, and the connection goes on', async () => {
    const { carrier, carry } = await rig.connected();
    const attempt = rig.attempt({});
    rig.lost.add(attempt.job.ref!.sequence);
    carrier.carry(attempt);
    expect(told(await rig.event())).toEqual({ event: 'reusable', fate: [RETURNED, 451], each: [] });
    expect(told(await carry({}))).toMatchObject({ event: 'reusable', fate: [RELAYED, 250] });
  });

  test('that is another mail’s, or has not the recipients of the job, is missing', async () => {
    const { sink, carrier } = await rig.connected();
    for (const wrong of [{ queueId: 'other' }, { recipients: [0, 1] }]) {
      const attempt = rig.attempt({});
      Object.assign(attempt.job, wrong);
      carrier.carry(attempt);
      expect(told(await rig.event())).toEqual({ event: 'reusable', fate: [RETURNED, 451], each: [] });
    }
    expect(sink.commands).toHaveLength(1);
  });

  test('of which a chunk is missing is never ended', async () => {
    const { sink, carrier } = await rig.connected();
    const attempt = rig.attempt({ data: 'abcdefghij\r\n', chunkSize: 4 });
    rig.lost.add(attempt.job.ref!.sequence - 1);
    carrier.carry(attempt);
    expect(told(await rig.event())).toEqual({ event: 'spent', fate: [RETURNED, 451], each: [] });
    expect(sink.taken).toBe(0);
    expect(rig.passed).toEqual([]);
  });
});
