// All processes of one start, in the order in which they start and stop.
import type { KeptChild } from './kept-child.ts';
import type { ServiceName } from './start-options.ts';

/** Queue first, since it makes the streams; ingress last, so that mail finds everything there. */
const START_ORDER: ServiceName[][] = [['queue'], ['resolver', 'delivery'], ['ingress']];
/** No new mail, then no new attempts, then nothing that waits for either. */
const STOP_ORDER: ServiceName[] = ['ingress', 'delivery', 'queue', 'resolver'];

export interface ClusterOptions {
  /** Absent when a server is used that runs already. */
  nats: KeptChild | undefined;
  services: Record<ServiceName, KeptChild[]>;
  say: (line: string) => void;
}

const seconds = (sinceMs: number) => `${((performance.now() - sinceMs) / 1000).toFixed(1)} s`;

export class Cluster {
  readonly #options: ClusterOptions;

  constructor(options: ClusterOptions) {
    this.#options = options;
  }

  /** All instances of services, in the order in which they start. */
  get instances(): KeptChild[] {
    return START_ORDER.flat().flatMap((service) => this.#options.services[service]);
  }

  async start(): Promise<void> {
    const { nats, services, say } = this.#options;
    if (nats !== undefined) await this.#startAll([nats]);
    for (const together of START_ORDER) {
      await this.#startAll(together.flatMap((service) => services[service]));
    }
    say('all services are ready');
  }

  async #startAll(children: KeptChild[]): Promise<void> {
    if (children.length === 0) return;
    const startedAt = performance.now();
    const names = children.map(({ name }) => name).join(', ');
    this.#options.say(`starting ${names} ...`);
    await Promise.all(children.map((child) => child.start()));
    this.#options.say(`${names}: ready in ${seconds(startedAt)}`);
  }

  async stop(): Promise<void> {
    const { nats, services } = this.#options;
    for (const service of STOP_ORDER) await this.#stopAll(services[service]);
    if (nats !== undefined) await this.#stopAll([nats]);
  }

  async #stopAll(children: KeptChild[]): Promise<void> {
    const startedAt = performance.now();
    const names = children
      .filter(({ wasStarted }) => wasStarted)
      .map(({ name }) => name)
      .join(', ');
    if (names !== '') this.#options.say(`stopping ${names} ...`);
    // The others too, so that they are not started any more.
    await Promise.all(children.map((child) => child.stop()));
    if (names !== '') this.#options.say(`${names}: stopped in ${seconds(startedAt)}`);
  }

  /** Ends all services at once; the nats-server is left to `stop`, as its store deserves an orderly end. */
  killServices(): void {
    for (const child of this.instances) child.kill();
  }
}
