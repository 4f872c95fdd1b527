// Ingress when something is missing: what clients hear, and that nothing is lost that was answered with 250.
import { existsSync, renameSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { IngressRig, until } from '#kit/ingress-rig.ts';
import { RawClient } from '#kit/raw-client.ts';

let rig: IngressRig | undefined;
const clients: RawClient[] = [];

afterEach(async () => {
  for (const one of clients.splice(0)) one.close();
  await rig?.stop();
  rig = undefined;
}, 60_000);

async function started(options: Parameters<typeof IngressRig.start>[0] = {}): Promise<IngressRig> {
  rig = await IngressRig.start(options);
  return rig;
}

async function client(port: number): Promise<RawClient> {
  const made = await RawClient.greeted(port);
  clients.push(made);
  return made;
}

const to = ['user@local.example'];
const toData = ['MAIL FROM:<s@a.example>', 'RCPT TO:<user@local.example>', 'DATA'];

describe('Without a resolver', () => {
  test('recipients are deferred: at once when nobody is there, soon when nobody answers', async () => {
    const bench = await started();
    const [listener] = await bench.ingress();
    const one = await client(listener!.port!);
    expect(await one.send({ to, data: 'x\r\n' })).toMatch(/^451 4\.4\.3 /);
    bench.resolve();
    bench.resolver = 'silent';
    await one.say('RSET');
    const beganMs = Date.now();
    expect(await one.send({ to, data: 'x\r\n' })).toMatch(/^451 4\.4\.3 /);
    expect(Date.now() - beganMs).toBeLessThan(7000);
    bench.resolver = 'answers';
    await one.say('RSET');
    expect(await one.send({ to, data: 'x\r\n' })).toMatch(/^250 /);
  }, 30_000);
});

describe('Without JetStream', () => {
  test('mail is put off with 451, and what got 250 is there afterwards', async () => {
    const bench = await started();
    bench.resolve();
    const [listener] = await bench.ingress({ limits: { commitWaitMax: '2 s' } });
    const one = await client(listener!.port!);
    const first = await one.send({ to, data: 'before\r\n' });
    expect(first).toMatch(/^250 /);
    await bench.nats.kill('SIGKILL');
    expect(await one.send({ to, data: 'meanwhile\r\n' })).toMatch(/^451 4\.3\.0 /);
    await bench.nats.restart();
    const later = await one.send({ to, data: 'after\r\n' });
    expect(later).toMatch(/^250 /);
    const stored = await bench.mails();
    for (const reply of [first, later]) {
      expect(stored.filter(({ envelope }) => reply.endsWith(envelope.queueId))).toHaveLength(1);
    }
    expect(stored.map(({ data }) => String(data))).toEqual(
      expect.arrayContaining(['before\r\n', 'after\r\n']),
    );
  }, 60_000);

  test('that comes back in time nobody notices', async () => {
    const bench = await started();
    bench.resolve();
    const [listener] = await bench.ingress();
    const one = await client(listener!.port!);
    await one.send({ to, data: 'before\r\n' });
    await bench.nats.kill('SIGKILL');
    const reply = one.send({ to, data: 'x\r\n' });
    await bench.nats.restart();
    expect(await reply).toMatch(/^250 /);
    expect(await bench.mails()).toHaveLength(2);
  }, 60_000);

  test('full, mail is put off with 452, and taken again when there is room', async () => {
    const bench = await started({ spoolSizeMax: 300_000 });
    bench.resolve();
    const [listener] = await bench.ingress();
    const one = await client(listener!.port!);
    const data = 'x'.repeat(98).concat('\r\n').repeat(1000);
    const replies: string[] = [];
    while (!replies.at(-1)?.startsWith('452')) replies.push(await one.send({ to, data }));
    expect(replies.at(-1)).toMatch(/^452 4\.3\.1 /);
    expect(await bench.mails()).toHaveLength(replies.length - 1);
    const large = data.repeat(7);
    expect(await one.send({ to, data: large })).toMatch(/^452 4\.3\.1 /);
    await until(async () => (await bench.records('STORE_0')).length === 0);
    await bench.link.request('$JS.API.STREAM.PURGE.SPOOL_0', new Uint8Array(0), 2000);
    await until(async () => (await one.say('MAIL FROM:<s@a.example>')).startsWith('250'));
    await one.say('RSET');
    expect(await one.send({ to, data })).toMatch(/^250 /);
    expect(await bench.metric('postrider_ingress_memory_octets')).toBe(0);
    await until(async () => (await bench.metric('postrider_ingress_refusals_total')) >= 2);
  }, 60_000);
});

describe('Too many clients', () => {
  test('are turned away with 421 beyond sessionsMax, and welcome when others have left', async () => {
    const bench = await started();
    bench.resolve();
    const [listener] = await bench.ingress({ limits: { sessionsMax: 3 } });
    const port = listener!.port!;
    const three = await Promise.all([client(port), client(port), client(port)]);
    const fourth = await RawClient.connect(port);
    expect(await fourth.ended()).toMatch(/^421 4\.3\.2 /);
    await three[0]!.say('QUIT');
    await three[0]!.ended();
    await until(async () => (await bench.metric('postrider_ingress_sessions')) === 2);
    expect(await (await client(port)).send({ to, data: 'x\r\n' })).toMatch(/^250 /);
  }, 30_000);

  test('that are silent are told so and closed', async () => {
    const bench = await started();
    bench.resolve();
    const [listener] = await bench.ingress({ limits: { sessionIdleMax: '1 s' } });
    const idle = await client(listener!.port!);
    const inData = await client(listener!.port!);
    await inData.say(...toData);
    inData.write('never ends');
    expect(await idle.ended()).toMatch(/^421 4\.4\.2 /);
    expect(await inData.ended()).toMatch(/^421 4\.4\.2 /);
    await until(async () => (await bench.metric('postrider_ingress_sessions')) === 0);
    expect(await bench.metric('postrider_ingress_memory_octets')).toBe(0);
  }, 30_000);
});

describe('Too much mail at once', () => {
  const memoryMax = 8 * 1024 ** 2;

  test('is refused at DATA; what was let in comes through, by way of STORE, and memory stays bounded', async () => {
    const bench = await started();
    bench.resolve();
    const [listener] = await bench.ingress({ limits: { memoryMax: '8 MiB', sessionsMax: 500 } });
    const all = await Promise.all(Array.from({ length: 150 }, () => client(listener!.port!)));
    const goes = await Promise.all(all.map((one) => one.say(...toData)));
    const isIn = goes.map((go) => go.includes('354'));
    expect(goes.filter((go) => go.includes('452 4.3.1')).length).toBe(150 - isIn.filter(Boolean).length);
    const letIn = all.filter((_, i) => isIn[i]);
    expect(letIn.length).toBeGreaterThanOrEqual(100);
    // Twice as much as there is room for, and no end in sight.
    const data = Buffer.from('x'.repeat(98).concat('\r\n').repeat(1600));
    let most = 0;
    for (const one of letIn) one.write(data);
    await until(async () => {
      most = Math.max(most, await bench.metric('postrider_ingress_memory_octets'));
      return letIn.every((one) => one.socket.writableLength === 0);
    });
    for (const one of letIn) one.write('.\r\n');
    const replies = await Promise.all(letIn.map((one) => one.reply()));
    expect(replies.filter((reply) => !reply.startsWith('250'))).toEqual([]);
    expect(most).toBeGreaterThan(memoryMax / 2);
    expect(most).toBeLessThanOrEqual(memoryMax);
    const mails = await bench.mails();
    expect(mails).toHaveLength(letIn.length);
    for (const mail of mails) expect(mail.data.equals(data)).toBe(true);
    expect(mails.some(({ envelope }) => envelope.chunks.length > 0)).toBe(true);
    expect(await bench.metric('postrider_ingress_memory_octets')).toBe(0);
  }, 60_000);
});

describe('A stop', () => {
  test('lets mail data that is arriving finish, and says 421 to all', async () => {
    const bench = await started();
    bench.resolve();
    const [listener] = await bench.ingress();
    const [idle, busy] = [await client(listener!.port!), await client(listener!.port!)];
    await busy.say(...toData);
    const stopped = bench.stopIngress();
    expect(await idle.ended()).toMatch(/^421 4\.3\.2 /);
    await expect(RawClient.connect(listener!.port!)).rejects.toThrow();
    busy.write('the end\r\n.\r\n');
    expect(await busy.reply()).toMatch(/^250 /);
    expect(await busy.ended()).toMatch(/^421 4\.3\.2 /);
    await stopped;
    expect((await bench.mails()).map(({ data }) => String(data))).toEqual(['the end\r\n']);
  }, 30_000);
});

describe('A Unix socket', () => {
  test('whose process died is taken over; one that is in use, or is no socket, is not', async () => {
    const bench = await started();
    bench.resolve();
    const file = bench.file('smtp.sock');
    const unixSocket = { listeners: [{ unixSocket: file, role: 'mx' as const }] };
    await bench.ingress(unixSocket);
    await expect(bench.ingress(unixSocket)).rejects.toThrow(
      `cannot listen at unix:${file}: another process does`,
    );
    await bench.stopIngress();
    await bench.stopIngress();
    expect(existsSync(file)).toBe(false);
    await leaveStale(file);
    const [listener] = await bench.ingress(unixSocket);
    const one = await RawClient.greeted(listener!.unixSocket!);
    clients.push(one);
    await bench.stopIngress();
    writeFileSync(file, 'precious');
    await expect(bench.ingress(unixSocket)).rejects.toThrow('a file that is no socket');
  }, 30_000);

  test('is named when a port is taken', async () => {
    const bench = await started();
    const [listener] = await bench.ingress();
    const again = { listeners: [{ port: listener!.port! }] };
    await expect(bench.ingress(again)).rejects.toThrow(
      `cannot listen at 127.0.0.1:${listener!.port}: EADDRINUSE`,
    );
  }, 30_000);
});

/** A socket file that nobody listens at: Node removes its own, so it is renamed before. */
async function leaveStale(file: string): Promise<void> {
  const server = createServer().listen(`${file}.old`);
  await new Promise((done) => server.once('listening', done));
  renameSync(`${file}.old`, file);
  await new Promise((done) => server.close(done));
}
