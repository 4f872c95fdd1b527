// What even filling costs ingress: packs per second, mails per pack and processor time per mail, beside the services of another
// commit, in turn, each repeat in the other order.
// Fails: what does not start rejects.

import { setTimeout as pause } from 'node:timers/promises';
import { Cluster } from '#kit/cluster.ts';
import { readMetric } from '#kit/cluster-metrics.ts';
import { LoadSender } from '#kit/load-sender.ts';
import { LoadSink } from '#kit/load-sink-process.ts';
import { processTimes } from '../bench/processor-time.ts';
import { median, table } from '../bench/statistics.ts';

const LOADS: readonly { words: string; perSecond?: number; sessions: number }[] = [
  { words: '100/s', perSecond: 100, sessions: 20 },
  { words: '1000/s', perSecond: 1000, sessions: 50 },
  { words: 'as fast as it goes', sessions: 50 },
];
const REPEATS = 4;
const OCTETS = 4096;
const WARM_UP_S = 3;
/** Counters are handed on once a second. */
const HANDED_ON_MS = 1200;

interface Reading {
  mails: number;
  packs: number;
  cpuS: number;
  atMs: number;
}

interface Side {
  name: string;
  cluster: Cluster;
  rows: Map<string, { packsPerSecond: number; mailsPerSecond: number; perPack: number; cpuUs: number }[]>;
}

export interface PackRatesOptions {
  seconds: number;
  otherRoot: string;
  say: (line: string) => void;
  spoolStreams?: number;
}

export async function packRates({ seconds, otherRoot, say, spoolStreams = 2 }: PackRatesOptions) {
  say(`\npacks: ${spoolStreams} SPOOL streams`);
  const sink = await LoadSink.start();
  const sides: Side[] = [];
  try {
    for (const [name, root] of [
      ['before', otherRoot],
      ['now', undefined],
    ] as const) {
      const config = {
        routes: [{ domain: 'healthy.test', to: `127.0.0.1:${sink.port}` }],
        nats: { spoolStreams, spoolSizeMax: '2 GiB' },
        telemetry: { logLevel: 'warn' as const },
      };
      const cluster = await Cluster.start({ config, ...(root !== undefined && { root }) });
      sides.push({ name, cluster, rows: new Map() });
    }
    for (const load of LOADS) {
      for (const side of sides) await run(side, sink, { ...load, seconds: WARM_UP_S });
      for (let repeat = 0; repeat < REPEATS; repeat++) {
        for (const side of repeat % 2 === 0 ? sides : [...sides].reverse()) {
          const row = await run(side, sink, { ...load, seconds });
          side.rows.set(load.words, [...(side.rows.get(load.words) ?? []), row]);
        }
      }
    }
    say(tableOf(sides));
  } finally {
    for (const { cluster } of sides) await cluster.stop();
    await sink.stop();
  }
}

async function run(
  { cluster }: Side,
  sink: LoadSink,
  { seconds, perSecond, sessions }: { seconds: number; perSecond?: number; sessions: number },
) {
  const sender = new LoadSender({
    ports: [cluster.smtpPort()],
    sessions,
    mails: 1_000_000,
    octets: OCTETS,
    tokenPrefix: `p${performance.now()}`,
    forwardPath: (mail) => `r${mail}@healthy.test`,
    ...(perSecond !== undefined && { perSecond }),
  });
  const taken = await sink.ask('taken');
  const before = await read(cluster);
  const ended = sender.run();
  await pause(seconds * 1000);
  sender.stop();
  const tookS = (performance.now() - before.atMs) / 1000;
  await ended;
  await cluster.until('all mails to arrive', async () =>
    (await sink.ask('taken')) - taken >= sender.accepted.size ? true : undefined,
  );
  await pause(HANDED_ON_MS);
  const after = await read(cluster);
  const [mails, packs] = [after.mails - before.mails, after.packs - before.packs];
  return {
    packsPerSecond: packs / tookS,
    mailsPerSecond: mails / tookS,
    perPack: mails / packs,
    cpuUs: ((after.cpuS - before.cpuS) * 1e6) / mails,
  };
}

async function read(cluster: Cluster): Promise<Reading> {
  const url = cluster.metricsUrl('ingress');
  const [mails = 0, packs = 0] = await Promise.all([
    readMetric(url, 'postrider_ingress_mails_accepted_total'),
    readMetric(url, 'postrider_ingress_pack_mails_count'),
  ]);
  const cpuS = processTimes(cluster.process('ingress').pid!)?.ownS ?? 0;
  return { mails, packs, cpuS, atMs: performance.now() };
}

function tableOf(sides: readonly Side[]): string {
  const head = [
    'load',
    'services',
    'mails/s',
    'packs/s',
    'mails per pack',
    'ingress us per mail',
    'from - to',
  ];
  const rows = LOADS.flatMap(({ words }) =>
    sides.map(({ name, rows: all }) => {
      const runs = all.get(words) ?? [];
      const middle = (of: (row: (typeof runs)[number]) => number) => median(runs.map(of));
      const cpu = runs.map(({ cpuUs }) => cpuUs);
      return [
        words,
        name,
        middle(({ mailsPerSecond }) => mailsPerSecond).toFixed(0),
        middle(({ packsPerSecond }) => packsPerSecond).toFixed(0),
        middle(({ perPack }) => perPack).toFixed(2),
        median(cpu).toFixed(0),
        `${Math.min(...cpu).toFixed(0)} - ${Math.max(...cpu).toFixed(0)}`,
      ];
    }),
  );
  return table(head, rows);
}
