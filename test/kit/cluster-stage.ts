// The stage of the scenarios: a small cluster, a sink that the routes lead to, and a local domain whose Maildirs lie in the
// cluster's folder. One stage per file of tests.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { testCertificate, testKey } from './certificate.ts';
import { Cluster, type ClusterOptions, type ConfigInput, type OtherNats } from './cluster.ts';
import { type ClientMail, type MailReplies, SmtpClient } from './load-client.ts';
import { type SinkOptions, type SmtpSink, startSmtpSink } from './smtp-sink.ts';

/** Local recipients at LOCAL: these, and nobody else. */
export const RESIDENTS = ['alice', 'bob'];
export const LOCAL = 'local.test';
/** Routed to the sink. */
export const ROUTED = 'sink.test';
/** Listeners of the ingress, by their position. */
export const LISTENER = { relay: 0, mx: 1, submission: 2 } as const;

export interface StageOptions {
  config?: Pick<ConfigInput, 'retry' | 'limits' | 'delivery' | 'telemetry' | 'nats' | 'health' | 'drain'>;
  /** Routed to these places, beside ROUTED. */
  routes?: NonNullable<ConfigInput['routes']>;
  nats?: OtherNats;
  instances?: NonNullable<ClusterOptions['instances']>;
  nodeOptionsOf?: NonNullable<ClusterOptions['nodeOptionsOf']>;
  natsStore?: NonNullable<ClusterOptions['natsStore']>;
  sink?: SinkOptions;
}

export interface Sending extends Partial<ClientMail> {
  to: string | readonly string[];
  listener?: keyof typeof LISTENER;
  /** Which ingress; the first one when absent. */
  ingress?: number;
}

export class Stage {
  readonly cluster: Cluster;
  readonly sink: SmtpSink;
  readonly #folder: string;

  private constructor(cluster: Cluster, sink: SmtpSink, folder: string) {
    this.cluster = cluster;
    this.sink = sink;
    this.#folder = folder;
  }

  static async open({
    config = {},
    instances = {},
    routes = [],
    nats,
    sink: sinkOptions = {},
    ...more
  }: StageOptions = {}): Promise<Stage> {
    const folder = mkdtempSync(join(tmpdir(), 'postrider-stage-'));
    const [certificate, key] = [join(folder, 'certificate.pem'), join(folder, 'key.pem')];
    writeFileSync(certificate, testCertificate);
    writeFileSync(key, testKey);
    const sink = await startSmtpSink(sinkOptions);
    const maildir = join(folder, 'mail', '{domain}', '{local}');
    const cluster = await Cluster.start({
      instances,
      ...(nats && { nats }),
      ...more,
      listeners: [
        { role: 'relay', tls: 'starttls' },
        { role: 'mx', tls: 'starttls' },
        { role: 'relay', tls: 'implicit' },
      ],
      config: {
        localDomains: [{ name: LOCAL, recipients: RESIDENTS, gateway: { maildir } }],
        routes: [{ domain: ROUTED, to: `127.0.0.1:${sink.port}` }, ...routes],
        tls: { certificate, key },
        ...config,
        retry: { schedule: ['1 s'], ...config.retry },
        delivery: { backoffMin: '1 s', ...config.delivery },
      },
    });
    return new Stage(cluster, sink, folder);
  }

  /** A client that has said EHLO. */
  client(listener: keyof typeof LISTENER = 'relay', ingress = 0): Promise<SmtpClient> {
    const tls = listener === 'submission' ? 'implicit' : 'none';
    return SmtpClient.open(this.cluster.smtpPort(LISTENER[listener], ingress), tls);
  }

  /** One transaction over a connection of its own. */
  async attempt({ to, listener, ingress, ...mail }: Sending): Promise<MailReplies> {
    const client = await this.client(listener, ingress);
    const forwardPaths = typeof to === 'string' ? [to] : to;
    const base = { reversePath: `alice@${LOCAL}`, data: Buffer.from('Subject: a mail\r\n\r\nhello\r\n') };
    const replies = await client.send({ ...base, ...mail, forwardPaths });
    await client.quit();
    return replies;
  }

  /** The same, accepted; returns its queue id. */
  async send(sending: Sending): Promise<string> {
    const { mail, recipients, last } = await this.attempt(sending);
    const queueId = /^250 2\.0\.0 Ok: queued as (\S+)$/.exec(last.text)?.[1];
    const said = [mail, ...recipients, last].map((reply) => reply.text).join(' / ');
    if (queueId === undefined) throw new Error(`not accepted: ${said}`);
    return queueId;
  }

  /** What lies in the new folder of a local recipient's Maildir. */
  maildir(local: string): Buffer[] {
    const folder = join(this.#folder, 'mail', LOCAL, local, 'new');
    return existsSync(folder) ? readdirSync(folder).map((name) => readFileSync(join(folder, name))) : [];
  }

  /** Waits for so many mails in all in a Maildir; the test fails with the cluster's logs when they do not come. */
  delivered(local: string, count: number, withinMs?: number): Promise<Buffer[]> {
    const read = () => {
      const mails = this.maildir(local);
      return mails.length >= count ? mails : undefined;
    };
    return this.cluster.until(`${count} mails for ${local}`, read, withinMs);
  }

  /** Waits for so many mails in all at the sink. */
  async relayed(count: number, withinMs?: number): Promise<SmtpSink['mails']> {
    const read = () => (this.sink.taken >= count ? this.sink.mails : undefined);
    return this.cluster.until(`${count} mails at the sink`, read, withinMs);
  }

  /** Waits until the queue owns no mail. */
  async settled(withinMs?: number): Promise<void> {
    const read = async () =>
      (await this.cluster.sumOf('queue', 'postrider_queue_mails')) === 0 ? true : undefined;
    await this.cluster.until('an empty queue', read, withinMs);
  }

  async close(): Promise<void> {
    await this.cluster.stop();
    await this.sink.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
