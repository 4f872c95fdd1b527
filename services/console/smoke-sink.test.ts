// The sink and the client of smoke against each other, over real sockets.
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { SmokeClient } from './smoke-client.ts';
import { difference, smokeMail } from './smoke-mail.ts';
import { SmokeSink } from './smoke-sink.ts';

const DOMAIN = 'smoke.test';
const open: { close(): unknown }[] = [];

afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
});

async function sinkAndClient(): Promise<{ sink: SmokeSink; client: SmokeClient }> {
  const sink = await SmokeSink.listen('127.0.0.1', 0, DOMAIN);
  open.push(sink);
  const client = await SmokeClient.connect('127.0.0.1', sink.port, 5000);
  open.push(client);
  return { sink, client };
}

/** A server that says the lines, one for each piece that it hears after the greeting. */
async function saying(...lines: string[]): Promise<SmokeClient> {
  const sockets: Socket[] = [];
  const server: Server = createServer((socket) => {
    sockets.push(socket);
    const left = lines.map((line) => `${line}\r\n`);
    socket.write(left.shift()!);
    socket.on('data', () => (left.length === 0 ? socket.end() : socket.write(left.shift()!)));
    socket.on('error', () => undefined);
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  open.push({
    close: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  });
  const client = await SmokeClient.connect('127.0.0.1', (server.address() as AddressInfo).port, 5000);
  open.push(client);
  return client;
}

describe('the sink of smoke', () => {
  test('takes a mail as the client sent it, and tells who waits for it', async () => {
    const { sink, client } = await sinkAndClient();
    const mail = smokeMail(DOMAIN, 'a', 0);
    const arrival = sink.arrival(mail.forwardPath, 5000);
    expect(await client.greet()).toEqual({ banner: '220 smoke.invalid ESMTP Postrider', tls: '' });
    expect(await client.send(mail)).toBe('smoke-1');
    const arrived = await arrival;
    expect(arrived?.from).toBe('127.0.0.1');
    expect(arrived?.data.equals(mail.data)).toBe(true);
    expect(difference(mail.data, arrived!.data)).toContain('without a Received field');
  });

  test('takes no mail for other domains, and says that nothing came', async () => {
    const { sink, client } = await sinkAndClient();
    await client.greet();
    const mail = smokeMail('other.test', 'a', 0);
    await expect(client.send(mail)).rejects.toThrow(/^RCPT was answered with "55\d /);
    expect(await sink.arrival(mail.forwardPath, 0)).toBeUndefined();
  });

  test('says which port is taken', async () => {
    const { sink } = await sinkAndClient();
    await expect(SmokeSink.listen('127.0.0.1', sink.port, DOMAIN)).rejects.toThrow(
      `cannot listen on 127.0.0.1:${sink.port}`,
    );
  });

  test('lives on when a client breaks off', async () => {
    const { sink, client } = await sinkAndClient();
    const rude = connect(sink.port, '127.0.0.1');
    await new Promise<void>((done) => rude.once('data', () => done()));
    rude.resetAndDestroy();
    await client.greet();
    expect(await client.send(smokeMail(DOMAIN, 'b', 0))).toBe('smoke-1');
  });
});

describe('the client of smoke', () => {
  test.each([
    [['554 go away'], 'the greeting was answered with "554 go away"'],
    [['220 x', '250-x\r\n250 SIZE'], ''],
    [['220 x', '250-x\r\n250 STARTTLS', '454 not now'], 'STARTTLS was answered with "454 not now"'],
    [['220 x', '250-x\r\n250 STARTTLS', '220 go', 'no TLS'], 'the TLS handshake failed'],
    [['220 x'], 'no answer to EHLO: the connection ended'],
  ])('after %j', async (lines, reason) => {
    const client = await saying(...lines);
    if (reason === '') expect(await client.greet()).toMatchObject({ tls: '' });
    else await expect(client.greet()).rejects.toThrow(reason);
  });

  test('wants a queue id', async () => {
    const client = await saying('220 x', '250 x', '250 ok', '250 ok', '354 go', '250 thanks');
    await client.greet();
    await expect(client.send(smokeMail(DOMAIN, 'c', 0))).rejects.toThrow('no queue id in "250 thanks"');
  });

  test('says that nobody is there', async () => {
    const sink = await SmokeSink.listen('127.0.0.1', 0, DOMAIN);
    const { port } = sink;
    await sink.close();
    await expect(SmokeClient.connect('127.0.0.1', port, 5000)).rejects.toThrow(
      /^cannot connect to 127\.0\.0\.1:\d+: /,
    );
  });
});
