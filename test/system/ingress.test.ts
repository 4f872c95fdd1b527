// Ingress over real sockets and a real nats-server: what clients hear, and what is stored by then.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { IngressRig, until } from '#kit/ingress-rig.ts';
import { RawClient } from '#kit/raw-client.ts';
import type { ListenerReady } from '../../services/ingress/listener.actor.ts';

let rig: IngressRig;
let listeners: ListenerReady[];
const clients: RawClient[] = [];

/** Greeted at the listener of that position. */
async function client(position = 0, tls: 'plain' | 'tls' = 'plain'): Promise<RawClient> {
  const { port, unixSocket } = listeners[position]!;
  const made = await RawClient.greeted(port ?? unixSocket!, tls);
  clients.push(made);
  return made;
}

beforeAll(async () => {
  rig = await IngressRig.start();
  rig.resolve();
  listeners = await rig.ingress({
    listeners: [
      { port: 0, role: 'relay', tls: 'starttls' },
      { port: 0, role: 'mx', tls: 'implicit' },
      { unixSocket: rig.file('smtp.sock'), role: 'relay', tls: 'none' },
      { port: 0, role: 'mx', tls: 'none' },
    ],
  });
}, 60_000);

afterAll(async () => {
  for (const one of clients) one.close();
  await rig?.stop();
}, 60_000);

describe('A client', () => {
  test('is told which extensions there are', async () => {
    const one = await client();
    expect(await one.say('EHLO again')).toBe(
      '250-mx.test\r\n250-PIPELINING\r\n250-SIZE 52428800\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250 STARTTLS',
    );
    expect(await (await client(3)).say('EHLO again')).not.toContain('STARTTLS');
  });

  test('hears 250 with an id when its mail is stored, byte for byte', async () => {
    const one = await client();
    const data = 'Subject: x\r\n\r\nfirst\r\n.stuffed\r\n\x00\xff\r\n\r\n';
    const reply = await one.send({
      to: ['user@local.example', 'Far@B.example'],
      data: data.replace('.s', '..s'),
    });
    expect(reply).toMatch(/^250 2\.0\.0 Ok: queued as [0-9a-z]{20}$/);
    const queueId = reply.slice(-20);
    const mail = (await rig.mails()).find(({ envelope }) => envelope.queueId === queueId)!;
    expect(mail.data.toString('latin1')).toBe(data);
    expect(mail.envelope).toMatchObject({
      reversePath: 's@a.example',
      forwardPaths: ['user@local.example', 'Far@B.example'],
      clientAddress: '127.0.0.1',
      clientName: 'client.example',
      protocol: 'ESMTP',
      hasDotLines: true,
      chunks: [],
    });
    expect(mail.prepended).toMatch(
      /^Received: from client\.example \(\[127\.0\.0\.1\]\)\r\n\tby mx\.test with ESMTP id [0-9a-z]{20};\r\n\t.* \+0000\r\n$/,
    );
    expect(mail.entry).toMatchObject({
      queueId,
      size: mail.prepended.length + data.length,
      nullReversePath: false,
      domains: [
        { domain: 'local.example', count: 1 },
        { domain: 'b.example', count: 1 },
      ],
    });
  });

  test('may send everything in one packet, and end there', async () => {
    const one = await client();
    const mail = 'MAIL FROM:<>\r\nRCPT TO:<u1@local.example>\r\nDATA\r\n';
    one.socket.end(`${mail}one\r\n.\r\n${mail}two\r\n.\r\nQUIT\r\n`);
    const codes = (await one.ended()).match(/^\d{3}/gm);
    expect(codes).toEqual(['250', '250', '354', '250', '250', '250', '354', '250', '221']);
  });

  test('that does not read its replies is not read either, and loses nothing', async () => {
    const one = await client();
    const ehlo = `${await one.say('EHLO client.example')}\r\n`;
    one.socket.pause();
    const lines = 800_000;
    one.write('EHLO client.example\r\n'.repeat(lines));
    let left = 0;
    await until(() => {
      const before = left;
      left = one.socket.writableLength;
      return before === left;
    });
    expect(left).toBeGreaterThan(0);
    let octets = 0;
    one.socket.removeAllListeners('data');
    one.socket.on('data', (chunk: Buffer) => {
      octets += chunk.length;
    });
    one.socket.resume();
    await until(() => octets === lines * ehlo.length);
  }, 30_000);

  test('hears what is wrong with a recipient', async () => {
    const one = await client(3);
    await one.say('MAIL FROM:<s@a.example>');
    expect(await one.say('RCPT TO:<nobody@local.example>')).toMatch(/^550 5\.1\.1 /);
    expect(await one.say('RCPT TO:<someone@far.example>')).toMatch(/^550 5\.7\.1 /);
    expect(await one.say('RCPT TO:<away@local.example>')).toMatch(/^451 4\.4\.3 /);
    expect(await one.say('RCPT TO:<user@local.example>')).toMatch(/^250 /);
  });

  test('may relay from a network that may, and from a Unix socket', async () => {
    for (const position of [0, 2]) {
      const one = await client(position);
      expect(await one.send({ to: ['someone@far.example'], data: 'x\r\n' })).toMatch(/^250 /);
    }
    const [viaUnix] = (await rig.mails()).slice(-1);
    expect(viaUnix!.prepended).toMatch(/^Received: from client\.example\r\n/);
    expect(viaUnix!.envelope.clientAddress).toBe('');
  });

  test('costs the resolver one question per recipient, and none while it is known', async () => {
    const one = await client();
    const before = rig.asked.length;
    for (let i = 0; i < 3; i++) await one.send({ to: ['u-known@local.example'], data: 'x\r\n' });
    expect(rig.asked.slice(before)).toEqual(['u-known@local.example']);
  });
});

