// SIGTERM for a real ingress process with clients in the middle of everything: who hears what, and that what was answered with
// 250 is stored whole, and nothing else.
import { connect } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, describe, expect, test } from '@jest/globals';
import { IngressRig, until } from '#kit/ingress-rig.ts';
import { type LoneService, startLone } from '#kit/lone-service.ts';
import { RawClient } from '#kit/raw-client.ts';
import type { ListenerReady } from '../../services/ingress/listener.actor.ts';

let rig: IngressRig;
let service: LoneService;
let port: number;
const clients: RawClient[] = [];

afterEach(async () => {
  for (const one of clients.splice(0)) one.close();
  service?.child.kill('SIGKILL');
  await rig?.stop();
}, 60_000);

async function started(
  drain: string,
  listeners = '[{port: 0, role: relay, tls: none}]',
): Promise<ListenerReady[]> {
  rig = await IngressRig.start();
  rig.resolve();
  service = startLone({
    service: 'ingress',
    folder: rig.folder,
    configText: `hostname: mx.test
listeners: ${listeners}
nats: {url: "${rig.nats.url}", partitions: 8, spoolSizeMax: 1 GiB}
drain: ${drain}
`,
    env: { NATS_URL: '' },
  });
  const { listeners: ready } = (await service.ready) as { listeners: ListenerReady[] };
  port = ready[0]!.port!;
  return ready;
}

async function client(): Promise<RawClient> {
  const made = await RawClient.greeted(port);
  clients.push(made);
  return made;
}

const toRecipient = ['MAIL FROM:<s@a.example>', 'RCPT TO:<user@local.example>'];
const GOODBYE = /^421 4\.3\.2 [^\r]*\r\n$/;

/** Queue ids in replies, or in what is stored. */
const idsIn = (said: string) => [...said.matchAll(/queued as ([0-9a-z]{20})/g)].map((match) => match[1]!);
const storedIds = async () => (await rig.mails()).map(({ envelope }) => envelope.queueId);

