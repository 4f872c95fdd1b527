// The client's connections: addresses, TLS, LMTP, Unix sockets, silence, servers that break the rules.
import { createServer } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { DeliveryRig, type RigMail, siteAt, told } from '#kit/delivery-rig.ts';
import { startSmtpSink } from '#kit/smtp-sink.ts';
import { waitUntil } from '#kit/wait-until.ts';
import { OutcomeKind } from '#proto/postrider/v1/job.ts';
import { Transport } from '#proto/postrider/v1/route.ts';

const { DELIVERED, RELAYED, DEFERRED, FAILED, RETURNED } = OutcomeKind;
const HOST = 'mx.test[127.0.0.1]';

let rig: DeliveryRig;

beforeEach(() => {
  rig = new DeliveryRig();
});

afterEach(() => rig.close());

async function restart(options: ConstructorParameters<typeof DeliveryRig>[0]): Promise<void> {
  await rig.close();
  rig = new DeliveryRig(options);
}

describe('TLS', () => {
  test('is used when it is offered, without a check of the name', async () => {
    const { sink, carry } = await rig.connected({ tls: 'on' });
    expect(await carry({ to: ['tls@y'] })).toMatchObject({
      kind: 'finished',
      outcome: { kind: RELAYED, tls: expect.stringMatching(/^TLSv1\.3 TLS_\w+$/) },
    });
    expect(sink.mails[0]!.tls).toBe('TLSv1.3');
    expect(sink.commands.filter((line) => line.startsWith('EHLO'))).toHaveLength(2);
    for (let i = 0; i < 3; i++) expect(told(await carry({}))).toMatchObject({ event: 'reusable' });
  });

  test('that is broken is left out on a second connection', async () => {
    const { sink, carry } = await rig.connected({ tls: 'broken' });
    expect(await carry({})).toMatchObject({ outcome: { kind: RELAYED, tls: '' } });
    expect(sink.connectionsTotal).toBe(2);
  });

  test('is not used against the policy', async () => {
    await restart({ tls: 'never' });
    const { sink, carry } = await rig.connected({ tls: 'broken' });
    expect(await carry({})).toMatchObject({ outcome: { kind: RELAYED, tls: '' } });
    expect(sink.connectionsTotal).toBe(1);
  });
});

describe('LMTP', () => {
  test('delivers, with a reply for each recipient', async () => {
    const { sink, carry } = await rig.connected({ protocol: 'lmtp' }, { transport: Transport.LMTP });
    expect(told(await carry({}))).toMatchObject({ fate: [DELIVERED, 250], each: [] });
    const mixed = await carry({ to: ['a@y', 'data-552@y', '550@y', 'data-450@y', 'b@y'] });
    expect(told(mixed).each).toEqual([
      [0, DELIVERED, 250],
      [1, FAILED, 552],
      [2, FAILED, 550],
      [3, DEFERRED, 450],
      [4, DELIVERED, 250],
    ]);
    expect(sink.commands[0]).toBe('LHLO client.test');
    expect(sink.mails[1]!.forwardPaths).toEqual(['a@y', 'b@y']);
  });

  test('goes over a Unix socket', async () => {
    const unixPath = `/tmp/postrider-test-${process.pid}.sock`;
    const sink = await rig.sink({ protocol: 'lmtp', unixPath });
    const hosts = [{ name: '', port: 0, addresses: [], unixPath }];
    const carrier = await rig.openReady({ transport: Transport.LMTP, hosts });
    expect(await rig.carry(carrier, {})).toMatchObject({
      outcome: { kind: DELIVERED, reply: { host: unixPath } },
    });
    expect(sink.taken).toBe(1);
  });
});