describe('TLS', () => {
  test('by STARTTLS forgets what was said before', async () => {
    const one = await client();
    expect(await one.say('STARTTLS')).toMatch(/^220 /);
    await one.secure();
    expect(await one.say('MAIL FROM:<s@a.example>')).toMatch(/^503 /);
    expect(await one.say('EHLO client.example')).not.toContain('STARTTLS');
    expect(await one.send({ to: ['user@local.example'], data: 'x\r\n' })).toMatch(/^250 /);
    expect((await rig.mails()).at(-1)!.envelope.protocol).toBe('ESMTPS');
    expect(await one.say('QUIT')).toMatch(/^221 /);
    await one.ended();
  });

  test('drops commands that were injected behind STARTTLS', async () => {
    const one = await client();
    one.write('STARTTLS\r\nEHLO evil\r\nMAIL FROM:<evil@a.example>\r\n');
    expect(await one.reply()).toMatch(/^220 /);
    await one.secure();
    expect(await one.say('RCPT TO:<user@local.example>')).toMatch(/^503 /);
    expect(await one.say('EHLO client.example')).toMatch(/^250-/);
  });

  test('does not begin when plain text follows instead of a handshake', async () => {
    const one = await client();
    await one.say('STARTTLS');
    one.write('EHLO evil\r\nMAIL FROM:<evil@a.example>\r\n');
    expect(await one.ended()).not.toContain('250');
  });

  test('from the start comes before the greeting', async () => {
    const one = await client(1, 'tls');
    expect(await one.say('EHLO client.example')).not.toContain('STARTTLS');
    expect(await one.send({ to: ['user@local.example'], data: 'x\r\n' })).toMatch(/^250 /);
    expect((await rig.mails()).at(-1)!.envelope.protocol).toBe('ESMTPS');
  });

  test('that never begins is not waited for once the client has gone', async () => {
    const sessions = () => rig.metric('postrider_ingress_sessions');
    const before = await sessions();
    const one = await RawClient.connect(listeners[1]!.port!);
    await until(async () => (await sessions()) === before + 1);
    one.socket.end();
    await until(async () => (await sessions()) === before);
  }, 20_000);

  test('from the start is not spoken by a client that is plain', async () => {
    const one = await RawClient.connect(listeners[1]!.port!);
    one.write('EHLO client.example\r\n');
    expect(await one.ended()).not.toContain('220');
  });
});

describe('A large mail', () => {
  const line = `${'0123456789'.repeat(7)}\r\n`;
  const large = Buffer.from(line.repeat(Math.ceil(3_000_000 / line.length)));

  test('goes to STORE in chunks, and its commit record into a pack', async () => {
    const one = await client();
    const reply = await one.send({ to: ['user@local.example'], data: large });
    expect(reply).toMatch(/^250 /);
    const mail = (await rig.mails()).at(-1)!;
    expect(mail.envelope.chunks.map(({ length }) => length)).toEqual([
      ...Array.from({ length: 5 }, () => 524_288),
      large.length - 5 * 524_288,
    ]);
    expect(mail.envelope.dataLength).toBe(0);
    expect(mail.data.equals(large)).toBe(true);
    expect(mail.entry.size).toBe(mail.prepended.length + large.length);
  }, 30_000);

  test('that is refused or given up leaves no chunks behind', async () => {
    const before = (await rig.records('STORE_0')).length;
    const one = await client();
    await one.say('MAIL FROM:<s@a.example>', 'RCPT TO:<user@local.example>', 'DATA');
    one.write(large);
    one.write('bare\nline\r\n.\r\n');
    expect(await one.reply()).toMatch(/^550 5\.6\.11 /);
    await one.say('MAIL FROM:<s@a.example>', 'RCPT TO:<user@local.example>', 'DATA');
    one.write(large);
    await until(async () => (await rig.records('STORE_0')).length >= before + 3);
    one.close();
    await until(async () => (await rig.records('STORE_0')).length === before);
    await until(async () => (await rig.metric('postrider_ingress_memory_octets')) === 0);
  }, 30_000);

  test('over the limit is refused by its size, declared or not', async () => {
    const one = await client();
    expect(await one.say('MAIL FROM:<s@a.example> SIZE=52428801')).toMatch(/^552 5\.3\.4 /);
    await one.say('MAIL FROM:<s@a.example>', 'RCPT TO:<user@local.example>', 'DATA');
    const piece = Buffer.from(line.repeat(1000));
    for (let octets = 0; octets <= 52_428_800; octets += piece.length) {
      if (!one.write(piece)) await new Promise((done) => one.socket.once('drain', done));
    }
    one.write('.\r\n');
    expect(await one.reply()).toMatch(/^552 5\.3\.4 /);
    expect(await one.send({ to: ['user@local.example'], data: 'x\r\n' })).toMatch(/^250 /);
  }, 60_000);
});
