// What a crash run runs on: hosts that are slow to answer, one nats-server or three, two processes of each service (one
// resolver), all with the hook that traces and freezes them, and the hands that do to them what a plan says.
// Fails: whatever does not start, or does not come back, rejects.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Cluster, type ConfigInput } from '#kit/cluster.ts';
import type { ServiceName } from '#kit/cluster-process.ts';
import { LoadSink } from '#kit/load-sink-process.ts';
import { NatsCluster } from '#kit/nats-cluster.ts';
import { natsPatient, type Patient, ProcessFaults, servicePatient } from '#kit/process-faults.ts';
import { SmallDisk } from '#kit/small-disk.ts';
import type { CrashOptions } from './crash-run.ts';
import { clockShifts, type Fault, nameOf, type Target } from './fault-plan.ts';
import { ADDRESSES, routesTo } from './load-mix.ts';

const INSTANCES = { ingress: 2, queue: 2, delivery: 2, resolver: 1 };
const NAMES = ['ingress-0', 'ingress-1', 'queue-0', 'queue-1', 'delivery-0', 'delivery-1', 'resolver-0'];
/** The last of each, where there are two, has only the server that a split cuts off. */
const SMALL_HALF = new Set(['queue-1', 'delivery-1']);
/** Which of three nats-servers that is. */
const CUT_OFF = 2;
const HOOK = fileURLToPath(new URL('../kit/process-hook.ts', import.meta.url));
const SMALL_STREAM = '16 MiB';
const SMALL_DISK_OCTETS = 64 * 1024 ** 2;
const SMALL_DISK_STREAM = '1 GiB';

export class CrashStage {
  readonly cluster: Cluster;
  readonly sink: LoadSink;
  readonly faults = new ProcessFaults();
  /** Where each process writes its trace, named after it. */
  readonly traceFolder: string;
  readonly #three: NatsCluster | undefined;
  readonly #disk: SmallDisk | undefined;

  private constructor(parts: {
    cluster: Cluster;
    sink: LoadSink;
    traceFolder: string;
    three: NatsCluster | undefined;
    disk: SmallDisk | undefined;
  }) {
    this.cluster = parts.cluster;
    this.sink = parts.sink;
    this.traceFolder = parts.traceFolder;
    this.#three = parts.three;
    this.#disk = parts.disk;
  }

  static async open(options: CrashOptions): Promise<CrashStage> {
    const traceFolder = mkdtempSync(join(options.parentFolder ?? tmpdir(), 'postrider-trace-'));
    const { answerAfterMs, slowAfterMs } = options.hosts;
    const sink = await LoadSink.start({
      answerAfterMs,
      answerSpreadMs: answerAfterMs,
      scripted: { slowAfterMs },
      addresses: ADDRESSES.length,
    });
    // Every other seed: the disk is small and the streams are not, or the streams are.
    const disk = options.full && options.seed % 2 === 1 ? SmallDisk.mount(SMALL_DISK_OCTETS) : undefined;
    let three: NatsCluster | undefined;
    try {
      if (options.cluster) three = await NatsCluster.start({ splittable: options.split === true });
      const cluster = await startCluster({ options, sink, traceFolder, three, disk });
      return new CrashStage({ cluster, sink, traceFolder, three, disk });
    } catch (error) {
      await three?.stop();
      disk?.unmount();
      await sink.stop();
      throw error;
    }
  }

