import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, describe, expect, test } from '@jest/globals';
import { LOCAL, Stage } from '#kit/cluster-stage.ts';
import { ConnectionLost, type SmtpClient } from '#kit/load-client.ts';
import { SmallDisk } from '#kit/small-disk.ts';
import { callApi } from '#libs/nats/api.ts';
import { connectLink } from '#libs/nats/link.ts';

const MIB = 1024 ** 2;
/** Refusals in a row, a tenth of a second between them, after which nothing more goes in. */
const REFUSALS = 20;

let stage: Stage | undefined;
let disk: SmallDisk | undefined;
const clients: SmtpClient[] = [];

afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  await stage?.close();
  disk?.unmount();
  [stage, disk] = [undefined, undefined];
}, 60_000);

async function open(opened: Stage): Promise<SmtpClient> {
  const client = await opened.client();
  clients.push(client);
  return client;
}

/** Sends one mail of so many octets; the last reply. */
async function send(client: SmtpClient, mail: { from: string; to: string; octets: number }) {
  const line = `${'x'.repeat(98)}\r\n`;
  const data = Buffer.from(`Subject: fills\r\n\r\n${line.repeat(Math.ceil(mail.octets / 100))}`);
  const { last } = await client.send({ reversePath: mail.from, forwardPaths: [mail.to], data });
  if (!/^[23]/.test(last.text)) await client.command('RSET');
  return last;
}

/** Sends one mail of so many octets over a connection of its own; whether it was taken. */
async function isTaken(opened: Stage, mail: { from: string; to: string; octets: number }): Promise<boolean> {
  const client = await opened.client();
  const { code } = await send(client, mail);
  client.destroy();
  return code === 250;
}

/** Sends mails that wait, large ones and then small ones, until nothing more goes in; how many were taken. */
async function fill(opened: Stage): Promise<number> {
  let taken = 0;
  for (const octets of [50_000, 1000]) {
    for (let refused = 0; refused < REFUSALS; ) {
      if (await isTaken(opened, { from: `alice@${LOCAL}`, to: '450@sink.test', octets })) {
        taken += 1;
        refused = 0;
      } else {
        refused += 1;
        await pause(100);
      }
    }
  }
  return taken;
}

interface StreamInfo {
  config: object;
  state: { messages: number };
}

/** Asks for a stream, and changes its configuration when `change` says how. */
async function infoOf(opened: Stage, stream: string, change?: object): Promise<StreamInfo> {
  const link = await connectLink({ url: opened.cluster.nats.url, service: 'test' });
  const info = await callApi<StreamInfo>(link, `STREAM.INFO.${stream}`, undefined, 3000);
  if (info.kind !== 'ok') throw new Error(`no ${stream}: ${info.kind}`);
  if (change !== undefined) {
    const changed = { ...info.value.config, ...change };
    expect((await callApi(link, `STREAM.UPDATE.${stream}`, changed, 3000)).kind).toBe('ok');
  }
  await link.close();
  return info.value;
}

const leaveNoRoom = (opened: Stage, stream: string) => infoOf(opened, stream, { max_bytes: 64 });

describe('SPOOL that is full of mail that waits and cannot move to STORE, which is full, too', () => {
  test('gets room when that expires: it is reported, and mail for others is taken and arrives', async () => {
    const opened = await Stage.open({
      config: {
        nats: { spoolSizeMax: '2 MiB', partitions: 4 },
        // Packs are kept for so long and 15 s.
        limits: { commitWaitMax: '2 s' },
        retry: { schedule: ['2 s'], delayWarningAfter: '10 s', expireAfter: '10 s' },
      },
    });
    stage = opened;
    await leaveNoRoom(opened, 'STORE_0');
    const taken = await fill(opened);
    expect(taken).toBeGreaterThan(20);
    const others = { from: 'other@client.test', to: 'good@sink.test', octets: 1000 };
    const areTaken = async () => ((await isTaken(opened, others)) ? true : undefined);
    await opened.cluster.until('mail for others to be taken', areTaken, 60_000);
    await opened.relayed(1);
    await opened.delivered('alice', taken, 30_000);
    await opened.settled(30_000);
    expect([opened.maildir('alice').length, opened.sink.taken]).toEqual([taken, 1]);
  }, 150_000);
});

/** Sends mails for a host that defers each once, until one is not taken; its reply. */
async function untilRefused(opened: Stage, session: number): Promise<string> {
  const client = await open(opened);
  for (let i = 0; i < 1000; i++) {
    const mail = { from: `s${i}.${session}@client.test`, to: 'greylist@sink.test', octets: 60_000 };
    const { code, text } = await send(client, mail);
    if (code !== 250) return text;
  }
  throw new Error('the disk has no end');
}

const aboutDisk = () => {
  test('is told at once, and when it has room again nothing stays behind', async () => {
    const small = SmallDisk.mount(48 * MIB);
    disk = small;
    const opened = await Stage.open({
      config: { nats: { spoolSizeMax: '1 GiB', partitions: 4 }, retry: { schedule: ['2 s'] } },
      natsStore: { parentFolder: small.folder },
    });
    stage = opened;
    const { cluster } = opened;
    writeFileSync(join(small.folder, 'junk'), Buffer.alloc(32 * MIB));
    const refused = Promise.all([0, 1, 2, 3].map((session) => untilRefused(opened, session)));
    const client = await open(opened);
    const heard = async () => {
      const { text } = await client.command('MAIL FROM:<a@client.test>');
      await client.command('RSET');
      return text.startsWith('452 4.3.1 ') ? true : undefined;
    };
    await cluster.until('clients to be told', heard, 25_000);
    // What was on its way when the disk was full may be stored, for all that anybody knows.
    for (const text of await refused) expect(text).toMatch(/^45[12] 4\.3\.[01] /);
    rmSync(join(small.folder, 'junk'));
    await cluster.nats.kill('SIGKILL');
    await cluster.nats.restart();
    await cluster.until(
      'mail to be taken',
      async () => {
        const sent = await opened
          .attempt({ to: 'good@sink.test' })
          .catch((error) => (error instanceof ConnectionLost ? undefined : Promise.reject(error)));
        return sent?.last.code === 250 ? true : undefined;
      },
      30_000,
    );
    // What was to be removed while the disk was full.
    const isEmpty = async () => ((await infoOf(opened, 'STORE_0')).state.messages === 0 ? true : undefined);
    await cluster.until('nothing left in STORE_0', isEmpty, 40_000);
    await opened.settled();
  }, 150_000);
};

// Only root can mount one.
if (process.getuid?.() === 0) describe('A disk that is full below the limits of the streams', aboutDisk);
