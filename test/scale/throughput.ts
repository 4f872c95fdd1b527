// Throughput towards many sites that are far away, with more and more delivery workers: each worker has so few connections
// that it waits for replies nearly all the time, so two workers should deliver twice as much as one.
// Fails: a cluster that does not get rid of its mails in time rejects with its logs.
import { availableParallelism } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import { Cluster } from '#kit/cluster.ts';
import { LoadSender } from '#kit/load-sender.ts';
import { LoadSink, sinkAddresses } from '#kit/load-sink-process.ts';
import { machineSeconds, processTimes } from '../bench/processor-time.ts';

export interface ThroughputOptions {
  sites: number;
  /** Between each group of commands and its reply, at the sink. */
  replyAfterMs: number;
  /** `delivery.connectionsMax`. */
  connectionsMax: number;
  /** How many workers, one count after the other. */
  workers: readonly number[];
  repeats: number;
  seconds: number;
  say: (line: string) => void;
}

export interface Measured {
  workers: number;
  mailsPerSecond: number;
  /** Mails that came in meanwhile: with fewer than were delivered, it is not the workers that were measured. */
  acceptedPerSecond: number;
  /** Share of all cores that the cluster, nats-server, sink and sender used. */
  busy: number;
  /** The same of everything on this machine. */
  machineBusy: number;
  /** Share of one core that the busiest worker used. */
  busiestWorker: number;
  /** Most connections at the same time. */
  connections: number;
}

const OCTETS = 1024;
const SESSIONS = 40;
/** Replies that a mail waits for: to MAIL, RCPT and DATA in one group, and to the final dot. */
const ROUND_TRIPS = 2;
/** How much more is sent than can be delivered: sites are not spread evenly, and no worker may run out of mail. */
const AHEAD = 1.4;
/** Setting up all connections takes three round trips, and a hand-over of shards one more. */
const RAMP_MS = 4000;
const SETTLED_WITHIN_MS = 60_000;

/** What the connections of so many workers can carry. */
export function possiblePerSecond(options: ThroughputOptions, workers: number): number {
  return (workers * options.connectionsMax * 1000) / (ROUND_TRIPS * options.replyAfterMs);
}

class ThroughputRun {
  readonly #options: ThroughputOptions;
  readonly #cluster: Cluster;
  readonly #sink: LoadSink;
  #runs = 0;

  constructor(options: ThroughputOptions, cluster: Cluster, sink: LoadSink) {
    this.#options = options;
    this.#cluster = cluster;
    this.#sink = sink;
  }

  async run(): Promise<Measured[]> {
    const { repeats, workers, say } = this.#options;
    const measured: Measured[] = [];
    for (let repeat = 0; repeat < repeats; repeat += 1) {
      for (const count of repeat % 2 === 0 ? workers : [...workers].reverse()) {
        const one = await this.#measure(count);
        measured.push(one);
        say(
          `  ${count} workers: ${one.mailsPerSecond.toFixed(0)} mails/s, ${(100 * one.busy).toFixed(0)} % CPU`,
        );
      }
    }
    return measured;
  }

  async #measure(workers: number): Promise<Measured> {
    await this.#resize(workers);
    const sender = this.#sender(AHEAD * possiblePerSecond(this.#options, workers));
    const sending = sender.run();
    sending.catch(() => undefined);
    await Promise.race([pause(RAMP_MS), sending]);
    await this.#sink.ask('connections');
    const [accepted, machine] = [sender.accepted.size, machineSeconds()];
    const [before, taken, startAt] = [
      this.#processorSeconds(),
      await this.#sink.ask('taken'),
      performance.now(),
    ];
    await Promise.race([pause(this.#options.seconds * 1000), sending]);
    const mails = (await this.#sink.ask('taken')) - taken;
    const seconds = (performance.now() - startAt) / 1000;
    const after = this.#processorSeconds();
    const acceptedPerSecond = (sender.accepted.size - accepted) / seconds;
    const machineBusy = (machineSeconds() - machine) / seconds / availableParallelism();
    const { most } = await this.#sink.ask('connections');
    sender.stop();
    await sending;
    await this.#untilQueueIsEmpty();
    const used = (name: string) => (after.get(name)! - (before.get(name) ?? 0)) / seconds;
    const all = [...after.keys()].reduce((sum, name) => sum + used(name), 0);
    const ofWorkers = [...after.keys()].filter((name) => name.startsWith('delivery')).map(used);
    return {
      workers,
      mailsPerSecond: mails / seconds,
      acceptedPerSecond,
      machineBusy,
      busy: all / availableParallelism(),
      busiestWorker: Math.max(...ofWorkers),
      connections: most,
    };
  }

  async #resize(workers: number): Promise<void> {
    const indexes = Array.from({ length: this.#cluster.count('delivery') }, (_, index) => index);
    await Promise.all(
      indexes.map(async (index) => {
        const { running } = this.#cluster.process('delivery', index);
        if (index < workers && !running) await this.#cluster.restart('delivery', index);
        if (index >= workers && running) await this.#cluster.process('delivery', index).stop();
      }),
    );
  }

  #sender(perSecond: number): LoadSender {
    this.#runs += 1;
    const { sites } = this.#options;
    return new LoadSender({
      ports: [this.#cluster.smtpPort()],
      sessions: SESSIONS,
      mails: Number.POSITIVE_INFINITY,
      octets: OCTETS,
      tokenPrefix: `t${this.#runs}`,
      forwardPath: (mail) => `r${mail}@site${mail % sites}.scale.test`,
      perSecond,
    });
  }

  /** CPU seconds so far, by process. */
  #processorSeconds(): Map<string, number> {
    const seconds = new Map<string, number>();
    const add = (name: string, pid: number) => seconds.set(name, processTimes(pid)?.ownS ?? 0);
    for (const one of this.#cluster.processes()) if (one.pid !== undefined) add(one.name, one.pid);
    add('nats', this.#cluster.nats.pid);
    add('sink', this.#sink.pid);
    add('sender', process.pid);
    return seconds;
  }

  async #untilQueueIsEmpty(): Promise<void> {
    const empty = async () =>
      (await this.#cluster.sumOf('queue', 'postrider_queue_mails')) === 0 ? true : undefined;
    await this.#cluster.until('an empty queue', empty, SETTLED_WITHIN_MS);
  }
}

export async function runThroughput(options: ThroughputOptions): Promise<Measured[]> {
  const { sites, replyAfterMs, connectionsMax, workers } = options;
  const sink = await LoadSink.start({ replyAfterMs, addresses: sites });
  try {
    const cluster = await Cluster.start({
      instances: { delivery: Math.max(...workers) },
      config: {
        routes: sinkAddresses(sites).map((address, i) => ({
          domain: `site${i}.scale.test`,
          to: `${address}:${sink.port}`,
        })),
        delivery: { connectionsMax },
        telemetry: { logLevel: 'warn' },
      },
    });
    try {
      return await new ThroughputRun(options, cluster, sink).run();
    } finally {
      await cluster.stop();
    }
  } finally {
    await sink.stop();
  }
}
