// Workers of a real cluster that stand still for longer than anybody waits for them, each at another point of an attempt's way: what
// they have was given to others meanwhile. No mail has more copies than one and the attempts of it that were counted as in doubt.
import { setTimeout as pause } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import { Cluster } from '#kit/cluster.ts';
import type { ServiceProcess } from '#kit/cluster-process.ts';
import { inDoubtOf } from '#kit/in-doubt.ts';
import { LoadSender } from '#kit/load-sender.ts';
import { type SmtpSink, startSmtpSink } from '#kit/smtp-sink.ts';

const HOOK = new URL('../kit/process-hook.ts', import.meta.url);
/** Each has a site, so that every worker has some. */
const SINKS = 12;
const MAILS = 400;
const MAILS_PER_SECOND = 40;
/** Far longer than the silence after which a worker is given up. */
const STILL_MS = 12_000;

/** Where the workers stop, but for the last one, which goes on. */
const STOPS: readonly ((worker: ServiceProcess) => void)[] = [
  (worker) => worker.freezeIn({ saying: 'checkpoint', nth: 1, side: 'before' }),
  (worker) => worker.freezeIn({ saying: 'checkpoint', nth: 1, side: 'after' }),
  // Hosts take their time: whatever runs has sent its dot.
  (worker) => worker.signal('SIGSTOP'),
  (worker) => worker.freezeIn({ saying: 'outcome', nth: 5, side: 'before' }),
];

interface Stage {
  sinks: SmtpSink[];
  cluster: Cluster;
  load: LoadSender;
}

async function openStage(inDoubt: 'redeliver' | 'hold'): Promise<Stage> {
  const sinks = await Promise.all(Array.from({ length: SINKS }, () => startSmtpSink({ memory: 'count' })));
  for (const { behaviour } of sinks) behaviour.slowMs = 700;
  const cluster = await Cluster.start({
    instances: { delivery: STOPS.length + 1 },
    config: {
      routes: sinks.map(({ port }, i) => ({ domain: `d${i}.test`, to: `127.0.0.1:${port}` })),
      nats: { partitions: 4 },
      delivery: { inDoubt },
    },
    nodeOptionsOf: (service) => (service === 'delivery' ? ['--import', HOOK.href] : []),
  });
  const load = new LoadSender({
    ports: [cluster.smtpPort()],
    sessions: 4,
    mails: MAILS,
    octets: 1024,
    tokenPrefix: 'frozen',
    forwardPath: (mail) => `slow-after-dot@d${mail % SINKS}.test`,
    perSecond: MAILS_PER_SECOND,
  });
  return { sinks, cluster, load };
}

/** How often the mail was taken, and how many attempts of it were counted as in doubt. */
function counted({ sinks, cluster, load }: Stage): { copies: number; doubts: number }[] {
  const doubts = inDoubtOf(cluster);
  return [...load.accepted.values()].map((queueId) => ({
    copies: sinks.reduce((sum, { timesTaken }) => sum + (timesTaken.get(queueId) ?? 0), 0),
    doubts: doubts.get(queueId) ?? 0,
  }));
}

async function standStill({ cluster }: Stage): Promise<void> {
  const workers = STOPS.map((_, index) => cluster.process('delivery', index));
  for (const [index, stop] of STOPS.entries()) stop(workers[index]!);
  await pause(STILL_MS);
  for (const worker of workers) {
    worker.freezeIn(undefined);
    worker.signal('SIGCONT');
  }
}

test.each(['redeliver', 'hold'] as const)(
  'Workers that stand still anywhere on the way of an attempt cause no copy that is not counted (%s)',
  async (policy) => {
    const stage = await openStage(policy);
    const { cluster, load, sinks } = stage;
    try {
      const sending = load.run();
      await pause(2000);
      await standStill(stage);
      await sending;
      const isDone = ({ copies, doubts }: { copies: number; doubts: number }) =>
        copies > 0 || (policy === 'hold' && doubts > 0);
      await cluster.until(
        'every mail to be somewhere',
        () => counted(stage).every(isDone) || undefined,
        60_000,
      );
      const unacknowledged = () => cluster.sumOf('delivery', 'postrider_delivery_unacknowledged');
      await cluster.until(
        'all outcomes to be acted on',
        async () => ((await unacknowledged()) === 0 ? true : undefined),
        30_000,
      );
      const all = counted(stage);
      console.log(
        policy,
        all.filter((o) => o.copies > 1).length,
        all.reduce((a, o) => a + o.doubts, 0),
      );
      expect(all.filter(({ copies, doubts }) => copies - 1 > (policy === 'hold' ? 0 : doubts))).toEqual([]);
      expect(all).toHaveLength(MAILS);
    } finally {
      await cluster.stop();
      await Promise.all(sinks.map((sink) => sink.close()));
    }
  },
  150_000,
);
