// A cluster in containers on a network of its own: three nats-servers, any number of each service, a mail system, and senders.
// Who is replaced gets a new name, as a pod does; a nats-server keeps its name and its volume.
//
// Fails: whatever does not start rejects with the end of its log; logs are in var/test/containers afterwards.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type StartedTestContainer, Wait } from 'testcontainers';
import { readMetric } from '#kit/cluster-metrics.ts';
import type { ServiceName } from '#kit/cluster-process.ts';
import { inDoubtIn } from '#kit/in-doubt.ts';
import { podPrograms } from '#kit/pod-programs.ts';
import { askingCommand, type PodAnswers, type Question } from '#kit/pod-questions.ts';
import { type NatsUser, natsUsers } from '#libs/nats/permissions.ts';
import { engine, makeNetwork, makeVolume, publishedPort, sweep } from './engine.ts';
import { eventually } from './eventually.ts';
import { HardenedContainer, type Mount } from './hardened-container.ts';
import type { Images } from './images.ts';
import { runToEnd } from './one-shot.ts';
import {
  CREDENTIALS,
  DOMAIN,
  NATS_NODES,
  natsSettings,
  PORT,
  passwordOf,
  SINK,
  SITES,
  serviceSettings,
} from './settings.ts';

const LOGS = fileURLToPath(new URL('../../var/test/containers', import.meta.url));
const START_MS_MAX = 60_000;
const STOP_MS_MAX = 45_000;
const PARTITIONS = 32;
/** Between the final dot and its reply, so that a worker can be lost there. */
const ANSWER_AFTER_MS = 15;

export interface Member {
  /** "queue-2". */
  name: string;
  container: HardenedContainer;
  started: StartedTestContainer;
}

export interface Stopped {
  exitCode: number;
  tookMs: number;
}

export class Fleet {
  readonly network: string;
  readonly #images: Images;
  readonly #folder = mkdtempSync(join(tmpdir(), 'postrider-containers-'));
  readonly #members = new Map<ServiceName, Member[]>();
  readonly #nats: Member[] = [];
  readonly #others = new Map<string, Member>();
  /** Of all that ever ran. */
  readonly #containers = new Map<string, HardenedContainer>();
  #named = 0;

