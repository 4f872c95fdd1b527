// A whole Postrider on this machine for tests: a real nats-server and n processes of each service, with a configuration
// file per process in a temporary folder. Ports are fixed before the start, so a process that is killed comes back
// where it was.
// Fails: whatever does not start rejects with the end of its log; `until` adds the logs' ends to its own failure.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { stringify } from 'yaml';
import type { z } from 'zod';
import type { configSchema } from '#libs/config/schema.ts';
import { readMetric } from './cluster-metrics.ts';
import { freePort } from './cluster-ports.ts';
import { type ServiceName, ServiceProcess } from './cluster-process.ts';
import { type NatsOptions, startNats } from './nats-server.ts';

export type ConfigInput = z.input<typeof configSchema>;
type ListenerInput = Omit<NonNullable<ConfigInput['listeners']>[number], 'port' | 'address' | 'unixSocket'>;

const SERVICES: readonly ServiceName[] = ['resolver', 'queue', 'delivery', 'ingress'];
const POLL_MS = 50;
/** Room for SPOOL and STORE (spoolSizeMax each) and the rest. */
const STORAGE_OCTETS_MAX = 24 * 1024 ** 3;

export interface ClusterOptions {
  /** How many processes of each service; 1 where nothing is said. */
  instances?: Partial<Record<ServiceName, number>>;
  /** Laid over the configuration of the tests, key by key at the top. Listeners, NATS and ports are set here. */
  config?: Omit<ConfigInput, 'listeners' | 'admin'>;
  /** Listeners of every ingress, each at a port of its own; by default one that relays, without TLS. */
  listeners?: ListenerInput[];
  /** Options for Node, by service. */
  nodeOptions?: Partial<Record<ServiceName, readonly string[]>>;
  /** More of them, of one process. */
  nodeOptionsOf?: (service: ServiceName, index: number) => readonly string[];
  /** Folder of the tree whose services run; by default the one that POSTRIDER_TREE names, or this one. */
  root?: string;
  /** Where its own nats-server has its store, how large JetStream may get, and what it takes (octets). */
  natsStore?: Pick<NatsOptions, 'parentFolder' | 'storageMax' | 'payloadMax'>;
  /** Servers of NATS that run already and that the test stops; by default the cluster has one of its own. */
  nats?: OtherNats;
  /** Where a process finds NATS, when it is not to go there directly. */
  natsUrl?: (service: ServiceName, index: number, url: string) => Promise<string>;
  /** Where to make the temporary folder; the system's place by default. */
  parentFolder?: string;
}

export interface OtherNats {
  url: string;
  /** Who each service is to it. */
  credentials?: (service: ServiceName) => NonNullable<ConfigInput['nats']>['credentials'];
}

interface Ports {
  listeners: number[];
  metrics: number;
  admin: number;
}

interface Member {
  process: ServiceProcess;
  ports: Ports;
}

type Nats = Awaited<ReturnType<typeof startNats>>;

export class Cluster {
  readonly folder: string;
  readonly #nats: Nats | undefined;
  readonly #members = new Map<ServiceName, Member[]>();
  /** The services end when their channel closes; NATS has none. */
  readonly #onExit = (): void => {
    try {
      if (this.#nats !== undefined) process.kill(this.#nats.pid, 'SIGKILL');
    } catch {
      // It is gone already.
    }
  };

  private constructor(folder: string, nats: Nats | undefined) {
    this.folder = folder;
    this.#nats = nats;
  }

