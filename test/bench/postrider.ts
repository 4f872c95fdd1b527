// Postrider as a side of the bench: one process of each service and a nats-server with sync always, telemetry without
// spans, log level warn; everything at its default otherwise.
import { Cluster } from '#kit/cluster.ts';
import type { ServiceName } from '#kit/cluster-process.ts';
import { processTimes } from './processor-time.ts';

export interface PostriderOptions {
  /** Where its cluster keeps its files, NATS's store excepted (that is in the system's temporary folder). */
  folder: string;
  sinkPort: number;
  /** A service to write a CPU profile of, into `folder`. */
  profile?: ServiceName | undefined;
  /** Options for Node, for all services. */
  nodeOptions: readonly string[];
  /** The tree whose services are run, when it is not this one: the side is then called `Before`. */
  root?: string;
}

const SERVICES: readonly ServiceName[] = ['ingress', 'queue', 'resolver', 'delivery'];

export class BenchPostrider {
  readonly name: 'Postrider' | 'Before';
  readonly #cluster: Cluster;

  private constructor(name: 'Postrider' | 'Before', cluster: Cluster) {
    this.name = name;
    this.#cluster = cluster;
  }

  static async start(options: PostriderOptions): Promise<BenchPostrider> {
    const { folder, sinkPort, profile, root } = options;
    const profiled = ['--cpu-prof', `--cpu-prof-dir=${folder}`];
    const nodeOptions = SERVICES.map((service) => [
      service,
      [...options.nodeOptions, ...(service === profile ? profiled : [])],
    ]);
    const cluster = await Cluster.start({
      parentFolder: folder,
      config: {
        hostname: 'postrider.bench.test',
        routes: [{ domain: 'sink.bench.test', to: `127.0.0.1:${sinkPort}` }],
        telemetry: { logLevel: 'warn' },
      },
      nodeOptions: Object.fromEntries(nodeOptions),
      ...(root !== undefined && { root }),
    });
    return new BenchPostrider(root === undefined ? 'Postrider' : 'Before', cluster);
  }

  get port(): number {
    return this.#cluster.smtpPort();
  }

  /** CPU seconds so far, by process. */
  processorSeconds(): Map<string, number> {
    const seconds = new Map<string, number>();
    for (const { files, pid } of this.#cluster.processes()) {
      if (pid === undefined) throw new Error(`${files.service} died\n${this.#cluster.logTails()}`);
      seconds.set(files.service, processTimes(pid)?.ownS ?? 0);
    }
    seconds.set('nats', processTimes(this.#cluster.nats.pid)?.ownS ?? 0);
    return seconds;
  }

  /** What the services logged: nothing, when all is well. */
  complaints(): string[] {
    return this.#cluster.processes().flatMap((one) =>
      one
        .log()
        .split('\n')
        .filter((line) => line !== ''),
    );
  }

  stop(): Promise<void> {
    return this.#cluster.stop();
  }
}
