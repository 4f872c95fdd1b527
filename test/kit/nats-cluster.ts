// Three real nats-servers that form a cluster, each with a store of its own. They end with the test's process.
import { freePorts } from './cluster-ports.ts';
import { launchServer, type NatsServer } from './nats-server.ts';

export interface NatsClusterOptions {
  /** Octets that each may store. */
  storageMax?: number;
  /** More lines for the configuration of each: users, TLS. */
  more?: string;
}

const SIZE = 3;
/** A server that is asked to leave (SIGUSR2) sends its clients away one after the other, as in Kubernetes, but sooner. */
const LAME_DUCK = 'lame_duck_duration: "30s"\nlame_duck_grace_period: "1s"';

export class NatsCluster {
  /** Named n0, n1 and n2. */
  readonly servers: readonly NatsServer[];
  readonly #onExit = (): void => {
    for (const { pid } of this.servers) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It is gone already.
      }
    }
  };

  private constructor(servers: readonly NatsServer[]) {
    this.servers = servers;
    process.once('exit', this.#onExit);
  }

  /** Resolves when all are healthy. */
  static async start({ storageMax, more = '' }: NatsClusterOptions = {}): Promise<NatsCluster> {
    const ports = await freePorts(SIZE);
    const routes = ports.map((port) => `"nats://127.0.0.1:${port}"`).join(', ');
    const launched = await Promise.all(
      ports.map((port, i) =>
        launchServer({
          name: `n${i}`,
          ...(storageMax !== undefined && { storageMax }),
          more: `cluster { name: test, listen: "127.0.0.1:${port}", routes: [${routes}] }\n${LAME_DUCK}\n${more}`,
        }),
      ),
    );
    const cluster = new NatsCluster(launched.map(({ server }) => server));
    try {
      await Promise.all(launched.map(({ healthy }) => healthy()));
    } catch (error) {
      await cluster.stop();
      throw error;
    }
    return cluster;
  }

  /** All of them, as `nats.url` takes it. */
  get url(): string {
    return this.servers.map(({ url }) => url).join(',');
  }

  /** By the name that JetStream calls it. */
  named(name: string): NatsServer {
    const server = this.servers[Number(name.slice(1))];
    if (server === undefined) throw new Error(`no server is called ${name}`);
    return server;
  }

  /** Ends all and removes their stores. */
  async stop(): Promise<void> {
    process.removeListener('exit', this.#onExit);
    await Promise.all(this.servers.map((server) => server.stop()));
  }
}