  private constructor(images: Images, network: string) {
    this.#images = images;
    this.network = network;
    const programs = join(this.#folder, 'programs');
    mkdirSync(programs, { mode: 0o755 });
    const files = podPrograms();
    for (const [name, text] of Object.entries(files)) writeFileSync(join(programs, name), text);
    writeFileSync(join(this.#folder, 'postrider.yaml'), serviceSettings());
    for (const user of natsUsers) this.#writeCredentials(user);
    for (const node of NATS_NODES) writeFileSync(join(this.#folder, `${node}.conf`), natsSettings(node));
  }

  #writeCredentials(user: NatsUser): void {
    const folder = join(this.#folder, user);
    mkdirSync(folder, { mode: 0o755 });
    writeFileSync(join(folder, 'user'), user);
    writeFileSync(join(folder, 'password'), passwordOf(user));
  }

  /** What everybody has who speaks with NATS: the configuration, and who it is. */
  #mounts(user: NatsUser): Mount[] {
    return [
      { source: join(this.#folder, 'postrider.yaml'), target: '/etc/postrider/postrider.yaml', mode: 'ro' },
      { source: join(this.#folder, user), target: CREDENTIALS, mode: 'ro' },
    ];
  }

  /** Resolves when every service is ready and owns its share. */
  static async start(images: Images, counts: Record<ServiceName, number>): Promise<Fleet> {
    const fleet = new Fleet(images, await makeNetwork());
    try {
      await Promise.all(NATS_NODES.map((node) => fleet.#startNats(node)));
      await fleet.#natsHealthy();
      await fleet.#provision();
      await fleet.#startSink();
      const services = Object.entries(counts) as [ServiceName, number][];
      await Promise.all(services.flatMap(([name, count]) => fleet.add(name, count)));
      await fleet.allOwned();
    } catch (error) {
      await fleet.close();
      throw error;
    }
    return fleet;
  }

  async #run(name: string, container: HardenedContainer, sign: string | RegExp): Promise<Member> {
    this.#containers.set(name, container);
    try {
      const started = await container
        .withWaitStrategy(Wait.forLogMessage(sign))
        .withStartupTimeout(START_MS_MAX)
        .start();
      return { name, container, started };
    } catch (error) {
      throw new Error(`${name}: ${(error as Error).message}\n${container.log.slice(-2000)}`);
    }
  }

  async #startNats(node: string): Promise<void> {
    const volume = await makeVolume(`${this.network}-${node}`);
    const settings = join(this.#folder, `${node}.conf`);
    const container = new HardenedContainer(this.#images.nats, { network: this.network, aliases: [node] })
      .withExposedPorts(PORT.natsMonitor)
      .withBindMounts([
        { source: volume, target: '/data', mode: 'rw' },
        { source: settings, target: '/etc/nats/nats.conf', mode: 'ro' },
      ]);
    this.#nats.push(await this.#run(node, container, 'Server is ready'));
  }

  /** All streams of all nodes are in step. */
  async #natsHealthy(): Promise<void> {
    const isHealthy = async ({ started }: Member) => {
      const port = await publishedPort(started.getId(), PORT.natsMonitor);
      const answer = await fetch(`http://127.0.0.1:${port}/healthz`).catch(() => undefined);
      await answer?.text();
      return answer?.status === 200;
    };
    for (const node of this.#nats)
      await eventually(() => isHealthy(node), START_MS_MAX, `${node.name} is healthy`);
  }

  /** As a chart's Job does before the services start. */
  async #provision(): Promise<void> {
    const { exitCode, output } = await runToEnd({
      image: this.#images.postrider,
      network: this.network,
      command: ['postrider', 'provision'],
      mounts: this.#mounts('provision'),
    });
    if (exitCode !== 0) throw new Error(`postrider provision ended with ${exitCode}:\n${output}`);
  }

  #pod(name: string, args: readonly (string | number)[], sign: string): Promise<Member> {
    const container = new HardenedContainer(this.#images.postrider, {
      network: this.network,
      aliases: [name],
    })
      .withCommand(['node', ...args.map(String)])
      .withBindMounts([{ source: join(this.#folder, 'programs'), target: '/programs', mode: 'ro' }]);
    return this.#run(name, container, sign);
  }

  async #startSink(): Promise<void> {
    const args = ['/programs/pod-sink.ts', SINK.firstPort, SITES, ANSWER_AFTER_MS];
    this.#others.set(SINK.name, await this.#pod(SINK.name, args, 'takes mail'));
  }

  /** Starts to send to whichever ingress is there; `prefix` begins its tokens and names it. */
  async startSender(prefix: string, perSecond: number): Promise<void> {
    const args = ['/programs/pod-sender.ts', 'ingress', PORT.smtp, perSecond, SITES, DOMAIN, prefix];
    this.#others.set(prefix, await this.#pod(prefix, args, 'sends to'));
  }

  async ask<Q extends Question>(name: string, question: Q): Promise<PodAnswers[Q]> {
    const { output, exitCode, stderr } = await this.#others.get(name)!.started.exec(askingCommand(question));
    if (exitCode !== 0) throw new Error(`${name} does not answer ${question}: ${stderr}`);
    return JSON.parse(output) as PodAnswers[Q];
  }

  members(service: ServiceName): readonly Member[] {
    return this.#members.get(service) ?? [];
  }

  /** Starts `count` more of a service; resolves when they are ready. */
  async add(service: ServiceName, count = 1): Promise<void> {
    await Promise.all(
      Array.from({ length: count }, async () => {
        this.#named += 1;
        const name = `${service}-${this.#named}`;
        const aliases = [service, name];
        const container = new HardenedContainer(this.#images.postrider, { network: this.network, aliases })
          .withCommand([`postrider-${service}`])
          .withExposedPorts(PORT.health, PORT.metrics)
          .withBindMounts(this.#mounts(service));
        const member = await this.#run(name, container, '"msg":"ready"');
        this.#members.set(service, [...this.members(service), member]);
      }),
    );
  }

  /** Asks one instance to stop, as an orchestrator does, and removes it when it has. */
  async remove(service: ServiceName, member: Member): Promise<Stopped> {
    this.#members.set(
      service,
      this.members(service).filter((other) => other !== member),
    );
    const container = (await engine()).getContainer(member.started.getId());
    const startedAt = performance.now();
    await container.kill({ signal: 'SIGTERM' });
    const late = setTimeout(() => void container.kill().catch(() => undefined), STOP_MS_MAX);
    const { StatusCode: exitCode } = (await container.wait()) as { StatusCode: number };
    clearTimeout(late);
    const tookMs = Math.round(performance.now() - startedAt);
    await container.remove({ v: true });
    return { exitCode, tookMs };
  }

  /** Replaces every instance, one at a time: the new one is ready before the old one is asked to stop. */
  async roll(service: ServiceName): Promise<Stopped[]> {
    const stopped: Stopped[] = [];
    for (const member of [...this.members(service)]) {
      await this.add(service);
      stopped.push(await this.remove(service, member));
      await this.allOwned();
    }
    return stopped;
  }

  /** Stops each nats-server after it has sent its clients away (lame duck), and starts it again on its volume. */
  async rollNats(): Promise<void> {
    for (const { started } of this.#nats) {
      const container = (await engine()).getContainer(started.getId());
      await container.kill({ signal: 'SIGUSR2' });
      await container.wait();
      await container.start();
      await this.#natsHealthy();
      await this.allOwned();
    }
  }

  /** Takes the cable out of one instance. */
  async cut({ started }: Member): Promise<void> {
    await (await engine()).getNetwork(this.network).disconnect({ Container: started.getId() });
  }

  /** Puts it back. */
  async mend(service: ServiceName, { name, started }: Member): Promise<void> {
    await (await engine()).getNetwork(this.network).connect({
      Container: started.getId(),
      EndpointConfig: { Aliases: [service, name] },
    });
  }

  async metric({ started }: Member, name: string): Promise<number | undefined> {
    const port = await publishedPort(started.getId(), PORT.metrics);
    return readMetric(`http://127.0.0.1:${port}/metrics`, name);
  }

  /** Sum over all instances of a service; undefined while one of them does not answer. */
  async sumOf(service: ServiceName, name: string): Promise<number | undefined> {
    const values = await Promise.all(this.members(service).map((member) => this.metric(member, name)));
    return values.reduce(
      (sum, value) => (sum === undefined || value === undefined ? undefined : sum + value),
      0,
    );
  }

  /** Every partition has an owner. */
  allOwned(): Promise<void> {
    const owned = async () => (await this.sumOf('queue', 'postrider_queue_partitions')) === PARTITIONS;
    return eventually(owned, START_MS_MAX, 'every partition has an owner');
  }

  /** How many attempts of a queue id any queue instance ever said were in doubt. */
  inDoubt(): Map<string, number> {
    const queues = [...this.#containers].filter(([name]) => name.startsWith('queue-'));
    return inDoubtIn(queues.map(([, { log }]) => log));
  }

  /** What any nats-server refused anybody. */
  refusals(): string[] {
    const lines = [...this.#containers.values()].flatMap(({ log }) => log.split('\n'));
    return lines.filter((line) => /permissions? violation|authorization violation/i.test(line));
  }

  async close(): Promise<void> {
    await sweep();
    mkdirSync(LOGS, { recursive: true });
    for (const [name, { log }] of this.#containers) writeFileSync(join(LOGS, `${name}.log`), log);
    rmSync(this.#folder, { recursive: true });
  }
}
