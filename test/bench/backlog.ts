// `npm run bench -- --backlog`: many mails wait for a host that is down while another host gets 500 mails a second. Shows
// the healthy host's latency without and with the backlog, the memory of each waiting mail, and how long the queue
// takes to come back after a stop and after kill -9.
// Fails: what does not arrive or is not counted in time ends it with the logs' ends.
import { Cluster } from '#kit/cluster.ts';
import { readMetric } from '#kit/cluster-metrics.ts';
import { freePort } from '#kit/cluster-ports.ts';
import { LoadSender } from '#kit/load-sender.ts';
import { LoadSink } from '#kit/load-sink-process.ts';
import { residentOctets } from './processor-time.ts';
import { median, percentile, whole } from './statistics.ts';

export interface Backlog {
  folder: string;
  /** For the dead host. */
  mails: number;
  /** How long each latency is measured. */
  seconds: number;
  say: (line: string) => void;
}

const HEALTHY_PER_SECOND = 500;
const OCTETS = 4096;
/** A p99 is the median of those of every ten seconds. */
const WINDOW_MAILS = HEALTHY_PER_SECOND * 10;
const STORED_WITHIN_MS = 600_000;
const KNOWN_WITHIN_MS = 120_000;

interface Latency {
  median: number;
  p99: number;
  most: number;
}

export async function runBacklog({ folder, mails, seconds, say }: Backlog): Promise<void> {
  const sink = await LoadSink.start();
  const cluster = await Cluster.start({
    parentFolder: folder,
    config: {
      routes: [
        { domain: 'healthy.test', to: `127.0.0.1:${sink.port}` },
        { domain: 'dead.test', to: `127.0.0.1:${await freePort()}` },
      ],
      telemetry: { logLevel: 'warn' },
    },
  });
  try {
    const bench = new BacklogBench(cluster, sink, say);
    await bench.latency('warm-up', Math.min(10, seconds));
    const alone = await bench.latency('healthy host, empty queue', seconds);
    const before = bench.memory();
    await bench.fill(mails);
    bench.memorySince(before, mails);
    const beside = await bench.latency(`healthy host, ${whole(mails)} mails waiting for the other`, seconds);
    const ratio = beside.p99 / alone.p99;
    say(`p99 with the backlog is ${ratio.toFixed(2)} x of an empty queue; bar 2 x: ${verdict(ratio <= 2)}`);
    await bench.restart('SIGTERM', mails);
    await bench.restart('SIGKILL', mails);
    bench.memorySince(before, mails);
    await bench.latency('healthy host after the restarts', Math.min(10, seconds));
  } finally {
    await cluster.stop();
    await sink.stop();
  }
}

const verdict = (reached: boolean): string => (reached ? 'reached' : 'NOT reached');

class BacklogBench {
  readonly #cluster: Cluster;
  readonly #sink: LoadSink;
  readonly #say: (line: string) => void;
  #phase = 0;

  constructor(cluster: Cluster, sink: LoadSink, say: (line: string) => void) {
    this.#cluster = cluster;
    this.#sink = sink;
    this.#say = say;
  }

  /** From the moment that a mail is due at the sender to the sink. */
  async latency(what: string, seconds: number): Promise<Latency> {
    const expected = (await this.#sink.ask('taken')) + HEALTHY_PER_SECOND * seconds;
    await this.#send({
      domain: 'healthy.test',
      mails: HEALTHY_PER_SECOND * seconds,
      perSecond: HEALTHY_PER_SECOND,
    });
    const arrived = async () => ((await this.#sink.ask('taken')) >= expected ? true : undefined);
    await this.#cluster.until('all mails of the healthy host', arrived, 120_000);
    const all = await this.#sink.ask('latencies');
    const windows = Array.from({ length: Math.ceil(all.length / WINDOW_MAILS) }, (_, i) =>
      percentile(all.slice(i * WINDOW_MAILS, (i + 1) * WINDOW_MAILS), 0.99),
    );
    const latency = { median: percentile(all, 0.5), p99: median(windows), most: percentile(all, 1) };
    const spread = `${Math.min(...windows).toFixed(0)} to ${Math.max(...windows).toFixed(0)}`;
    const figures = `median ${latency.median.toFixed(0)} ms, p99 ${latency.p99.toFixed(0)} ms (${spread})`;
    this.#say(`${what}: ${figures}, most ${latency.most.toFixed(0)} ms of ${whole(all.length)} mails`);
    return latency;
  }

  #send(load: { domain: string; mails: number; perSecond?: number }): Promise<void> {
    this.#phase += 1;
    const { domain, ...rest } = load;
    const sender = new LoadSender({
      ...rest,
      ports: [this.#cluster.smtpPort()],
      sessions: 50,
      octets: OCTETS,
      tokenPrefix: `p${this.#phase}`,
      forwardPath: (mail) => `r${mail}@${domain}`,
    });
    return sender.run();
  }

  /** Sends the mails for the dead host and waits until all of them are deferred and stored. */
  async fill(mails: number): Promise<void> {
    const startAt = performance.now();
    await this.#send({ domain: 'dead.test', mails });
    const sentMs = performance.now() - startAt;
    this.#say(
      `${whole(mails)} mails for the dead host accepted in ${(sentMs / 1000).toFixed(1)} s, ${whole((mails * 1000) / sentMs)}/s`,
    );
    await this.#waiting(mails);
    const rest = async () => ((await this.#gauge('postrider_queue_open_packs')) === 0 ? true : undefined);
    await this.#cluster.until('every waiting mail has a record of its own', rest, STORED_WITHIN_MS);
    this.#say(`all deferred and stored after ${((performance.now() - startAt) / 1000).toFixed(1)} s`);
  }

  #gauge(name: string): Promise<number | undefined> {
    return readMetric(this.#cluster.metricsUrl('queue'), name);
  }

  async #waiting(mails: number): Promise<void> {
    const known = async () =>
      ((await this.#gauge('postrider_queue_mails')) ?? 0) >= mails ? true : undefined;
    await this.#cluster.until(`the queue knows ${mails} mails`, known, KNOWN_WITHIN_MS);
  }

  /** Resident octets by process. */
  memory(): Map<string, number> {
    const pids: [string, number][] = this.#cluster
      .processes()
      .map((one): [string, number] => [one.files.service, one.pid ?? 0]);
    return new Map(
      [...pids, ['nats' as const, this.#cluster.nats.pid] as [string, number]].map(([name, pid]) => [
        name,
        residentOctets(pid),
      ]),
    );
  }

  memorySince(before: Map<string, number>, mails: number): void {
    const figures = [...this.memory()].map(([name, octets]) => {
      const more = octets - (before.get(name) ?? 0);
      return `${name} ${whole(octets / 1e6)} MB (${whole(more / mails)} B per waiting mail)`;
    });
    this.#say(`memory: ${figures.join(', ')}`);
  }

  /** Ends the queue and says when it knows all of its mails again. */
  async restart(signal: 'SIGTERM' | 'SIGKILL', mails: number): Promise<void> {
    const startAt = performance.now();
    const seconds = () => ((performance.now() - startAt) / 1000).toFixed(1);
    await this.#cluster.kill('queue', 0, signal);
    const ended = seconds();
    await this.#cluster.restart('queue');
    const ready = seconds();
    await this.#waiting(mails);
    this.#say(
      `queue restarted by ${signal}: ended after ${ended} s, ready after ${ready} s, all mails known after ${seconds()} s`,
    );
  }
}