  /** Does it; resolves when it is over. */
  async perform(fault: Fault): Promise<void> {
    switch (fault.kind) {
      case 'kill':
        return this.faults.kill(await this.#patient(fault.target), fault.forMs);
      case 'freeze':
        return this.faults.freeze(await this.#patient(fault.target), fault.forMs);
      case 'freezeItself':
        return this.faults.freezeItself(await this.#patient(fault.target), fault.forMs, { ...fault.moment });
      case 'restart':
        return this.faults.restart(await this.#patient(fault.target));
      case 'split':
        return this.#split(fault.forMs);
      case 'outage':
        await this.sink.ask('refuse');
        await pause(fault.forMs);
        await this.sink.ask('accept');
    }
  }

  async #patient(target: Target): Promise<Patient> {
    const { service, index } = target;
    if (service !== 'nats') return servicePatient(this.cluster, service, index as number);
    if (this.#three === undefined) return natsPatient(this.cluster.nats, 0);
    const number = index === 'leader' ? await this.#three.leaderOf('QUEUE') : index;
    return natsPatient(this.#three.servers[number]!, number);
  }

  /** Those in the small half can do nothing meanwhile, and count as hit. */
  async #split(forMs: number): Promise<void> {
    await this.faults.during('nats-split', async () => {
      this.#three!.cut(CUT_OFF);
      await pause(forMs);
      this.#three!.heal();
    });
  }

  async close(folder: 'remove' | 'keep' = 'remove'): Promise<void> {
    // Who is frozen could not end.
    for (const one of this.cluster.processes()) one.signal('SIGCONT');
    await this.cluster.stop(folder);
    await this.sink.stop();
    await this.#three?.stop();
    this.#disk?.unmount();
    if (folder === 'remove') rmSync(this.traceFolder, { recursive: true, force: true });
  }
}

interface Surroundings {
  options: CrashOptions;
  sink: LoadSink;
  traceFolder: string;
  three: NatsCluster | undefined;
  disk: SmallDisk | undefined;
}

function startCluster({ options, sink, traceFolder, three, disk }: Surroundings): Promise<Cluster> {
  const shifts = options.skew ? clockShifts(options.seed, NAMES) : new Map<string, number>();
  if (options.skew) options.say(`clocks: ${[...shifts].map(([name, ms]) => `${name} ${ms} ms`).join(', ')}`);
  return Cluster.start({
    instances: INSTANCES,
    ...(options.root !== undefined && { root: options.root }),
    ...(options.parentFolder !== undefined && { parentFolder: options.parentFolder }),
    ...(three && { nats: three }),
    ...(disk && { natsStore: { parentFolder: disk.folder } }),
    natsUrl: (service, index, url) => Promise.resolve(urlFor(`${service}-${index}`, options, three) ?? url),
    nodeOptionsOf: (service, index) => hookOptions(`${service}-${index}`, traceFolder, shifts),
    config: settings(options, sink.port, disk !== undefined),
  });
}

function urlFor(name: string, options: CrashOptions, three: NatsCluster | undefined): string | undefined {
  if (three === undefined || options.split !== true) return undefined;
  const urls = three.servers.map(({ url }) => url);
  return SMALL_HALF.has(name) ? urls[CUT_OFF]! : urls.filter((_, i) => i !== CUT_OFF).join(',');
}

function hookOptions(name: string, traceFolder: string, shifts: ReadonlyMap<string, number>): string[] {
  const url = new URL(`file://${HOOK}`);
  if (/^(queue|delivery)-/.test(name)) url.searchParams.set('trace', join(traceFolder, name));
  const shift = shifts.get(name);
  if (shift !== undefined) url.searchParams.set('shift', String(shift));
  return ['--import', url.href];
}

function settings(
  options: CrashOptions,
  port: number,
  isDiskSmall: boolean,
): Omit<ConfigInput, 'listeners' | 'admin'> {
  const small = isDiskSmall ? SMALL_DISK_STREAM : SMALL_STREAM;
  return {
    routes: routesTo(port),
    retry: { schedule: ['2 s', '5 s', '10 s'] },
    telemetry: { logLevel: 'info' },
    nats: {
      ...(options.cluster && { replicas: 3 }),
      // Several make the same stream at once, and JetStream reserves room for each of them.
      spoolSizeMax: options.full ? small : '4 GiB',
    },
    delivery: { siteConnectionsMax: 200, inDoubt: options.hold ? 'hold' : 'redeliver', backoffMin: '1 s' },
  };
}

/** All processes, for those who ask each. */
export function namesOf(service: ServiceName): string[] {
  return Array.from({ length: INSTANCES[service] }, (_, index) => nameOf({ service, index }));
}
