// A whole cluster under mail of every kind, and a real Prometheus that watches it as one would in production.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { testCertificate, testKey } from '#kit/certificate.ts';
import { Cluster } from '#kit/cluster.ts';
import { type DnsTestServer, startDnsServer } from '#kit/dns-server.ts';
import { SmtpClient } from '#kit/load-client.ts';
import { type SmtpSink, startSmtpSink } from '#kit/smtp-sink.ts';
import { type PrometheusServer, startPrometheus } from './prometheus-server.ts';
import { ruleFiles } from './shipped.ts';

const SERVICES = ['ingress', 'queue', 'resolver', 'delivery'] as const;
const INSTANCES = { ingress: 1, queue: 2, resolver: 1, delivery: 2 };
/** Listeners by their position. */
const LISTENER = { relay: 0, mx: 1, submission: 2, balanced: 3 };
const SESSIONS_MAX = 4;
/** Nobody listens there: spans are lost, and that is counted. */
const NO_RECEIVER = 'http://127.0.0.1:1';
/** Two domains with one host, so that the second is partly known. */
const DNS_NAMES = {
  'one.test': { MX: ['10 mx.test'] },
  'two.test': { MX: ['10 mx.test'] },
  'mx.test': { A: ['127.0.0.1'] },
};
const DATA = Buffer.from('Subject: a mail\r\n\r\nhello\r\n');

export class WatchedCluster {
  readonly cluster: Cluster;
  readonly prometheus: PrometheusServer;
  readonly #sink: SmtpSink;
  readonly #dns: DnsTestServer;
  readonly #folder: string;

  private constructor(parts: {
    cluster: Cluster;
    prometheus: PrometheusServer;
    sink: SmtpSink;
    dns: DnsTestServer;
    folder: string;
  }) {
    this.cluster = parts.cluster;
    this.prometheus = parts.prometheus;
    this.#sink = parts.sink;
    this.#dns = parts.dns;
    this.#folder = parts.folder;
  }

  static async start(): Promise<WatchedCluster> {
    const folder = mkdtempSync(join(tmpdir(), 'postrider-watched-'));
    const sink = await startSmtpSink();
    const dns = (await startDnsServer(DNS_NAMES)).script('nowhere.test', 'servfail');
    const cluster = await startCluster(folder, { sink: sink.port, dns: dns.address });
    const address = (service: (typeof SERVICES)[number], index: number) =>
      new URL(cluster.metricsUrl(service, index)).host;
    const jobs = Object.fromEntries(
      SERVICES.map((service) => [
        `postrider-${service}`,
        Array.from({ length: INSTANCES[service] }, (_, index) => address(service, index)),
      ]),
    );
    const prometheus = await startPrometheus({ jobs, ruleFiles: ruleFiles() });
    return new WatchedCluster({ cluster, prometheus, sink, dns, folder });
  }

  async #send(listener: keyof typeof LISTENER, forwardPaths: string[]): Promise<void> {
    const tls = listener === 'submission' ? 'implicit' : 'none';
    const client = await SmtpClient.open(this.cluster.smtpPort(LISTENER[listener]), tls);
    await client.send({ reversePath: 'alice@local.test', forwardPaths, data: DATA });
    await client.quit();
  }

  /** Mail that is relayed, delivered here, deferred, failed and reported, refused, and some whose domains DNS must tell. */
  async sendOfEveryKind(): Promise<void> {
    await this.#send('relay', ['anyone@sink.test', '550@sink.test']);
    await this.#send('mx', ['bob@local.test']);
    await this.#send('submission', ['450@sink.test']);
    await this.#send('mx', ['nobody@local.test']);
    for (const domain of ['one.test', 'two.test', 'nowhere.test'])
      await this.#send('relay', [`someone@${domain}`]);
  }

  async sendOne(): Promise<void> {
    await this.#send('relay', ['anyone@sink.test']);
  }

  /** One client more than may be there, and a peer without a PROXY header. */
  async misbehave(): Promise<void> {
    const clients = await Promise.all(
      Array.from({ length: SESSIONS_MAX }, () => SmtpClient.open(this.cluster.smtpPort(LISTENER.relay))),
    );
    const turnedAway = await SmtpClient.connect(this.cluster.smtpPort(LISTENER.relay));
    await turnedAway.reply();
    for (const client of clients) await client.quit();
    await new Promise<void>((done) => {
      const socket = connect(this.cluster.smtpPort(LISTENER.balanced), '127.0.0.1');
      socket.on('error', () => {}).on('close', () => done());
      socket.resume().write('EHLO no.header.test\r\n');
    });
  }

  async stop(): Promise<void> {
    await this.prometheus.stop();
    await this.cluster.stop();
    await this.#sink.close();
    await this.#dns.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

function startCluster(folder: string, peers: { sink: number; dns: string }): Promise<Cluster> {
  const [certificate, key] = [join(folder, 'certificate.pem'), join(folder, 'key.pem')];
  writeFileSync(certificate, testCertificate);
  writeFileSync(key, testKey);
  const maildir = join(folder, 'mail', '{domain}', '{local}');
  return Cluster.start({
    instances: INSTANCES,
    listeners: [
      { role: 'relay', tls: 'starttls' },
      { role: 'mx', tls: 'starttls' },
      { role: 'relay', tls: 'implicit' },
      { role: 'mx', tls: 'none', proxyProtocol: { trusted: ['127.0.0.0/8'] } },
    ],
    config: {
      localDomains: [{ name: 'local.test', recipients: ['alice', 'bob'], gateway: { maildir } }],
      routes: [{ domain: 'sink.test', to: `127.0.0.1:${peers.sink}` }],
      tls: { certificate, key },
      limits: { sessionsMax: SESSIONS_MAX },
      retry: { schedule: ['2 s'] },
      delivery: { backoffMin: '1 s', smtpPort: peers.sink },
      dns: { servers: [peers.dns] },
      telemetry: { otlpEndpoint: NO_RECEIVER, sampleRatio: 1 },
    },
  });
}