  /** Its own nats-server. */
  get nats(): Nats {
    if (this.#nats === undefined) throw new Error('the cluster has no nats-server of its own');
    return this.#nats;
  }

  /** Resolves when every process is ready. */
  static async start(options: ClusterOptions = {}): Promise<Cluster> {
    const folder = mkdtempSync(join(options.parentFolder ?? tmpdir(), 'postrider-cluster-'));
    const own =
      options.nats === undefined
        ? await startNats({ storageMax: STORAGE_OCTETS_MAX, ...options.natsStore })
        : undefined;
    const cluster = new Cluster(folder, own);
    process.once('exit', cluster.#onExit);
    for (const made of ['config', 'log', 'mail']) mkdirSync(join(folder, made));
    try {
      for (const service of SERVICES) await cluster.#declare(service, options);
      await Promise.all(cluster.processes().map((one) => one.start()));
    } catch (error) {
      await cluster.stop();
      throw error;
    }
    return cluster;
  }

  async #declare(service: ServiceName, options: ClusterOptions): Promise<void> {
    const members: Member[] = [];
    const listeners = options.listeners ?? [{ role: 'relay', tls: 'none' }];
    for (let index = 0; index < (options.instances?.[service] ?? 1); index += 1) {
      const ports: Ports = { listeners: [], metrics: await freePort(), admin: await freePort() };
      for (let i = 0; i < listeners.length; i += 1) ports.listeners.push(await freePort());
      const configFile = join(this.folder, 'config', `${service}-${index}.yaml`);
      const config = this.#config(service, options, listeners, ports);
      const url = await options.natsUrl?.(service, index, (options.nats ?? this.nats).url);
      if (url !== undefined) config.nats = { ...config.nats, url };
      writeFileSync(configFile, stringify(config));
      const logFile = join(this.folder, 'log', `${service}-${index}.log`);
      const nodeOptions = [
        ...(options.nodeOptions?.[service] ?? []),
        ...(options.nodeOptionsOf?.(service, index) ?? []),
      ];
      const { root = process.env.POSTRIDER_TREE } = options;
      const files = { service, index, configFile, logFile, nodeOptions, ...(root !== undefined && { root }) };
      members.push({ ports, process: new ServiceProcess(files) });
    }
    this.#members.set(service, members);
  }

  #config(
    service: ServiceName,
    options: ClusterOptions,
    listeners: ListenerInput[],
    ports: Ports,
  ): ConfigInput {
    const { config = {}, nats = this.nats } = options;
    const credentials = 'credentials' in nats ? nats.credentials?.(service) : undefined;
    return {
      hostname: 'mx.cluster.test',
      ...config,
      nats: { spoolSizeMax: '8 GiB', ...config.nats, url: nats.url, ...(credentials && { credentials }) },
      listeners: listeners.map((one, i) => ({ ...one, address: '127.0.0.1', port: ports.listeners[i]! })),
      telemetry: { logLevel: 'info', ...config.telemetry, metricsPorts: { [service]: ports.metrics } },
      admin: { port: ports.admin },
    };
  }

  #member(service: ServiceName, index: number): Member {
    const member = this.#members.get(service)?.[index];
    if (member === undefined) throw new Error(`the cluster has no ${service} ${index}`);
    return member;
  }

  processes(): ServiceProcess[] {
    return [...this.#members.values()].flat().map((member) => member.process);
  }

  process(service: ServiceName, index = 0): ServiceProcess {
    return this.#member(service, index).process;
  }

  count(service: ServiceName): number {
    return this.#members.get(service)?.length ?? 0;
  }

  /** Port of a listener of an ingress. */
  smtpPort(listener = 0, index = 0): number {
    return this.#member('ingress', index).ports.listeners[listener]!;
  }

  /** Address of the operator's calls. */
  adminAddress(index = 0): string {
    return `127.0.0.1:${this.#member('queue', index).ports.admin}`;
  }

  metricsUrl(service: ServiceName, index = 0): string {
    return `http://127.0.0.1:${this.#member(service, index).ports.metrics}/metrics`;
  }

  /** Sum of a metric over all processes of a service; undefined while one of them does not answer or has none. */
  async sumOf(service: ServiceName, metric: string): Promise<number | undefined> {
    const indexes = Array.from({ length: this.count(service) }, (_, index) => index);
    const values = await Promise.all(
      indexes.map((index) => readMetric(this.metricsUrl(service, index), metric)),
    );
    return values.reduce<number | undefined>(
      (sum, value) => (sum === undefined || value === undefined ? undefined : sum + value),
      0,
    );
  }

  kill(service: ServiceName, index = 0, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    return this.process(service, index).kill(signal);
  }

  restart(service: ServiceName, index = 0): Promise<void> {
    return this.process(service, index).start();
  }

  /** The ends of all logs. */
  logTails(): string {
    return this.processes()
      .map((one) => one.logTail())
      .join('\n');
  }

  /** Waits until `read` gives something other than undefined, and returns that. */
  async until<T>(
    what: string,
    read: () => T | undefined | Promise<T | undefined>,
    withinMs = 15_000,
  ): Promise<T> {
    const deadlineAt = performance.now() + withinMs;
    for (;;) {
      const got = await read();
      if (got !== undefined) return got;
      if (performance.now() > deadlineAt) {
        throw new Error(`not within ${withinMs} ms: ${what}\n${this.logTails()}`);
      }
      await pause(POLL_MS);
    }
  }

  /** Stops everything, services before NATS, and removes the folder unless it is to be looked at. */
  async stop(folder: 'remove' | 'keep' = 'remove'): Promise<void> {
    for (const service of [...SERVICES].reverse()) {
      await Promise.all((this.#members.get(service) ?? []).map((member) => member.process.stop()));
    }
    process.removeListener('exit', this.#onExit);
    await this.#nats?.stop();
    if (folder === 'remove') rmSync(this.folder, { recursive: true, force: true });
  }
}
