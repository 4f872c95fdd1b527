import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { Cluster } from '#kit/cluster.ts';
import { LOCAL, Stage } from '#kit/cluster-stage.ts';
import { SmtpClient } from '#kit/load-client.ts';
import { type SmtpSink, startSmtpSink } from '#kit/smtp-sink.ts';

const MIB = 1024 ** 2;
const SITES = 128;
/** As many as one owner sends to a site that has said nothing yet. */
const MAILS = 64;
const RECIPIENTS = 40_000;

let cluster: Cluster | undefined;
let stage: Stage | undefined;
let sink: SmtpSink | undefined;
let folder = '';

afterEach(async () => {
  await Promise.all([cluster?.stop(), stage?.close()]);
  await sink?.close();
  if (folder !== '') rmSync(folder, { recursive: true, force: true });
  [cluster, stage, sink, folder] = [undefined, undefined, undefined, ''];
}, 60_000);

/** A socket under very many names, as long as a socket's may be: each is a site. */
function sockets(): string[] {
  folder = mkdtempSync(join(tmpdir(), 'postrider-'));
  const names = Array.from({ length: SITES }, (_, i) => join(folder, `${i}-`).padEnd(104, 's'));
  for (const name of names) symlinkSync(join(folder, 'lmtp'), name);
  return names;
}

describe('An owner that is killed with more attempts out than fit in a message of the server', () => {
  test('is replaced by one that hears of all of them from their worker: nothing is delivered twice', async () => {
    const names = sockets();
    const host = await startSmtpSink({ protocol: 'lmtp', unixPath: join(folder, 'lmtp') });
    sink = host;
    host.hold();
    const running = await Cluster.start({
      config: {
        nats: { partitions: 1 },
        delivery: { siteConnectionsMax: 1 },
        routes: names.map((name, i) => ({ domain: `s${i}.test`, transport: 'lmtp', to: `unix:${name}` })),
      },
      natsStore: { payloadMax: MIB },
    });
    cluster = running;
    const forwardPaths = names.map((_, i) => `r@s${i}.test`);
    const client = await SmtpClient.open(running.smtpPort());
    const data = Buffer.from('Subject: one of many\r\n\r\nhello\r\n');
    for (let i = 0; i < MAILS; i++) {
      const { last } = await client.send({ reversePath: 'a@client.test', forwardPaths, data });
      expect(last.code).toBe(250);
    }
    await client.quit();
    const areOut = async () =>
      (await running.sumOf('queue', 'postrider_queue_attempts')) === MAILS * SITES ? true : undefined;
    await running.until('all attempts to be out', areOut);
    await running.kill('queue');
    await running.restart('queue');
    await running.until('the next owner to have them', areOut, 30_000);
    host.release();
    const settled = async () =>
      (await running.sumOf('queue', 'postrider_queue_mails')) === 0 ? true : undefined;
    await running.until('an empty queue', settled, 60_000);
    expect([host.timesTaken.size, new Set(host.timesTaken.values())]).toEqual([MAILS, new Set([SITES])]);
  }, 120_000);
});

describe('A mail for very many recipients at one host, which refuses every other one with many words', () => {
  test('is delivered once to the others, its worker lives, and the rest is reported', async () => {
    const opened = await Stage.open({ config: { limits: { recipientsMax: 50_000 } } });
    stage = opened;
    const worker = opened.cluster.process('delivery');
    const to = Array.from({ length: RECIPIENTS }, (_, i) =>
      i % 2 === 0 ? `r${i}@sink.test` : `550-words-${i}@sink.test`,
    );
    await opened.send({ to, reversePath: `alice@${LOCAL}` });
    const reported = () => {
      if (!worker.running) throw new Error('the worker is dead');
      return opened.maildir('alice').length > 0 ? true : undefined;
    };
    await opened.cluster.until('the report', reported, 60_000);
    await opened.settled(30_000);
    expect(opened.sink.mails.map(({ forwardPaths }) => forwardPaths.length)).toEqual([RECIPIENTS / 2]);
    const reports = opened.maildir('alice').map((report) => report.toString('latin1'));
    const failed = reports.flatMap((report) => [...report.matchAll(/^Final-Recipient: rfc822; (\S+)\r$/gm)]);
    expect(failed.length).toBe(RECIPIENTS / 2);
  }, 120_000);
});
