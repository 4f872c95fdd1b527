// A rolling upgrade in processes: while mails come in at a steady pace, every instance of every service is asked to stop
// (SIGTERM) and started again, one after the other. What is measured is the longest way of a mail, from the moment when it was
// due to be sent until the sink had it; what must hold is that none is lost and none comes twice. It can begin with the services of
// an older commit, which are replaced one by one by those of this tree.
// Fails: an instance that does not stop by itself, or does not come back, rejects.

import { setTimeout as pause } from 'node:timers/promises';
import { Cluster } from '#kit/cluster.ts';
import type { ServiceName } from '#kit/cluster-process.ts';
import { inDoubtOf } from '#kit/in-doubt.ts';
import { type Ledger, ledgerOf } from '#kit/load-ledger.ts';
import { LoadSender } from '#kit/load-sender.ts';
import { LoadSink, SINK_ADDRESSES } from '#kit/load-sink-process.ts';

export interface UpgradeOptions {
  /** Of each service. */
  instances: number;
  perSecond: number;
  /** Between one instance that is back and the next one that stops. */
  pauseMs: number;
  /** Folder of the tree whose services are there first; this one when absent. */
  from?: string;
  /** Between the final dot and its reply. */
  answerAfterMs?: number;
  say: (line: string) => void;
}

export interface Upgrade {
  restarts: number;
  ledger: Ledger;
  /** Milliseconds from the moment when a mail was due to the sink, of all mails. */
  delaysMs: number[];
}

/** As an operator would: who takes mail in last. */
const ORDER: readonly ServiceName[] = ['resolver', 'delivery', 'queue', 'ingress'];
const REPLY_AFTER_MS = 20;
/** What drain allows, and a little more. */
const STOP_WITHIN_MS = 60_000;
const SETTLED_WITHIN_MS = 60_000;

export async function runUpgrade<T>(
  options: UpgradeOptions,
  use: (upgrade: Upgrade, cluster: Cluster) => T | Promise<T>,
): Promise<T> {
  const { instances, from, answerAfterMs = 0 } = options;
  const sink = await LoadSink.start({ replyAfterMs: REPLY_AFTER_MS, answerAfterMs });
  try {
    const cluster = await Cluster.start({
      ...(from !== undefined && { root: from }),
      instances: { ingress: instances, queue: instances, resolver: instances, delivery: instances },
      config: {
        routes: SINK_ADDRESSES.map((address, i) => ({
          domain: `sink${i}.scale.test`,
          to: `${address}:${sink.port}`,
        })),
        retry: { schedule: ['2 s', '5 s', '10 s'] },
        // A host that answers after 2 s takes as many connections as it gets mails meanwhile.
        delivery: { siteConnectionsMax: 200 },
      },
    });
    try {
      return await use(await upgrade(options, cluster, sink), cluster);
    } finally {
      await cluster.stop();
    }
  } finally {
    await sink.stop();
  }
}

async function upgrade(options: UpgradeOptions, cluster: Cluster, sink: LoadSink): Promise<Upgrade> {
  const { instances, perSecond, pauseMs, say } = options;
  const sender = new LoadSender({
    ports: Array.from({ length: instances }, (_, index) => cluster.smtpPort(0, index)),
    sessions: 20,
    mails: Number.POSITIVE_INFINITY,
    octets: 4096,
    tokenPrefix: 'upgrade',
    forwardPath: (mail) => `r${mail}@sink${mail % SINK_ADDRESSES.length}.scale.test`,
    perSecond,
  });
  const sending = sender.run();
  sending.catch(() => undefined);
  await Promise.race([pause(3000), sending]);
  const delaysMs = await sink.ask('latencies');
  let restarts = 0;
  for (const service of ORDER) {
    for (let index = 0; index < instances; index += 1) {
      await Promise.race([restart(cluster, service, index), sending]);
      restarts += 1;
      await pause(pauseMs);
      const since = await sink.ask('latencies');
      delaysMs.push(...since);
      say(
        `${service}-${index} restarted; longest way of a mail since the last one ${longest(since).toFixed(0)} ms`,
      );
    }
  }
  sender.stop();
  await sending;
  const empty = async () =>
    (await cluster.sumOf('queue', 'postrider_queue_mails')) === 0 ? true : undefined;
  await cluster.until('an empty queue', empty, SETTLED_WITHIN_MS);
  delaysMs.push(...(await sink.ask('latencies')));
  return { restarts, delaysMs, ledger: ledgerOf(sender, await sink.ask('arrivals'), inDoubtOf(cluster)) };
}

async function restart(cluster: Cluster, service: ServiceName, index: number): Promise<void> {
  const one = cluster.process(service, index);
  if (!(await one.stop(STOP_WITHIN_MS))) throw new Error(`${one.name} had to be killed\n${one.logTail()}`);
  one.moveTo(undefined);
  await one.start();
}

/** 0 of nothing. */
export function longest(delaysMs: readonly number[]): number {
  return delaysMs.reduce((most, one) => Math.max(most, one), 0);
}
