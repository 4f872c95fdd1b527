// What a trouble is measured on: a small cluster with streams of a few megabytes, one healthy host that takes all that it is
// offered, a host for what is deferred once, and a link with which the bad thing is done.
// Fails: whatever does not start rejects; a call of JetStream that is refused throws with its words.
import { setTimeout as pause } from 'node:timers/promises';
import { Cluster, type ClusterOptions, type ConfigInput } from '#kit/cluster.ts';
import { freePort } from '#kit/cluster-ports.ts';
import { LoadSender } from '#kit/load-sender.ts';
import { LoadSink } from '#kit/load-sink-process.ts';
import { callApi } from '#libs/nats/api.ts';
import { connectLink, type Link } from '#libs/nats/link.ts';

export interface StageOptions {
  spoolStreams?: number;
  /** Octets of each SPOOL and STORE stream, as the configuration says them. */
  spoolSizeMax?: string;
  retry?: ConfigInput['retry'];
  natsStore?: ClusterOptions['natsStore'];
  /** Folder of the tree whose services run; this one when absent. */
  root?: string;
}

export interface Offered {
  domain: string;
  perSecond: number;
  octets: number;
  /** As many as it goes when absent. */
  mails?: number;
  /** First letters of the recipients. */
  local?: string;
  sessions?: number;
}

const PARTITIONS = 16;
const SLOW_DOT_MS = 590_000;
const CALL_WAIT_MS = 5000;
const SESSIONS = 20;
/** Nobody sends so many in a run. */
const MAILS_MAX = 1_000_000;

export class TroubleStage {
  readonly cluster: Cluster;
  readonly link: Link;
  /** Takes what is for healthy.test, at once. */
  readonly healthy: LoadSink;
  /** Takes what is for grey.test at the second try, what is for slow.test after the longest that RFC 5321 allows, and reports. */
  readonly other: LoadSink;
  readonly #senders: { sender: LoadSender; ended: Promise<void> }[] = [];
  readonly #streams: number;

  private constructor(parts: {
    cluster: Cluster;
    link: Link;
    healthy: LoadSink;
    other: LoadSink;
    streams: number;
  }) {
    this.cluster = parts.cluster;
    this.link = parts.link;
    this.healthy = parts.healthy;
    this.other = parts.other;
    this.#streams = parts.streams;
  }

  static async open(options: StageOptions): Promise<TroubleStage> {
    const { spoolStreams = 1, spoolSizeMax = '64 MiB', retry, natsStore, root } = options;
    const healthy = await LoadSink.start();
    const other = await LoadSink.start({ scripted: { slowAfterMs: SLOW_DOT_MS } });
    try {
      const cluster = await Cluster.start({
        instances: { queue: 2, delivery: 2 },
        ...(natsStore !== undefined && { natsStore }),
        ...(root !== undefined && { root }),
        config: {
          routes: await routesTo(healthy, other),
          retry: { schedule: ['5 s'], ...retry },
          nats: { spoolSizeMax, spoolStreams, partitions: PARTITIONS },
          delivery: { backoffMin: '1 s', siteConnectionsMax: 40 },
          // Packs stay in the stream for 15 s more than this.
          limits: { commitWaitMax: '5 s' },
          telemetry: { logLevel: 'warn' },
        },
      });
      const link = await connectLink({ url: cluster.nats.url, service: 'trouble' });
      return new TroubleStage({ cluster, link, healthy, other, streams: spoolStreams });
    } catch (error) {
      await healthy.stop();
      await other.stop();
      throw error;
    }
  }

  /** Begins to send; it ends with the stage, or when all are accepted. */
  offer({
    domain,
    perSecond,
    octets,
    mails = MAILS_MAX,
    local = 'r',
    sessions = SESSIONS,
  }: Offered): LoadSender {
    const sender = new LoadSender({
      ports: [this.cluster.smtpPort()],
      sessions,
      mails,
      octets,
      perSecond,
      tokenPrefix: `${domain}-${this.#senders.length}`,
      forwardPath: (mail) => `${local}${mail}@${domain}`,
    });
    this.#senders.push({ sender, ended: sender.run() });
    return sender;
  }

  /** The numbers of the streams. */
  get streams(): number[] {
    return [...Array(this.#streams).keys()];
  }

  /** The numbers of the partitions of a stream. */
  partitionsOf(stream: number): number[] {
    return [...Array(PARTITIONS).keys()].filter((p) => p % this.#streams === stream);
  }

  async call<T>(call: string, request?: unknown): Promise<T> {
    const answer = await callApi<T>(this.link, call, request, CALL_WAIT_MS);
    if (answer.kind !== 'ok') throw new Error(`${call}: ${JSON.stringify(answer)}`);
    return answer.value;
  }

  /** Changes the configuration of a stream while it is used. */
  async reconfigure(stream: string, change: object): Promise<void> {
    const { config } = await this.call<{ config: object }>(`STREAM.INFO.${stream}`);
    await this.call(`STREAM.UPDATE.${stream}`, { ...config, ...change });
  }

  /** Octets that a stream holds. */
  async octetsOf(stream: string): Promise<number> {
    return (await this.call<{ state: { bytes: number } }>(`STREAM.INFO.${stream}`)).state.bytes;
  }

  /** Ends the senders; what they have under way is answered first, or lost. */
  async quiet(withinMs: number): Promise<void> {
    for (const { sender } of this.#senders) sender.stop();
    await Promise.race([Promise.all(this.#senders.map(({ ended }) => ended)), pause(withinMs)]);
  }

  async close(): Promise<void> {
    for (const { sender, ended } of this.#senders) {
      sender.stop();
      ended.catch(() => undefined);
    }
    await this.link.close();
    await this.cluster.stop();
    await this.healthy.stop();
    await this.other.stop();
  }
}

async function routesTo(healthy: LoadSink, other: LoadSink): Promise<{ domain: string; to: string }[]> {
  return [
    { domain: 'healthy.test', to: `127.0.0.1:${healthy.port}` },
    { domain: 'grey.test', to: `127.0.0.2:${other.port}` },
    { domain: 'slow.test', to: `127.0.0.3:${other.port}` },
    // Of the sender: reports.
    { domain: 'client.test', to: `127.0.0.4:${other.port}` },
    { domain: 'dead.test', to: `127.0.0.1:${await freePort()}` },
  ];
}
