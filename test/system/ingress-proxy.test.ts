// Ingress behind load balancers that speak the PROXY protocol, over real sockets: whom it takes for the client, and what it
// says to those who do not say who that is.
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { IngressRig, until } from '#kit/ingress-rig.ts';
import { headerV1, headerV2, LOCAL, rawV2, startBalancer } from '#kit/proxy-balancer.ts';
import { RawClient } from '#kit/raw-client.ts';
import type { ListenerReady } from '../../services/ingress/listener.actor.ts';

const HEADER_WAIT_MS = 400;
/** Counts are handed on so often. */
const SWEEP_MS = 1000;
const trusting = { trusted: ['127.0.0.0/8'], headerWaitMax: `${HEADER_WAIT_MS} ms` };
const RELAY = 0;
const MX_IMPLICIT = 1;
const UNTRUSTING = 2;
const UNTRUSTING_IMPLICIT = 3;

let rig: IngressRig;
let listeners: ListenerReady[];
const clients: RawClient[] = [];

beforeAll(async () => {
  rig = await IngressRig.start();
  rig.resolve();
  listeners = await rig.ingress({
    relayNetworks: ['127.0.0.0/8', '10.0.0.0/8', '2001:db8::/32'],
    listeners: [
      { port: 0, role: 'relay', tls: 'starttls', proxyProtocol: trusting },
      { port: 0, role: 'mx', tls: 'implicit', proxyProtocol: trusting },
      { port: 0, role: 'relay', tls: 'none', proxyProtocol: { trusted: ['192.0.2.0/24'] } },
      { port: 0, role: 'mx', tls: 'implicit', proxyProtocol: { trusted: ['192.0.2.0/24'] } },
    ],
  });
}, 60_000);

afterEach(() => {
  for (const one of clients.splice(0)) one.close();
});

afterAll(async () => {
  await rig?.stop();
}, 60_000);

/** Connected to the listener of that position, and nothing said. */
async function connected(position: number): Promise<RawClient> {
  const one = await RawClient.connect(listeners[position]!.port!);
  clients.push(one);
  return one;
}

/** A client whose balancer said this first; greeted. */
async function behind(header: Buffer, position = RELAY): Promise<RawClient> {
  const one = await connected(position);
  one.write(header);
  expect(await one.reply()).toMatch(/^220 mx\.test /);
  await one.say('EHLO client.example');
  return one;
}

const toLocal = { to: ['user@local.example'], data: 'x\r\n' };
const toFar = { to: ['someone@far.example'], data: 'x\r\n' };
const lastMail = async () => (await rig.mails()).at(-1)!;

describe('The client that a PROXY header names', () => {
  test.each([
    ['version 1, IPv4', headerV1('10.1.2.3'), '10.1.2.3', '[10.1.2.3]'],
    ['version 1, IPv6', headerV1('2001:db8::7'), '2001:db8::7', '[IPv6:2001:db8::7]'],
    ['version 1, IPv4 in IPv6', headerV1('::ffff:10.1.2.4'), '10.1.2.4', '[10.1.2.4]'],
    ['version 2', headerV2('10.1.2.5'), '10.1.2.5', '[10.1.2.5]'],
  ])('is the one that may relay and that Received tells: %s', async (_what, header, address, literal) => {
    const one = await behind(header);
    expect(await one.send(toFar)).toMatch(/^250 2\.0\.0 /);
    const mail = await lastMail();
    expect(mail.envelope.clientAddress).toBe(address);
    expect(mail.prepended).toContain(`Received: from client.example (${literal})\r\n`);
  });

  test('may not relay when its own network may not, although the balancer is in one that may', async () => {
    const one = await behind(headerV2('8.8.8.8'));
    expect(await one.send(toFar)).toMatch(/^550 5\.7\.1 /);
    expect(await one.say('RSET')).toMatch(/^250 /);
    expect(await one.send(toLocal)).toMatch(/^250 /);
    expect((await lastMail()).envelope.clientAddress).toBe('8.8.8.8');
  });

  test.each([
    ['1', headerV1('10.1.2.6')],
    ['2', headerV2('10.1.2.6')],
  ])('is known however its header arrives: one octet at a time, version %s', async (_version, header) => {
    const one = await connected(RELAY);
    one.socket.setNoDelay(true);
    for (const octet of header) {
      await new Promise((sent) => one.socket.write(Buffer.from([octet]), sent));
    }
    expect(await one.reply()).toMatch(/^220 /);
    await one.say('EHLO client.example');
    expect(await one.send(toFar)).toMatch(/^250 /);
    expect((await lastMail()).envelope.clientAddress).toBe('10.1.2.6');
  });

  test('may have said everything behind the header in one packet, and ended', async () => {
    const one = await connected(RELAY);
    const mail = 'MAIL FROM:<>\r\nRCPT TO:<u1@local.example>\r\nDATA\r\none packet\r\n.\r\nQUIT\r\n';
    one.socket.end(Buffer.concat([headerV2('10.1.2.7'), Buffer.from(`EHLO c.example\r\n${mail}`)]));
    const said = await one.ended();
    expect(said.match(/^\d{3} /gm)).toEqual(['220 ', '250 ', '250 ', '250 ', '354 ', '250 ', '221 ']);
    expect(String((await lastMail()).data)).toBe('one packet\r\n');
  });
});

