// Ingress with several SPOOL and STORE streams on a real nats-server: how mail is spread, what happens when one is full, what is
// kept free, and what clients hear when the disk is full.
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, test } from '@jest/globals';
import { IngressRig, until } from '#kit/ingress-rig.ts';
import { RawClient } from '#kit/raw-client.ts';
import { waitUntil } from '#kit/wait-until.ts';
import { callApi } from '#libs/nats/api.ts';

const to = ['user@local.example'];
const MIB = 1024 ** 2;
const WITHOUT_ROOM_MS = 20_000;
let rig: IngressRig | undefined;
const clients: RawClient[] = [];

afterEach(async () => {
  for (const one of clients.splice(0)) one.close();
  await rig?.stop();
  rig = undefined;
}, 60_000);

async function started(options: Parameters<typeof IngressRig.start>[0]): Promise<RawClient> {
  rig = await IngressRig.start({ spoolStreams: 2, ...options });
  rig.resolve();
  const [listener] = await rig.ingress({ limits: { commitWaitMax: '12 s' } });
  return another(listener!.port!);
}

async function another(port: number): Promise<RawClient> {
  const made = await RawClient.greeted(port);
  clients.push(made);
  return made;
}

async function state(stream: string): Promise<{ messages: number; bytes: number }> {
  const info = await callApi<{ state: { messages: number; bytes: number } }>(
    rig!.link,
    `STREAM.INFO.${stream}`,
    undefined,
    3000,
  );
  if (info.kind !== 'ok') throw new Error(`${stream} has no state`);
  return info.value.state;
}

/** Fills the stream until nothing more goes in; true once it is full. */
async function fill(subject: string): Promise<void> {
  for (let octets = 500_000; octets > 100; ) {
    const answer = await rig!.link.askRecord({
      subject,
      payload: randomBytes(octets),
      timeoutMs: 3000,
    });
    const text = answer.kind === 'answer' ? Buffer.from(answer.record.data).toString() : answer.kind;
    if (text.includes('error')) octets = Math.floor(octets / 4);
  }
}

/** Sends mails one after the other until one is refused; the replies. */
async function send(client: RawClient, mails: number, octets: number): Promise<string[]> {
  const data = `${'x'.repeat(octets - 2)}\r\n`;
  const replies: string[] = [];
  while (replies.length < mails && (replies.at(-1) ?? '250').startsWith('250')) {
    replies.push(await client.send({ to, data }));
  }
  return replies;
}

const accepted = (replies: string[]) => replies.filter((reply) => reply.startsWith('250')).length;

describe('Two streams', () => {
  test('get as much mail each when one client sends one mail after the other', async () => {
    const client = await started({});
    expect(accepted(await send(client, 200, 500))).toBe(200);
    expect([(await state('SPOOL_0')).messages, (await state('SPOOL_1')).messages]).toEqual([100, 100]);
  }, 60_000);

  test('of which one is full take all mail that is offered', async () => {
    const client = await started({ spoolSizeMax: 8 * MIB });
    await fill('spool.0');
    const replies = await send(client, 400, 4096);
    expect(accepted(replies)).toBeGreaterThanOrEqual(380);
    expect((await state('SPOOL_1')).messages).toBeGreaterThanOrEqual(380);
  }, 60_000);

  test('of which one STORE stream is full take large mail, too', async () => {
    const client = await started({ spoolSizeMax: 8 * MIB });
    await fill('store.0');
    const data = `${'x'.repeat(998)}\r\n`.repeat(1500);
    for (let i = 0; i < 3; i++) expect(await client.send({ to, data })).toMatch(/^250 /);
    expect((await state('STORE_1')).messages).toBeGreaterThanOrEqual(9);
  }, 60_000);
});

describe('Room that clients cannot use', () => {
  test('is left when all streams are above their mark: 452 at MAIL, and the queue still stores', async () => {
    const client = await started({ spoolSizeMax: 2 * MIB });
    const replies = await send(client, 80, 64 * 1024);
    expect(replies.at(-1)).toMatch(/^452 4\.3\.1 /);
    expect(await client.say('MAIL FROM:<s@a.example>')).toMatch(/^452 4\.3\.1 /);
    for (const k of [0, 1]) {
      const { bytes } = await state(`SPOOL_${k}`);
      expect(bytes / (2 * MIB)).toBeGreaterThan(0.75);
      expect(bytes / (2 * MIB)).toBeLessThan(0.9);
    }
    const report = { subject: 'spool.0', payload: randomBytes(100_000), timeoutMs: 3000 };
    const answer = await rig!.link.askRecord(report);
    expect(answer.kind === 'answer' && Buffer.from(answer.record.data).toString()).toMatch(/"seq"/);
    expect(await rig!.metric('postrider_ingress_stream_closed', 'reason="mark"')).toBe(2);
    await callApi(rig!.link, 'STREAM.PURGE.SPOOL_1', undefined, 3000);
    await until(async () => (await client.say('MAIL FROM:<s@a.example>')).startsWith('250'));
    await client.say('RSET');
    expect(accepted(await send(client, 5, 1000))).toBe(5);
  }, 60_000);

  test('is no more than that when nothing can move to STORE: SPOOL takes mail up to its own mark', async () => {
    const client = await started({ spoolSizeMax: 2 * MIB });
    for (const k of [0, 1]) await fill(`store.${k}`);
    await until(async () => (await rig!.metric('postrider_ingress_stream_closed', 'reason="mark"')) === 2);
    const replies = await send(client, 80, 64 * 1024);
    expect(accepted(replies)).toBeGreaterThan(40);
    expect(replies.at(-1)).toMatch(/^452 4\.3\.1 /);
  }, 60_000);
});

/** A small disk of its own; undefined where nothing may be mounted. */
function smallDisk(): string | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'postrider-disk-'));
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=48m', 'tmpfs', folder]);
  return mounted.status === 0 ? folder : undefined;
}

const disk = smallDisk();

afterAll(() => {
  if (disk === undefined) return;
  spawnSync('umount', [disk]);
  rmSync(disk, { recursive: true, force: true });
});

const aboutSmallDisk = () => {
  test('is told with 452 to everybody, and over when its server is started again with room', async () => {
    writeFileSync(join(disk!, 'junk'), Buffer.alloc(40 * MIB));
    const client = await started({ parentFolder: disk!, spoolStreams: 1 });
    const port = client.socket.remotePort!;
    const many = await Promise.all(Array.from({ length: 6 }, () => another(port)));
    const heard = Promise.all(many.map((one) => send(one, 60, 60_000)));
    await waitUntil(
      async () => (await client.say('MAIL FROM:<s@a.example>', 'RSET')).startsWith('452 4.3.1'),
      WITHOUT_ROOM_MS,
    );
    expect(await rig!.metric('postrider_ingress_stream_closed', 'reason="silent"')).toBe(1);
    const replies = (await heard).flat();
    // Those of the pack that was on its way, too: it may have been stored.
    expect(replies.filter((reply) => !/^(250|452 4\.3\.1) /.test(reply))).toEqual([]);
    rmSync(join(disk!, 'junk'));
    await rig!.nats.kill('SIGKILL');
    await rig!.nats.restart();
    await until(async () => (await client.send({ to, data: 'x\r\n' })).startsWith('250'));
  }, 90_000);
};
// Where nothing may be mounted there is no such disk.
if (disk !== undefined) describe('A disk that is full below max_bytes', aboutSmallDisk);