describe('addresses', () => {
  /** A port at which nobody listens. */
  async function deafPort(): Promise<number> {
    const sink = await startSmtpSink();
    await sink.close();
    return sink.port;
  }

  test('are tried in turn until one serves us, and the dead one comes last afterwards', async () => {
    const sink = await rig.sink();
    const deaf = { name: 'mx1.test', port: await deafPort(), addresses: ['127.0.0.1'], unixPath: '' };
    const good = { name: 'mx2.test', port: sink.port, addresses: ['127.0.0.2', '127.0.0.1'], unixPath: '' };
    const carrier = await rig.openReady({ hosts: [deaf, good] });
    expect(await rig.carry(carrier, {})).toMatchObject({
      outcome: { reply: { host: 'mx2.test[127.0.0.1]' } },
    });
    const dead = [deaf, good].map((host) => ({ host, address: '127.0.0.1', key: `127.0.0.1 ${host.port}` }));
    expect(dead.map((target) => rig.dead.isDead(target, Date.now()))).toEqual([true, false]);
  });

  test.each(['554', '421', '450'])('that greet with %s are not used', async (greeting) => {
    const [refusing, sink] = [await rig.sink(), await rig.sink()];
    refusing.behaviour.greeting = greeting;
    const hosts = [...siteAt(refusing.port).hosts!, ...siteAt(sink.port).hosts!];
    const carrier = await rig.openReady({ hosts });
    expect(told(await rig.carry(carrier, {}))).toMatchObject({ event: 'reusable' });
    expect([refusing.taken, sink.taken]).toEqual([0, 1]);
  });

  test('that all refuse mean that the host is down, for the last reason', async () => {
    const [first, second] = [await rig.sink(), await rig.sink()];
    first.behaviour.greeting = '421';
    second.behaviour.greeting = '554';
    rig.open({ hosts: [...siteAt(first.port).hosts!, ...siteAt(second.port).hosts!] });
    expect(await rig.event()).toEqual({
      kind: 'down',
      outcome: undefined,
      reason: { code: 554, enhanced: '', text: 'sink.test SMTP', host: HOST },
    });
  });

  test('that nobody listens at mean the same, in our words', async () => {
    rig.open(siteAt(await deafPort()));
    expect(await rig.event()).toMatchObject({
      kind: 'down',
      reason: { code: 0, enhanced: '4.4.1', text: `cannot connect: ${HOST} ECONNREFUSED`, host: '' },
    });
  });

  test('that make no sense, or are none, mean the same', async () => {
    rig.open({ hosts: [] });
    expect(await rig.event()).toMatchObject({ kind: 'down' });
    rig.open(siteAt(70_000));
    expect(await rig.event()).toMatchObject({
      kind: 'down',
      reason: { text: expect.stringContaining('PORT') },
    });
  });

  test('may be a name', async () => {
    const sink = await rig.sink();
    const hosts = [{ name: 'localhost', port: sink.port, addresses: [], unixPath: '' }];
    const carrier = await rig.openReady({ hosts });
    expect(await rig.carry(carrier, {})).toMatchObject({ outcome: { reply: { host: 'localhost' } } });
  });
});

describe('a server that keeps silent', () => {
  test('before its greeting is down', async () => {
    await restart({ timeoutScale: 0.001 });
    const sink = await rig.sink();
    sink.behaviour.greeting = '0';
    rig.open(siteAt(sink.port));
    expect(await rig.event()).toMatchObject({
      kind: 'down',
      reason: { text: `timed out while waiting for the greeting: ${HOST}` },
    });
  });

  test('after the dot defers the mail', async () => {
    await restart({ timeoutScale: 0.001 });
    const { sink, carry } = await rig.connected();
    expect(await carry({ to: ['hang-at-dot@y'] })).toMatchObject({
      kind: 'closed',
      outcome: { kind: DEFERRED, reply: { code: 0, text: expect.stringContaining('end of the mail data') } },
    });
    expect(sink.taken).toBe(1);
  });

  test('is not blamed while our checkpoint waits', async () => {
    await restart({ timeoutScale: 0.001 });
    const { carrier } = await rig.connected();
    rig.gate = 'closed';
    carrier.carry(rig.attempt({}));
    await new Promise((done) => setTimeout(done, 700));
    expect(rig.unread).toBe(0);
    rig.openGate();
    expect(told(await rig.event())).toMatchObject({ event: 'reusable', fate: [RELAYED, 250] });
  });
});

describe('a mail whose final dot may not be sent', () => {
  test.each<[string, RigMail, (rig: DeliveryRig) => void]>([
    ['since its owner was replaced', {}, (one) => (one.refusal = 'fenced')],
    ['since its owner was replaced, and it is streamed', { chunkSize: 5 }, (one) => (one.refusal = 'fenced')],
    ['since the worker has no lease', {}, (one) => (one.lease = 'ended')],
  ])('%s is given back, and its connection is dropped', async (_, how, forbid) => {
    const { sink, carry } = await rig.connected();
    await carry({});
    forbid(rig);
    expect(told(await carry(how))).toMatchObject({ event: 'spent', fate: [RETURNED, 0] });
    expect(sink.taken).toBe(1);
  });

  test.each<RigMail>([{}, { chunkSize: 5 }])(
    'since the lease ended while it waited for its checkpoint is given back at once (%j)',
    async (how) => {
      const { sink, carrier } = await rig.connected();
      rig.gate = 'closed';
      carrier.carry(rig.attempt(how));
      await waitUntil(() => sink.commands.includes('DATA') && rig.passed.length === 1, 5000);
      await new Promise((done) => setTimeout(done, 50));
      rig.lease = 'ended';
      rig.openGate();
      expect(told(await rig.event())).toMatchObject({ event: 'spent', fate: [RETURNED, 0] });
      expect(sink.taken).toBe(0);
    },
  );

  test('after an earlier one that was refused is not held up by that one', async () => {
    const { carry, carrier } = await rig.connected();
    rig.gate = 'closed';
    expect(told(await carry({ to: ['550@y'] }))).toMatchObject({ event: 'reusable', fate: [FAILED, 550] });
    carrier.carry(rig.attempt({}));
    rig.refusal = 'cancelled';
    await new Promise((done) => setTimeout(done, 100));
    rig.openGate();
    expect(told(await rig.event())).toMatchObject({ event: 'spent', fate: [RETURNED, 0] });
  });

  test('is known to be unsent, or sent and answered for some, when we end it', async () => {
    const { carrier } = await rig.connected({ protocol: 'lmtp' }, { transport: Transport.LMTP });
    rig.gate = 'closed';
    const attempt = rig.attempt({ to: ['450@y', 'hang-at-dot@y'] });
    carrier.carry(attempt);
    await new Promise((done) => setTimeout(done, 100));
    expect(attempt.dot).toBe('ahead');
    rig.openGate();
    await new Promise((done) => setTimeout(done, 100));
    expect(attempt.dot).toBe('out');
    expect(carrier.destroy()).toMatchObject([{ position: 0, kind: DEFERRED, reply: { code: 450 } }]);
  });
});