describe('After SIGTERM', () => {
  test('clients at a command boundary hear 421 at once, new ones are refused; mail data still becomes a 250', async () => {
    await started('{sessions: 20 s}');
    const [idle, addressed, typing, busy] = [await client(), await client(), await client(), await client()];
    await addressed.say(...toRecipient);
    typing.write('MAIL FROM:<s@');
    await busy.say(...toRecipient, 'DATA');
    busy.write('the beginning\r\n');
    service.child.kill('SIGTERM');
    const beganMs = Date.now();
    for (const one of [idle, addressed, typing]) expect(await one.ended()).toMatch(GOODBYE);
    expect(Date.now() - beganMs).toBeLessThan(2000);
    await expect(RawClient.connect(port)).rejects.toThrow('ECONNREFUSED');
    busy.write('the end\r\n.\r\n');
    const reply = await busy.reply();
    expect(await busy.ended()).toMatch(GOODBYE);
    expect(await service.ended).toBe('code 0');
    expect(await storedIds()).toEqual(idsIn(reply));
    expect(String((await rig.mails())[0]!.data)).toBe('the beginning\r\nthe end\r\n');
  }, 60_000);

  test('a batch that is pipelined ends between two mails: what is stored is what was answered', async () => {
    await started('{sessions: 20 s}');
    const [one, other] = [await client(), await client()];
    const count = 3000;
    const mail = (i: number) => `${toRecipient.join('\r\n')}\r\nDATA\r\nmail ${i}\r\n.\r\n`;
    const batch = Array.from({ length: count }, (_, i) => mail(i)).join('');
    one.write(batch);
    await one.reply();
    other.write(batch);
    service.child.kill('SIGTERM');
    const beganMs = Date.now();
    const said = await Promise.all([one.ended(), other.ended()]);
    // The rest of the batch is read and dropped, so that no reply is lost; nobody waits for a timeout.
    expect(Date.now() - beganMs).toBeLessThan(5000);
    for (const text of said) expect(text).toMatch(/421 4\.3\.2 [^\r]*\r\n$/);
    expect(await service.ended).toBe('code 0');
    const answered = said.flatMap(idsIn);
    expect(answered.length).toBeLessThan(2 * count);
    expect((await storedIds()).sort()).toEqual(answered.sort());
    for (const { data } of await rig.mails()) expect(String(data)).toMatch(/^mail \d+\r\n$/);
  }, 60_000);

  test('a commit under way is waited for, and told', async () => {
    await started('{sessions: 20 s}');
    const one = await client();
    await one.say(...toRecipient, 'DATA');
    await rig.nats.kill('SIGSTOP');
    one.write('committed\r\n.\r\n');
    await pause(200);
    service.child.kill('SIGTERM');
    await until(() => service.output().includes('asked to stop'));
    await rig.nats.kill('SIGCONT');
    const reply = await one.reply();
    expect(reply).toMatch(/^250 /);
    expect(await one.ended()).toMatch(GOODBYE);
    expect(await service.ended).toBe('code 0');
    expect(await storedIds()).toEqual(idsIn(reply));
  }, 60_000);

  test('mail data that trickles is cut after drain.sessions, and nothing of it is kept', async () => {
    await started('{sessions: 1 s}');
    const [trickling, large] = [await client(), await client()];
    await trickling.say(...toRecipient, 'DATA');
    await large.say(...toRecipient, 'DATA');
    large.write(Buffer.from('x'.repeat(70).concat('\r\n').repeat(30_000)));
    await until(async () => (await rig.records('STORE_0')).length > 0);
    service.child.kill('SIGTERM');
    const beganMs = Date.now();
    const timer = setInterval(() => trickling.write('x'), 100);
    try {
      expect(await trickling.ended()).toMatch(GOODBYE);
    } finally {
      clearInterval(timer);
    }
    const tookMs = Date.now() - beganMs;
    expect(tookMs).toBeGreaterThanOrEqual(950);
    expect(tookMs).toBeLessThan(4000);
    expect(await large.ended()).toMatch(GOODBYE);
    expect(await service.ended).toBe('code 0');
    expect(await rig.mails()).toEqual([]);
  }, 60_000);

  test('a client that never goes is left five seconds after that', async () => {
    await started('{sessions: 1 s}');
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    socket.on('error', () => {});
    await new Promise((done) => socket.once('data', done));
    const beganMs = Date.now();
    service.child.kill('SIGTERM');
    expect(await service.ended).toBe('code 0');
    expect(Date.now() - beganMs).toBeGreaterThan(5000);
    expect(Date.now() - beganMs).toBeLessThan(9000);
    socket.destroy();
  }, 60_000);

  test('new clients are served for drain.wait, and nobody hears 421 before', async () => {
    await started('{wait: 2 s, sessions: 20 s}');
    const idle = await client();
    const beganMs = Date.now();
    service.child.kill('SIGTERM');
    await until(() => service.output().includes('not ready any more'));
    const late = await client();
    const reply = await late.send({ to: ['user@local.example'], data: 'late\r\n' });
    expect(reply).toMatch(/^250 /);
    for (const one of [idle, late]) expect(await one.ended()).toMatch(GOODBYE);
    expect(Date.now() - beganMs).toBeGreaterThanOrEqual(1950);
    await expect(RawClient.connect(port)).rejects.toThrow('ECONNREFUSED');
    expect(await service.ended).toBe('code 0');
    expect(await storedIds()).toEqual(idsIn(reply));
  }, 60_000);

  test('a connection whose PROXY header has not come hears 421', async () => {
    const proxy = 'proxyProtocol: {trusted: [127.0.0.0/8], headerWaitMax: 30 s}';
    await started('{sessions: 20 s}', `[{port: 0, role: mx, tls: none, ${proxy}}]`);
    const one = await RawClient.connect(port);
    clients.push(one);
    service.child.kill('SIGTERM');
    expect(await one.ended()).toMatch(GOODBYE);
    expect(await service.ended).toBe('code 0');
  }, 60_000);
});
