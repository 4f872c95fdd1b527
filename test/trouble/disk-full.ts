// The disk of nats-server is full below the max_bytes of its streams, beside a steady load: what clients hear and when, whether mail
// that is in goes on, and what comes back by itself once there is room, and once nats-server was started again. Needs root.
// Fails: who is not root is refused with words.
import { createWriteStream, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { RawClient } from '#kit/raw-client.ts';
import { SmallDisk } from '#kit/small-disk.ts';
import { measure } from './steady-load.ts';
import { TroubleStage } from './trouble-stage.ts';

const DISK_OCTETS = 96 * 1024 ** 2;
const LOOK_MS = 100;
const HEARD_WITHIN_MS = 60_000;

export interface DiskFullOptions {
  seconds: number;
  say: (line: string) => void;
}

export async function diskFull({ seconds, say }: DiskFullOptions): Promise<void> {
  say('\ndisk-full: a disk of 96 MiB below streams of 1 GiB is filled by somebody else');
  const disk = SmallDisk.mount(DISK_OCTETS);
  try {
    const stage = await TroubleStage.open({
      spoolSizeMax: '1 GiB',
      natsStore: { parentFolder: disk.folder },
    });
    try {
      await onDisk(stage, disk, { seconds, say });
    } finally {
      await stage.close();
    }
  } finally {
    disk.unmount();
  }
}

async function onDisk(
  stage: TroubleStage,
  disk: SmallDisk,
  { seconds, say }: DiskFullOptions,
): Promise<void> {
  const sender = stage.offer({ domain: 'healthy.test', perSecond: 100, octets: 4096 });
  await stage.other.ask('refuse');
  const waiting = stage.offer({ domain: 'grey.test', local: 'w', perSecond: 100, octets: 2048, mails: 200 });
  await stage.cluster.until('mail that waits', () => (waiting.accepted.size === 200 ? true : undefined));
  const show = async (words: string) => {
    const { acceptedPerSecond, deliveredPerSecond, troubles } = await measure(sender, stage.healthy, seconds);
    say(
      `  ${words}: accepted ${acceptedPerSecond.toFixed(1)}/s, delivered ${deliveredPerSecond.toFixed(1)}/s, put off ${troubles}`,
    );
  };
  await show('before');
  const junk = join(disk.folder, 'junk');
  fill(disk, junk);
  const heard = await untilHeard(stage.cluster.smtpPort());
  say(`  full: ${heard.replies.join('; ')}; 452 at MAIL after ${heard.afterS.toFixed(1)} s`);
  await stage.other.ask('accept');
  await show('while it is full');
  say(`  mail that waited before: ${await stage.other.ask('taken')} of 200 delivered while it is full`);
  rmSync(junk);
  await show('with room again');
  await stage.cluster.nats.kill('SIGTERM');
  await stage.cluster.nats.restart();
  await pause(3000);
  await show('nats-server started again');
  await stage.quiet(15_000);
  await pause(10_000);
  const missing = await stage.healthy.missing([...sender.accepted.keys()]);
  const arrivals = await stage.healthy.ask('arrivals');
  const twice = arrivals.filter(({ times }) => times > 1).length;
  const waited = await stage.other.missing([...waiting.accepted.keys()]);
  const known = (token: string) =>
    sender.accepted.has(token) || sender.refused.has(token) || sender.unknown.has(token);
  say(
    `  at the end: accepted ${sender.accepted.size}, of them missing ${missing.length}; twice ${twice}; of 200 that waited missing ${waited.length}; ` +
      `put off after their data ${sender.refused.size}; strangers ${arrivals.filter(({ token }) => !known(token)).length}`,
  );
}

/** To the last octet, and on: what somebody frees is taken, too. */
function fill(disk: SmallDisk, junk: string): void {
  const { bavail, bsize } = statfsSync(disk.folder);
  try {
    writeFileSync(junk, Buffer.alloc(bavail * bsize));
  } catch {
    // There was less, by now.
  }
  const rest = createWriteStream(`${junk}`, { flags: 'a' });
  rest.on('error', () => undefined);
  rest.end(Buffer.alloc(1024 ** 2));
}

/** What clients hear until 452 comes at MAIL: each kind of reply to a whole mail, with how often. */
async function untilHeard(port: number): Promise<{ replies: string[]; afterS: number }> {
  const startedAtMs = performance.now();
  const kinds = new Map<string, number>();
  for (;;) {
    const client = await RawClient.greeted(port);
    const reply = await client.say('MAIL FROM:<s@a.example>');
    client.close();
    const kind = reply.slice(0, 9);
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
    const afterS = (performance.now() - startedAtMs) / 1000;
    if (reply.startsWith('452') || afterS * 1000 > HEARD_WITHIN_MS) {
      return { replies: [...kinds].map(([text, count]) => `${text} ${count} times`), afterS };
    }
    await pause(LOOK_MS);
  }
}
