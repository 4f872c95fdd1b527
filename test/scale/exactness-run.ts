// The limit of connections to one site while delivery workers come and go: the worker that has the site is drained, killed,
// frozen and cut off from NATS in turn, under load, and the sink counts its TCP connections all the time.
// Fails: a step that does not come to its end in time rejects with the cluster's logs; what the sink saw is in the result.
import { setTimeout as pause } from 'node:timers/promises';
import { Cluster } from '#kit/cluster.ts';
import { readMetric } from '#kit/cluster-metrics.ts';
import { CutProxy } from '#kit/cut-proxy.ts';
import { inDoubtOf } from '#kit/in-doubt.ts';
import { type Ledger, ledgerOf } from '#kit/load-ledger.ts';
import { LoadSender } from '#kit/load-sender.ts';
import { LoadSink } from '#kit/load-sink-process.ts';

export const STEPS = ['calm', 'drain', 'kill', 'stutter', 'cut', 'start', 'freeze'] as const;
/**
 * What happens to the worker that has the site: nothing; SIGTERM; SIGKILL; SIGSTOP for 2 s, which nobody may notice; no NATS
 * for 8 s; another worker that starts; SIGSTOP for 12 s.
 */
export type Step = (typeof STEPS)[number];

export interface ExactnessOptions {
  steps: readonly Step[];
  workers: number;
  siteConnectionsMax: number;
  perSecond: number;
  say: (line: string) => void;
}

export interface StepSeen {
  step: Step;
  /** Most connections at the same time that the sink saw from its start to the next one. */
  most: number;
  seconds: number;
}

export interface Exactness {
  steps: StepSeen[];
  ledger: Ledger;
}

/** A mail has two of them: the site's ten connections carry 200 mails a second. */
const REPLY_AFTER_MS = 25;
const STUTTER_MS = 2000;
/** Longer than the others' patience (5 s), with time to open connections. */
const AWAY_MS = 8000;
/** Long enough to see what the next worker does meanwhile. */
const FROZEN_MS = 12_000;
const BACK_WITHIN_MS = 30_000;

class ExactnessRun {
  readonly #options: ExactnessOptions;
  readonly #cluster: Cluster;
  readonly #sink: LoadSink;
  readonly #proxies: readonly CutProxy[];
  readonly #sender: LoadSender;

  constructor(options: ExactnessOptions, cluster: Cluster, sink: LoadSink, proxies: readonly CutProxy[]) {
    this.#options = options;
    this.#cluster = cluster;
    this.#sink = sink;
    this.#proxies = proxies;
    this.#sender = new LoadSender({
      ports: [cluster.smtpPort()],
      sessions: 10,
      mails: Number.POSITIVE_INFINITY,
      octets: 1024,
      tokenPrefix: 'exact',
      forwardPath: (mail) => `r${mail}@site.scale.test`,
      perSecond: options.perSecond,
    });
  }

  async run(): Promise<Exactness> {
    const sending = this.#sender.run();
    sending.catch(() => undefined);
    const steps: StepSeen[] = [];
    await this.#flows(100);
    await this.#sink.ask('connections');
    for (const step of this.#options.steps) {
      const startAt = performance.now();
      await Promise.race([this.#step(step), sending]);
      const { most } = await this.#sink.ask('connections');
      const seconds = (performance.now() - startAt) / 1000;
      steps.push({ step, most, seconds });
      this.#options.say(`${step.padEnd(8)} most connections ${most}, after ${seconds.toFixed(1)} s`);
    }
    this.#sender.stop();
    await sending;
    await this.#untilQueueIsEmpty();
    const ledger = ledgerOf(this.#sender, await this.#sink.ask('arrivals'), inDoubtOf(this.#cluster));
    return { steps, ledger };
  }

  async #step(step: Step): Promise<void> {
    const owner = await this.#owner();
    const worker = this.#cluster.process('delivery', owner);
    switch (step) {
      case 'calm':
        break;
      case 'drain':
        await worker.stop();
        await this.#flows();
        await worker.start();
        break;
      case 'kill':
        await worker.kill('SIGKILL');
        await this.#flows();
        await worker.start();
        break;
      case 'stutter':
        await frozen(worker.pid!, STUTTER_MS);
        break;
      case 'freeze':
        await frozen(worker.pid!, FROZEN_MS);
        break;
      case 'cut':
        this.#proxies[owner]!.cut();
        await pause(AWAY_MS);
        this.#proxies[owner]!.heal();
        break;
      case 'start': {
        // Whoever comes may be the one that gets the site.
        const other = (owner + 1) % this.#options.workers;
        await this.#cluster.process('delivery', other).stop();
        await this.#cluster.restart('delivery', other);
        break;
      }
    }
    // A worker that came back, or a new one, may take the site back: that belongs to the step.
    await pause(2000);
    await this.#flows(100);
  }

  /** The worker that has connections to the site. */
  #owner(): Promise<number> {
    return this.#cluster.until('a worker with connections', async () => {
      for (let index = 0; index < this.#options.workers; index += 1) {
        const url = this.#cluster.metricsUrl('delivery', index);
        if (((await readMetric(url, 'postrider_delivery_running')) ?? 0) > 0) return index;
      }
      return undefined;
    });
  }

  /** Resolves when so many mails more have come. */
  async #flows(mails = 20): Promise<void> {
    const from = await this.#sink.ask('taken');
    const flows = async () => ((await this.#sink.ask('taken')) >= from + mails ? true : undefined);
    await this.#cluster.until('mail flows', flows, BACK_WITHIN_MS);
  }

  async #untilQueueIsEmpty(): Promise<void> {
    const empty = async () =>
      (await this.#cluster.sumOf('queue', 'postrider_queue_mails')) === 0 ? true : undefined;
    await this.#cluster.until('an empty queue', empty, 60_000);
  }
}

async function frozen(pid: number, ms: number): Promise<void> {
  process.kill(pid, 'SIGSTOP');
  await pause(ms);
  process.kill(pid, 'SIGCONT');
}

export async function runExactness<T>(
  options: ExactnessOptions,
  use: (seen: Exactness, cluster: Cluster) => T | Promise<T>,
): Promise<T> {
  const sink = await LoadSink.start({ replyAfterMs: REPLY_AFTER_MS, addresses: 1 });
  const proxies: CutProxy[] = [];
  try {
    const cluster = await Cluster.start({
      instances: { delivery: options.workers },
      natsUrl: async (service, index, url) => {
        if (service !== 'delivery') return url;
        proxies[index] = await CutProxy.open(Number(new URL(url).port));
        return `nats://127.0.0.1:${proxies[index].port}`;
      },
      config: {
        routes: [{ domain: 'site.scale.test', to: `127.0.0.1:${sink.port}` }],
        delivery: { siteConnectionsMax: options.siteConnectionsMax },
        retry: { schedule: ['2 s', '5 s'] },
      },
    });
    try {
      return await use(await new ExactnessRun(options, cluster, sink, proxies).run(), cluster);
    } finally {
      await cluster.stop();
    }
  } finally {
    await Promise.all(proxies.map((proxy) => proxy.close()));
    await sink.stop();
  }
}
