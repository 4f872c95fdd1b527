// A whole cluster whose spans go to a real OTLP receiver, and a sink that "routed.test" is routed to.
import { Cluster, type ClusterOptions, type ConfigInput } from './cluster.ts';
import { SmtpClient } from './load-client.ts';
import { type OtlpReceiver, startOtlpReceiver } from './otlp-receiver.ts';
import { type SmtpSink, startSmtpSink } from './smtp-sink.ts';

const MAIL = Buffer.from('Subject: trace\r\n\r\nHello.\r\n');

export class TracedCluster {
  readonly receiver: OtlpReceiver;
  readonly sink: SmtpSink;
  readonly cluster: Cluster;

  private constructor(receiver: OtlpReceiver, sink: SmtpSink, cluster: Cluster) {
    this.receiver = receiver;
    this.sink = sink;
    this.cluster = cluster;
  }

  /** Deferred mail is tried again after 2 s. */
  static async start(
    telemetry: ConfigInput['telemetry'],
    instances: ClusterOptions['instances'] = {},
  ): Promise<TracedCluster> {
    const [receiver, sink] = await Promise.all([startOtlpReceiver(), startSmtpSink()]);
    const cluster = await Cluster.start({
      instances,
      config: {
        routes: [{ domain: 'routed.test', to: `127.0.0.1:${sink.port}` }],
        telemetry: { otlpEndpoint: receiver.url, ...telemetry },
        retry: { schedule: ['2 s'] },
      },
    });
    return new TracedCluster(receiver, sink, cluster);
  }

  /** Sends a mail to an ingress; its queue id. Throws when it is refused. */
  async send(recipient: string, { ingress = 0, reversePath = 's@client.test' } = {}): Promise<string> {
    const client = await SmtpClient.open(this.cluster.smtpPort(0, ingress));
    const { last } = await client.send({
      reversePath,
      forwardPaths: [recipient],
      data: MAIL,
    });
    await client.quit();
    if (last.code !== 250) throw new Error(`not accepted: ${last.text}`);
    return last.text.split(' ').at(-1)!;
  }

  async stop(): Promise<void> {
    await this.cluster.stop();
    await this.sink.close();
    await this.receiver.stop();
  }
}
