// What a server takes is of each server its own (max_payload): too little is refused, everything else is obeyed.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, test } from '@jest/globals';
import { startLone } from '#kit/lone-service.ts';
import { type NatsServer, startNats } from '#kit/nats-server.ts';
import { waitUntil } from '#kit/wait-until.ts';
import { subjects } from '#libs/nats/layout.ts';
import { connectLink, type Link, type OversizedMessage } from '#libs/nats/link.ts';
import { provision } from '#libs/nats/provision.ts';
import { RecordWriter } from '#libs/nats/records.ts';

const MINUTE = 60_000;
const KIB = 1024;
const FLOOR = 256 * KIB;
const folder = mkdtempSync(join(tmpdir(), 'postrider-payload-'));
const opened: Link[] = [];
const servers: NatsServer[] = [];

async function serverWith(payloadMax: number): Promise<NatsServer> {
  const nats = await startNats({ payloadMax });
  servers.push(nats);
  return nats;
}

async function linkTo(nats: NatsServer): Promise<Link> {
  const link = await connectLink({ url: nats.url, service: 'test' });
  opened.push(link);
  return link;
}

function start(service: 'queue' | 'resolver' | 'delivery', nats: NatsServer) {
  return startLone({
    service,
    folder,
    configText: 'nats: { spoolSizeMax: 1 GiB }\n',
    env: { NATS_URL: nats.url },
  });
}

afterEach(async () => {
  for (const link of opened.splice(0)) await link.close();
  for (const nats of servers.splice(0)) await nats.stop();
});

afterAll(() => rmSync(folder, { recursive: true }));

describe('A message that is larger than the server takes', () => {
  test('is not sent, which its sender hears at once, and the link goes on', async () => {
    const link = await linkTo(await serverWith(FLOOR));
    const told: OversizedMessage[] = [];
    link.onOversized((message) => told.push(message));
    const heard: number[] = [];
    link.subscribe('some.where', ({ data }) => heard.push(data.length));
    const headers = { 'X-Some': 'x'.repeat(10_000) };
    const almost = Buffer.alloc(FLOOR - 5000);
    expect(link.publish('some.where', Buffer.alloc(FLOOR + 1))).toBe(false);
    expect(link.publishRecord('some.where', almost, headers)).toBe(false);
    expect(
      await link.askRecord({ subject: 'some.where', payload: almost, headers, timeoutMs: 1000 }),
    ).toEqual({
      kind: 'too-big',
    });
    expect(await link.request('some.where', Buffer.alloc(FLOOR + 1), 1000)).toEqual({ kind: 'too-big' });
    const options = { expected: 1, timeoutMs: 1000 };
    expect(await link.scatter('some.where', Buffer.alloc(FLOOR + 1), options)).toEqual([]);
    expect(link.publish('some.where', Buffer.alloc(FLOOR))).toBe(true);
    await waitUntil(() => heard.length === 1, 5000);
    expect(heard).toEqual([FLOOR]);
    expect(told.map(({ kind }) => kind)).toEqual(['some', 'some', 'some', 'some', 'some']);
    expect(told[0]).toEqual({ kind: 'some', octets: FLOOR + 1, payloadMax: FLOOR });
    await link.close();
    expect(link.publish('some.where', Buffer.alloc(1))).toBe(false);
  });

  test('is no record, alone or among others, and none of these is stored', async () => {
    const link = await linkTo(await serverWith(FLOOR));
    await provision(link, { partitions: 1, spoolStreams: 1, replicas: 1, spoolSizeMax: 1024 ** 3 });
    const writer = new RecordWriter(link);
    const subject = subjects.store(0);
    // Small enough without its headers.
    const payload = Buffer.alloc(FLOOR - 100);
    const headers = { 'X-Some': 'x'.repeat(200) };
    const record = { subject, payload, id: '', headers };
    expect(await writer.store({ ...record, giveUpAfterMs: 5000 })).toEqual({ kind: 'too-big' });
    const small = { subject, payload: Buffer.from('small'), id: '' };
    const batch = writer.storeAtomically([small, record, small], { giveUpAfterMs: 5000 });
    expect(await batch).toEqual({ kind: 'too-big' });
    const stored = await writer.store({ ...small, giveUpAfterMs: 5000 });
    expect(stored).toMatchObject({ kind: 'stored', sequence: 1 });
  });

  test('is measured by the server that is there now', async () => {
    const nats = await serverWith(1024 * KIB);
    const link = await linkTo(nats);
    let isBack = false;
    link.onReconnected(() => {
      isBack = true;
    });
    expect(link.publish('some.where', Buffer.alloc(300 * KIB))).toBe(true);
    await nats.kill('SIGKILL');
    await nats.restart(FLOOR);
    await waitUntil(() => isBack, 10_000);
    expect(link.payloadMax).toBe(FLOOR);
    expect(link.publish('some.where', Buffer.alloc(300 * KIB))).toBe(false);
  });
});

describe('A server that takes too little', () => {
  const words = "nats-server's max_payload is 65536 octets, needed are at least 262144";

  test.each(['queue', 'resolver', 'delivery'] as const)(
    'is refused in words at the start of a service: %s',
    async (name) => {
      const service = start(name, await serverWith(64 * KIB));
      expect(await service.ended).toBe('code 1');
      expect(service.lines().map(({ msg }) => msg)).toContain(words);
    },
    MINUTE,
  );

  test(
    'makes a service not ready when it meets it at a reconnect, and it lives on',
    async () => {
      const nats = await serverWith(1024 * KIB);
      const service = start('queue', nats);
      await service.ready;
      await nats.kill('SIGKILL');
      await nats.restart(64 * KIB);
      const said = () => service.lines().map(({ msg, reason }) => `${msg}: ${reason}`);
      await waitUntil(() => said().includes(`not ready: ${words}`), 20_000);
      await nats.kill('SIGKILL');
      await nats.restart(1024 * KIB);
      await waitUntil(() => said().includes('ready again: undefined'), 20_000);
      service.child.kill('SIGTERM');
      expect(await service.ended).toBe('code 0');
    },
    MINUTE,
  );
});