describe('a connection that was used', () => {
  test('and then closed by the server is told at once', async () => {
    const { sink, carry } = await rig.connected();
    await carry({});
    sink.cut();
    expect(await rig.event()).toEqual({ kind: 'closed', outcome: undefined });
  });

  test('and is cut when the next mail begins touches no mail', async () => {
    const { sink, carrier, carry } = await rig.connected();
    await carry({});
    const attempt = rig.attempt({});
    sink.cut();
    carrier.carry(attempt);
    expect(await rig.event()).toEqual({ kind: 'stale', attempt });
    expect(sink.taken).toBe(1);
  });

  test('may be destroyed at any time, and tells nothing more', async () => {
    const { carrier } = await rig.connected();
    carrier.carry(rig.attempt({ to: ['slow-after-dot@y'] }));
    await new Promise((done) => setTimeout(done, 50));
    carrier.destroy();
    await new Promise((done) => setTimeout(done, 50));
    expect(rig.unread).toBe(0);
  });
});

describe('a server that does not keep to the protocol', () => {
  /** Answers what it got with what it is told, one step after the other. */
  async function serverOf(...steps: string[]): Promise<{ port: number; close: () => void }> {
    const server = createServer((socket) => {
      const left = [...steps];
      socket.on('error', () => {});
      socket.on('data', () => socket.write(left.shift() ?? ''));
      socket.write(left.shift()!);
    });
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
    const { port } = server.address() as { port: number };
    return { port, close: () => server.close() };
  }

  const EHLO = '250-x\r\n250 PIPELINING\r\n';
  const mail: RigMail = { to: ['a@y'] };

  test.each([
    ['greets with nonsense', ['HTTP/1.1 400 Bad Request\r\n'], 'HTTP/1.1 400'],
    ['says more than it was asked', ['220 x\r\n', `${EHLO}250 more\r\n`], 'not an SMTP reply'],
    ['ends in half a line', ['220 x\r\n', `${EHLO}25`], 'not an SMTP reply'],
  ])('is down when it %s', async (_, steps, words) => {
    const server = await serverOf(...steps);
    rig.open(siteAt(server.port));
    expect(await rig.event()).toMatchObject({
      kind: 'down',
      reason: { text: expect.stringContaining(words) },
    });
    server.close();
  });

  test.each([
    ['a reply too many', '250 ok\r\n250 ok\r\n'],
    ['nonsense after its reply', '250 ok\r\nwhat?\r\n'],
    ['half a reply too many', '250 ok\r\n250'],
  ])('with %s after the dot has the mail, and is left', async (_, end) => {
    const server = await serverOf('220 x\r\n', EHLO, '250 a\r\n250 b\r\n354 c\r\n', end);
    const carrier = await rig.openReady(siteAt(server.port));
    expect(told(await rig.carry(carrier, mail))).toEqual({ event: 'spent', fate: [RELAYED, 250], each: [] });
    server.close();
  });

  test('defers the mail when it says nonsense', async () => {
    const server = await serverOf('220 x\r\n', EHLO, '250 a\r\n250 b\r\n354 c\r\n', '250x ok\r\n');
    const carrier = await rig.openReady(siteAt(server.port));
    expect(told(await rig.carry(carrier, mail))).toEqual({ event: 'closed', fate: [DEFERRED, 0], each: [] });
    server.close();
  });

  test('is the host’s trouble when it says 421', async () => {
    const server = await serverOf('220 x\r\n', EHLO, '421 busy\r\n');
    const carrier = await rig.openReady(siteAt(server.port));
    expect(told(await rig.carry(carrier, mail))).toEqual({ event: 'down', fate: [DEFERRED, 421], each: [] });
    server.close();
  });
});