describe('TLS behind a balancer', () => {
  test('begins by STARTTLS', async () => {
    const one = await behind(headerV1('10.1.2.8'));
    expect(await one.say('STARTTLS')).toMatch(/^220 /);
    await one.secure();
    await one.say('EHLO client.example');
    expect(await one.send(toFar)).toMatch(/^250 /);
    expect((await lastMail()).envelope).toMatchObject({ clientAddress: '10.1.2.8', protocol: 'ESMTPS' });
  });

  test('begins after the header where it is implicit', async () => {
    const one = await connected(MX_IMPLICIT);
    one.write(headerV2('8.8.4.4'));
    await one.secure();
    expect(await one.reply()).toMatch(/^220 /);
    await one.say('EHLO client.example');
    expect(await one.send(toLocal)).toMatch(/^250 /);
    expect((await lastMail()).envelope).toMatchObject({ clientAddress: '8.8.4.4', protocol: 'ESMTPS' });
  });

  test.each([
    ['1', headerV1('8.8.4.5')],
    ['2', headerV2('8.8.4.5')],
  ])(
    'loses no octet of a handshake that comes in one packet with the header, version %s',
    async (_v, header) => {
      const balancer = await startBalancer(listeners[MX_IMPLICIT]!.port!, header);
      const one = await RawClient.greeted(balancer.port, 'tls');
      expect(await one.send(toLocal)).toMatch(/^250 /);
      expect((await lastMail()).envelope).toMatchObject({ clientAddress: '8.8.4.5', protocol: 'ESMTPS' });
      one.close();
      await balancer.stop();
    },
  );
});

describe('A balancer that names nobody', () => {
  test.each([
    ['LOCAL', LOCAL],
    ['UNKNOWN', Buffer.from('PROXY UNKNOWN\r\n')],
    ['an unspecified family', rawV2(0x21, 0, [])],
  ])('is served, and may not relay for being near: %s', async (_what, header) => {
    const one = await behind(header);
    expect(await one.send(toFar)).toMatch(/^550 5\.7\.1 /);
    expect(await one.say('RSET', 'QUIT')).toMatch(/221 2\.0\.0 /);
  });
});

describe('Without a good header', () => {
  const refused = (reason: string) =>
    rig.metric('postrider_ingress_proxy_headers_refused_total', `reason="${reason}"`);

  test('a client hears nothing, and is closed after the wait', async () => {
    const before = await refused('timeout');
    const beganMs = Date.now();
    const one = await connected(RELAY);
    one.write('PROXY TCP4 10.1.2.3');
    expect(await one.ended()).toBe('');
    expect(Date.now() - beganMs).toBeGreaterThanOrEqual(HEADER_WAIT_MS - 5);
    await until(async () => (await refused('timeout')) === before + 1);
  });

  test.each([
    ['SMTP', RELAY, 'EHLO client.example\r\n'],
    ['a header of no known family', RELAY, 'PROXY TCP9 10.0.0.1 10.0.0.1 1 2\r\n'],
    ['version 3', RELAY, rawV2(0x31, 0x11, [])],
    ['noise', RELAY, Buffer.from([0, 255, 13, 10])],
    ['a TLS handshake', MX_IMPLICIT, Buffer.from([22, 3, 1, 2, 0, 1])],
  ])('a client is closed at once, and hears nothing: %s', async (_what, position, octets) => {
    const before = await refused('invalid');
    const one = await connected(position);
    const beganMs = Date.now();
    one.write(octets);
    expect(await one.ended()).toBe('');
    expect(Date.now() - beganMs).toBeLessThan(HEADER_WAIT_MS);
    await until(async () => (await refused('invalid')) === before + 1);
  });

  test('a client that goes within its header leaves nothing behind', async () => {
    const before = await refused('invalid');
    const one = await connected(RELAY);
    await new Promise((sent) => one.socket.write('PROXY TC', sent));
    one.close();
    await until(async () => (await refused('invalid')) === before + 1);
  });

  test('from a network that is not trusted, a peer hears 421; where TLS comes first it is closed', async () => {
    const before = await refused('untrusted');
    const plain = await connected(UNTRUSTING);
    plain.write(headerV2('10.1.2.3'));
    expect(await plain.ended()).toMatch(/^421 4\.7\.0 [^\r]*\r\n$/);
    const secure = await connected(UNTRUSTING_IMPLICIT);
    expect(await secure.ended()).toBe('');
    await until(async () => (await refused('untrusted')) === before + 2);
  });
});

describe('Health checks of balancers', () => {
  test('count neither as clients nor as trouble', async () => {
    await until(async () => (await rig.metric('postrider_ingress_sessions')) === 0);
    // What was counted before has been handed on.
    await pause(2 * SWEEP_MS);
    const counted = async () => [
      await rig.metric('postrider_ingress_sessions_accepted_total'),
      await rig.metric('postrider_ingress_sessions_ended_total'),
      await rig.metric('postrider_ingress_mx_clients_total'),
      await rig.metric('postrider_ingress_proxy_headers_refused_total'),
      await rig.metric('postrider_ingress_refusals_total'),
    ];
    const before = await counted();
    for (const position of [RELAY, MX_IMPLICIT]) (await connected(position)).close();
    for (const header of [LOCAL, Buffer.from('PROXY UNKNOWN\r\n')]) {
      (await behind(header)).close();
      const one = await connected(MX_IMPLICIT);
      await new Promise((sent) => one.socket.write(header, sent));
      one.close();
    }
    // A client that does count comes later, so that all of them are counted by then.
    const last = await behind(headerV1('10.9.9.9'));
    await last.say('QUIT');
    await last.ended();
    await until(async () => (await rig.metric('postrider_ingress_sessions')) === 0);
    await until(async () => (await counted())[1] === before[1]! + 1);
    expect(await counted()).toEqual([before[0]! + 1, before[1]! + 1, ...before.slice(2)]);
  }, 20_000);
});
