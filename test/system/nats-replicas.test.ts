// A NATS cluster of three with three copies of everything: servers die and are restarted under load, and every mail arrives once.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { stringify } from 'yaml';
import { Cluster } from '#kit/cluster.ts';
import { type Ledger, ledgerOf, ledgerText } from '#kit/load-ledger.ts';
import { LoadSender } from '#kit/load-sender.ts';
import { LoadSink, SINK_ADDRESSES, type TokenArrivals } from '#kit/load-sink-process.ts';
import { NatsCluster } from '#kit/nats-cluster.ts';
import { type SmtpSink, startSmtpSink } from '#kit/smtp-sink.ts';
import { callApi } from '#libs/nats/api.ts';
import { connectLink, type Link } from '#libs/nats/link.ts';
import { run } from '../../services/console/command-line.ts';

jest.setTimeout(120_000);

const PER_SECOND = 40;
/** Every so many-th mail is deferred once: its state and its data are stored. */
const DEFERRED_EVERY = 4;
/** So long that nothing waits for the dead to come back. */
const DEAD_MS = 7000;
const nats = { replicas: 3, spoolStreams: 3, spoolSizeMax: '256 MiB' };
const folder = mkdtempSync(join(tmpdir(), 'postrider-replicas-'));

let servers: NatsCluster;
let link: Link;
let cluster: Cluster;
let sink: LoadSink;
let deferring: SmtpSink;

async function provision(settings: Record<string, unknown>): Promise<string> {
  const config = join(folder, 'provision.yaml');
  writeFileSync(config, stringify({ nats: { ...settings, url: servers.url } }));
  let out = '';
  const say = (text: string) => {
    out += text;
  };
  const words = ['node', 'postrider', 'provision', '--config', config];
  expect([await run(words, { env: {}, out: say, err: say, now: Date.now }), out]).toEqual([0, out]);
  return out;
}

interface Placement {
  leader: string;
  replicas: { name: string; current: boolean }[];
}

async function placementOf(stream: string): Promise<Placement> {
  return cluster.until(`a leader of ${stream}`, async () => {
    const info = await callApi<{ cluster: Placement }>(link, `STREAM.INFO.${stream}`, undefined, 1000);
    return info.kind === 'ok' && info.value.cluster.leader ? info.value.cluster : undefined;
  });
}

beforeAll(async () => {
  servers = await NatsCluster.start();
  // Streams that begin with one copy get two more.
  await provision({ ...nats, replicas: 1 });
  expect(await provision(nats)).toMatch(
    /^(waiting: .*\n|.* changed: (num_replicas 1 -> 3|storage file -> memory)\n)+$/,
  );
  link = await connectLink({ url: servers.url, service: 'test' });
  [sink, deferring] = [await LoadSink.start({ answerAfterMs: 5 }), await startSmtpSink()];
  cluster = await Cluster.start({
    instances: { queue: 2, delivery: 2 },
    nats: { url: servers.url },
    config: {
      nats: { ...nats, provision: 'check' },
      routes: [
        ...SINK_ADDRESSES.map((address, i) => ({ domain: `sink${i}.test`, to: `${address}:${sink.port}` })),
        { domain: '.defer.test', to: `127.0.0.1:${deferring.port}` },
      ],
      retry: { schedule: ['1 s', '2 s'] },
    },
  });
});

afterAll(async () => {
  await cluster?.stop();
  await link?.close();
  await sink?.stop();
  await deferring?.close();
  await servers?.stop();
  rmSync(folder, { recursive: true });
});

/** Mail that arrives, while a server may be away. */
async function untilMailFlows(): Promise<void> {
  const before = await sink.ask('taken');
  const flows = async () => ((await sink.ask('taken')) > before ? true : undefined);
  await cluster.until('mail flows', flows, 30_000);
}

/** What both sinks got of these mails. */
async function arrivalsOf(prefix: string): Promise<TokenArrivals[]> {
  const arrivals = await sink.ask('arrivals');
  const deferred = new Map<string, TokenArrivals>();
  for (const { data, queueId } of deferring.mails) {
    const token = /^X-Token: (\S+)/m.exec(data.toString('latin1', 0, 4096))?.[1] ?? '';
    const before = deferred.get(token) ?? { token, times: 0, queueIds: [] };
    deferred.set(token, { token, times: before.times + 1, queueIds: [...before.queueIds, queueId] });
  }
  return [...arrivals, ...deferred.values()].filter(({ token }) => token.startsWith(prefix));
}

/** The ledger when all that was accepted has arrived and the queue is empty, or when that takes too long. */
async function settledLedger(sender: LoadSender, prefix: string): Promise<Ledger> {
  const untilMs = performance.now() + 40_000;
  for (;;) {
    const ledger = ledgerOf(sender, await arrivalsOf(prefix), new Map());
    const waiting = await cluster.sumOf('queue', 'postrider_queue_mails');
    if ((ledger.lost.length === 0 && waiting === 0) || performance.now() > untilMs) return ledger;
    await pause(200);
  }
}

/** Sends while `disturb` runs; then everything must have arrived once. */
async function underLoad(prefix: string, disturb: () => Promise<void>): Promise<void> {
  await sink.ask('latencies');
  const sender = new LoadSender({
    ports: [cluster.smtpPort()],
    sessions: 20,
    mails: Number.POSITIVE_INFINITY,
    octets: 2048,
    perSecond: PER_SECOND,
    tokenPrefix: prefix,
    forwardPath: (mail) =>
      mail % DEFERRED_EVERY === 0 ? `450-then-250@${prefix}${mail}.defer.test` : `r@sink${mail % 8}.test`,
  });
  const sending = sender.run();
  await Promise.race([untilMailFlows().then(disturb), sending]);
  await untilMailFlows();
  sender.stop();
  await sending;
  const ledger = await settledLedger(sender, prefix);
  const longestMs = Math.max(...(await sink.ask('latencies')));
  process.stdout.write(`${prefix}: ${ledger.accepted} accepted, a quarter of them deferred once, `);
  process.stdout.write(`longest delay ${(longestMs / 1000).toFixed(1)} s, refused ${ledger.refused}\n`);
  if (ledger.lost.length > 0 || ledger.duplicates > 0 || ledger.strangers.length > 0) {
    throw new Error(`${ledgerText(ledger)}\n${cluster.logTails()}`);
  }
  expect(longestMs).toBeLessThan(40_000);
}

describe('With three copies', () => {
  test('kill -9 of the leaders of SPOOL_0 and of QUEUE loses nothing and sends nothing twice', async () => {
    await underLoad('kill', async () => {
      for (const stream of ['SPOOL_0', 'QUEUE']) {
        const server = servers.named((await placementOf(stream)).leader);
        await server.kill('SIGKILL');
        await pause(DEAD_MS);
        await server.restart();
        await untilMailFlows();
      }
    });
  });

  test('a rolling restart of all servers loses nothing and sends nothing twice', async () => {
    await underLoad('rolling', async () => {
      for (const server of servers.servers) {
        await server.kill('SIGUSR2');
        await server.restart();
        await pause(500);
      }
    });
  });
});
