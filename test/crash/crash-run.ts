// kill -9 under load: a cluster with two of each (one resolver, one nats-server), a sender that keeps a ledger, and a plan
// of whom to kill. After the last kill everything must settle; then sender, sink and queue are compared.
// Fails: a service that does not come back, or 5xx to a good mail, rejects; broken promises are in the ledger.
import { setTimeout as pause } from 'node:timers/promises';
import { Cluster } from '#kit/cluster.ts';
import { readMetric } from '#kit/cluster-metrics.ts';
import { inDoubtOf } from '#kit/in-doubt.ts';
import { type Ledger, ledgerOf } from '#kit/load-ledger.ts';
import { LoadSender } from '#kit/load-sender.ts';
import { LoadSink, SINK_ADDRESSES } from '#kit/load-sink-process.ts';
import { type Kill, killPlan, type Victim } from './kill-plan.ts';

export interface CrashOptions {
  kills: number;
  /** At least so many are accepted; more when the kills last longer. */
  mails: number;
  perSecond: number;
  seed: number;
  victims?: readonly Victim[];
  /** When the next kill may come: after the cluster is calm (one failure at a time), or as soon as mail flows again. */
  pace?: 'calm' | 'hurry';
  say: (line: string) => void;
}

const OCTETS = 4096;
const SESSIONS = 40;
/** Between the final dot and its reply: makes the window in which a worker's death leaves a doubt wide enough to hit. */
const SINK_ANSWERS_AFTER_MS = 15;
const BACK_WITHIN_MS = 60_000;
const SETTLED_WITHIN_MS = 180_000;
const PARTITIONS = 32;
/** Silence of 5 s means gone; a little more. */
const DEATH_KNOWN_AFTER_MS = 7000;

class CrashRun {
  readonly #options: CrashOptions;
  readonly #cluster: Cluster;
  readonly #sink: LoadSink;
  readonly #sender: LoadSender;

  constructor(options: CrashOptions, cluster: Cluster, sink: LoadSink) {
    this.#options = options;
    this.#cluster = cluster;
    this.#sink = sink;
    this.#sender = new LoadSender({
      ports: [0, 1].map((index) => cluster.smtpPort(0, index)),
      sessions: SESSIONS,
      mails: Number.POSITIVE_INFINITY,
      octets: OCTETS,
      tokenPrefix: `s${options.seed}`,
      forwardPath: (mail) => `r${mail}@sink${mail % SINK_ADDRESSES.length}.crash.test`,
      perSecond: options.perSecond,
    });
  }

  async run(): Promise<Ledger> {
    const { kills, seed, victims, mails } = this.#options;
    const sending = this.#sender.run();
    // A rejection is seen when it is awaited below, or at the end.
    sending.catch(() => undefined);
    await this.#settled('partitions are owned', () => this.#allOwned(), BACK_WITHIN_MS);
    for (const [number, kill] of killPlan(kills, seed, victims).entries()) {
      await Promise.race([this.#killOne(number + 1, kill), sending]);
    }
    while (this.#sender.accepted.size < mails) await Promise.race([pause(200), sending]);
    this.#sender.stop();
    await sending;
    await this.#untilQueueIsEmpty();
    const arrivals = await this.#sink.ask('arrivals');
    return ledgerOf(this.#sender, arrivals, inDoubtOf(this.#cluster));
  }

  async #killOne(number: number, { victim, index, afterMs, deadMs }: Kill): Promise<void> {
    await pause(afterMs);
    const startAt = performance.now();
    if (victim === 'nats') {
      await this.#cluster.nats.kill('SIGKILL');
      await pause(deadMs);
      await this.#cluster.nats.restart();
    } else {
      await this.#cluster.kill(victim, index, 'SIGKILL');
      await pause(deadMs);
      await this.#cluster.restart(victim, index);
    }
    await this.#settled('partitions are owned', () => this.#allOwned(), BACK_WITHIN_MS);
    if (this.#options.pace !== 'hurry') await this.#calm(startAt);
    const taken = await this.#sink.ask('taken');
    await this.#settled('mail flows', async () => (await this.#sink.ask('taken')) > taken, BACK_WITHIN_MS);
    const seconds = ((performance.now() - startAt) / 1000).toFixed(1);
    const who = victim === 'nats' ? victim : `${victim}-${index}`;
    const counts = `${this.#sender.accepted.size} accepted, ${await this.#sink.ask('taken')} at the sink`;
    this.#options.say(`kill ${number}: ${who}, dead ${deadMs} ms, all well after ${seconds} s; ${counts}`);
  }

  /** The dead are known to be dead, and a restarted queue instance has taken over its share. */
  async #calm(killedAt: number): Promise<void> {
    await pause(Math.max(0, killedAt + DEATH_KNOWN_AFTER_MS - performance.now()));
    const shared = async () => (await this.#shares()).every((partitions) => (partitions ?? 0) > 0);
    await this.#settled('every queue instance has partitions', shared, BACK_WITHIN_MS);
    await this.#settled('partitions are owned', () => this.#allOwned(), BACK_WITHIN_MS);
  }

  #shares(): Promise<(number | undefined)[]> {
    const indexes = Array.from({ length: this.#cluster.count('queue') }, (_, index) => index);
    return Promise.all(
      indexes.map((index) =>
        readMetric(this.#cluster.metricsUrl('queue', index), 'postrider_queue_partitions'),
      ),
    );
  }

  #settled(what: string, holds: () => Promise<boolean>, withinMs: number): Promise<true> {
    return this.#cluster.until(what, async () => ((await holds()) ? true : undefined), withinMs);
  }

  async #allOwned(): Promise<boolean> {
    return (await this.#cluster.sumOf('queue', 'postrider_queue_partitions')) === PARTITIONS;
  }

  /** Waits until no mail is left; gives up silently, since the ledger tells what is missing. */
  async #untilQueueIsEmpty(): Promise<void> {
    const deadlineAt = performance.now() + SETTLED_WITHIN_MS;
    let left = Number.POSITIVE_INFINITY;
    while (performance.now() < deadlineAt) {
      left = (await this.#cluster.sumOf('queue', 'postrider_queue_mails')) ?? left;
      if (left === 0) break;
      await pause(200);
    }
    this.#options.say(`at the end ${left} mails are left in the queue`);
  }
}

/** Runs it all; `use` gets the ledger while the cluster's logs are still there. */
export async function runCrash<T>(
  options: CrashOptions,
  use: (ledger: Ledger, cluster: Cluster) => T | Promise<T>,
): Promise<T> {
  const sink = await LoadSink.start({ answerAfterMs: SINK_ANSWERS_AFTER_MS });
  try {
    const cluster = await Cluster.start({
      instances: { ingress: 2, queue: 2, delivery: 2, resolver: 1 },
      config: {
        // Several sites, so that both workers have some.
        routes: SINK_ADDRESSES.map((address, i) => ({
          domain: `sink${i}.crash.test`,
          to: `${address}:${sink.port}`,
        })),
        retry: { schedule: ['2 s', '5 s', '10 s'] },
        telemetry: { logLevel: 'info' },
      },
    });
    try {
      return await use(await new CrashRun(options, cluster, sink).run(), cluster);
    } finally {
      await cluster.stop();
    }
  } finally {
    await sink.stop();
  }
}
