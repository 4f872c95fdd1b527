// Whole delivery workers in this process over a real nats-server, an owner that sends them jobs, and sinks: what tests of
// the delivery service stand on.
import { configSchema } from '#libs/config/schema.ts';
import type { Layout } from '#libs/nats/layout.ts';
import { connectLink, type Link } from '#libs/nats/link.ts';
import { provision } from '#libs/nats/provision.ts';
import { startTelemetry, type Telemetry } from '#libs/telemetry/telemetry.ts';
import { type Site, Transport } from '#proto/postrider/v1/route.ts';
import { Delivery } from '../../services/delivery/delivery.actor.ts';
import { DeliveryOwner, until } from './delivery-owner.ts';
import { type NatsOptions, type NatsServer, startNats } from './nats-server.ts';
import { type SinkOptions, type SmtpSink, startSmtpSink } from './smtp-sink.ts';

export interface Worker {
  link: Link;
  stop(): Promise<void>;
  /** As if it were killed: nothing is told any more. */
  kill(): Promise<void>;
}

const SHARDS = 16;
const layout: Layout = { partitions: 2, spoolStreams: 1, replicas: 1, spoolSizeMax: 100_000_000 };

export class DeliveryWorkers {
  readonly nats: NatsServer;
  readonly #telemetry: Telemetry;
  readonly #link: Link;
  readonly #workers: Worker[] = [];
  readonly #sinks: SmtpSink[] = [];
  #epoch = 0;
  #keys = 0;

  private constructor(nats: NatsServer, link: Link, telemetry: Telemetry) {
    this.nats = nats;
    this.#link = link;
    this.#telemetry = telemetry;
  }

  static async open(options: NatsOptions = {}): Promise<DeliveryWorkers> {
    const nats = await startNats(options);
    const link = await connectLink({ url: nats.url, service: 'queue' });
    await provision(link, layout);
    const config = configSchema.parse({ telemetry: { logLevel: 'silent' } });
    const telemetry = await startTelemetry(config, { name: 'delivery', instance: 'test' });
    return new DeliveryWorkers(nats, link, telemetry);
  }

  /** An owner with a newer epoch than those before. */
  owner(partition = 0): DeliveryOwner {
    this.#epoch += 1;
    return new DeliveryOwner({ link: this.#link, layout, shards: SHARDS, partition, epoch: this.#epoch });
  }

  /** The next owner's epoch, when the test has raised its owner's by itself. */
  raiseEpoch(owner: DeliveryOwner): void {
    owner.epoch += 1;
    this.#epoch += 1;
  }

  /** A worker that serves its shards; `delivery` is laid over the configuration of the tests, `drain` over the defaults. */
  async start(delivery: Record<string, unknown> = {}, drain: Record<string, unknown> = {}): Promise<Worker> {
    const config = configSchema.parse({
      hostname: 'worker.test',
      nats: { partitions: layout.partitions },
      drain,
      delivery: { shards: SHARDS, timeoutScale: 0.01, backoffMin: '500 ms', backoffMax: '1 s', ...delivery },
    });
    const own = await connectLink({ url: this.nats.url, service: 'delivery' });
    const worker = new Delivery({ config, telemetry: this.#telemetry, link: own });
    await worker.start();
    let life: 'live' | 'over' = 'live';
    const once = (act: () => Promise<void>) => async () => {
      if (life === 'live') await act();
      life = 'over';
    };
    const made: Worker = {
      link: own,
      stop: once(async () => {
        await worker.stop();
        await own.close();
      }),
      kill: once(() => own.close()),
    };
    this.#workers.push(made);
    return made;
  }

  async sink(options: SinkOptions = {}): Promise<SmtpSink> {
    const sink = await startSmtpSink(options);
    this.#sinks.push(sink);
    return sink;
  }

  /** The nats-server that was killed, with its streams: those in memory are new. */
  async restartNats(): Promise<void> {
    await this.nats.restart();
    await until(() => this.#link.connected);
    await provision(this.#link, layout);
  }

  /** A site that nobody used before, at one port of this machine. */
  site(port: number, more: Partial<Site> = {}): Site {
    const hosts = [{ name: 'mx.test', port, addresses: ['127.0.0.1'], unixPath: '' }];
    return { key: `site-${this.#keys++}`, transport: Transport.SMTP, hosts, maildir: '', ...more };
  }

  /** Stops all workers and sinks. */
  async clear(): Promise<void> {
    await Promise.all(this.#sinks.splice(0).map((sink) => sink.close()));
    await Promise.all(this.#workers.splice(0).map((worker) => worker.stop()));
  }

  async close(): Promise<void> {
    await this.#telemetry.stop();
    await this.#link.close();
    await this.nats.stop();
  }
}
