// Three real nats-servers that form a cluster, each with a store of its own. They end with the test's process. Where it is asked for,
// each pair of them is connected through a relay that can be cut, so that one server is alone with its clients.
import { callApi } from '#libs/nats/api.ts';
import { connectLink } from '#libs/nats/link.ts';
import { freePorts } from './cluster-ports.ts';
import { CutProxy } from './cut-proxy.ts';
import { launchServer, type NatsServer } from './nats-server.ts';

export interface NatsClusterOptions {
  /** Octets that each may store. */
  storageMax?: number;
  /** More lines for the configuration of each: users, TLS. */
  more?: string;
  /** `cut` can be called. */
  splittable?: boolean;
}

/** Between two of them. */
interface Route {
  from: number;
  to: number;
  proxy: CutProxy;
}

const LEADER_WITHIN_MS = 2000;
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

  readonly #routes: readonly Route[];

  private constructor(servers: readonly NatsServer[], routes: readonly Route[]) {
    this.servers = servers;
    this.#routes = routes;
    process.once('exit', this.#onExit);
  }

  /** Resolves when all are healthy. */
  static async start({
    storageMax,
    more = '',
    splittable = false,
  }: NatsClusterOptions = {}): Promise<NatsCluster> {
    const ports = await freePorts(SIZE);
    const routes = splittable ? await openRoutes(ports) : [];
    const everybody = ports.map((port) => `"nats://127.0.0.1:${port}"`).join(', ');
    const members = ports.map((port, i) => {
      const listen = `name: test, listen: "127.0.0.1:${port}"`;
      return splittable
        ? `${listen}, ${UNTOLD}, routes: [${dialledBy(i, routes)}]`
        : `${listen}, routes: [${everybody}]`;
    });
    const launched = await Promise.all(
      members.map((member, i) =>
        launchServer({
          name: `n${i}`,
          ...(storageMax !== undefined && { storageMax }),
          more: `cluster { ${member} }\n${LAME_DUCK}\n${more}`,
        }),
      ),
    );
    const cluster = new NatsCluster(
      launched.map(({ server }) => server),
      routes,
    );
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

  /** Nothing passes between this one and the others from now on; no connection ends. */
  cut(index: number): void {
    for (const { from, to, proxy } of this.#routes) if (from === index || to === index) proxy.cut();
  }

  heal(): void {
    for (const { proxy } of this.#routes) proxy.heal();
  }

  /** Which server leads the stream now; the first one when nobody says. */
  async leaderOf(stream: string): Promise<number> {
    const link = await connectLink({ url: this.url, service: 'test' });
    try {
      const info = await callApi<{ cluster: { leader?: string } }>(
        link,
        `STREAM.INFO.${stream}`,
        undefined,
        LEADER_WITHIN_MS,
      );
      return info.kind === 'ok' ? Number(info.value.cluster.leader?.slice(1) ?? 0) : 0;
    } finally {
      await link.close();
    }
  }

  /** Ends all and removes their stores. */
  async stop(): Promise<void> {
    process.removeListener('exit', this.#onExit);
    await Promise.all(this.servers.map((server) => server.stop()));
    await Promise.all(this.#routes.map(({ proxy }) => proxy.close()));
  }
}

/** Neither servers nor clients are told another way to a server than the one that they have. */
const UNTOLD = 'advertise: "127.0.0.1:1", no_advertise: true';

/** Each dials each: a server without routes of its own is in no cluster to JetStream. */
async function openRoutes(ports: readonly number[]): Promise<Route[]> {
  const routes: Route[] = [];
  for (const from of ports.keys()) {
    for (const [to, port] of ports.entries()) {
      if (from !== to) routes.push({ from, to, proxy: await CutProxy.open(port) });
    }
  }
  return routes;
}

function dialledBy(server: number, routes: readonly Route[]): string {
  const dialled = routes.filter(({ from }) => from === server);
  return dialled.map(({ proxy }) => `"nats://127.0.0.1:${proxy.port}"`).join(', ');
}
