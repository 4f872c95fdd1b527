// One mail's trace through all four services, as a real OTLP receiver gets it.
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { Cluster } from '#kit/cluster.ts';
import { SmtpClient } from '#kit/load-client.ts';
import { type OtlpReceiver, startOtlpReceiver } from '#kit/otlp-receiver.ts';
import type { ReceivedSpan } from '#kit/otlp-spans.ts';
import { type SmtpSink, startSmtpSink } from '#kit/smtp-sink.ts';

const MINUTE = 60_000;
const MAIL = Buffer.from('Subject: trace\r\n\r\nHello.\r\n');

let receiver: OtlpReceiver;
let sink: SmtpSink;
let cluster: Cluster;

beforeEach(async () => {
  [receiver, sink] = await Promise.all([startOtlpReceiver(), startSmtpSink()]);
  cluster = await Cluster.start({
    config: {
      routes: [{ domain: 'routed.test', to: `127.0.0.1:${sink.port}` }],
      telemetry: { otlpEndpoint: receiver.url, sampleRatio: 1, sameTraceWindow: '1 s' },
      retry: { schedule: ['2 s'] },
    },
  });
}, MINUTE);

afterEach(async () => {
  await cluster.stop();
  await sink.close();
  await receiver.stop();
}, MINUTE);

/** Queue id of the mail. */
async function send(recipient: string): Promise<string> {
  const client = await SmtpClient.open(cluster.smtpPort());
  const { last } = await client.send({ reversePath: 's@client.test', forwardPaths: [recipient], data: MAIL });
  await client.quit();
  expect(last.code).toBe(250);
  return last.text.split(' ').at(-1)!;
}

const spansOf = (service: string) => receiver.spans.filter((span) => span.service === `postrider-${service}`);

/** From the span up to its root: the services that it came through. */
function chainOf(span: ReceivedSpan): string[] {
  const parent = receiver.spans.find(({ spanId }) => spanId === span.parentSpanId);
  return [span.service.replace('postrider-', ''), ...(parent === undefined ? [] : chainOf(parent))];
}

describe("A mail's trace", () => {
  test(
    'is one chain over all four services, with the reply of the attempt and no recipient',
    async () => {
      const queueId = await send('someone@routed.test');
      await receiver.waitFor(() =>
        ['ingress', 'queue', 'resolver', 'delivery'].every((service) => spansOf(service).length > 0),
      );
      const [accepted] = spansOf('ingress');
      const [resolved] = spansOf('resolver');
      const [attempt] = spansOf('delivery');
      expect(accepted).toMatchObject({ parentSpanId: '', attributes: { 'mail.queue_id': queueId } });
      expect(chainOf(attempt!)).toEqual(['delivery', 'queue', 'ingress']);
      expect(chainOf(resolved!)).toEqual(['resolver', 'queue', 'ingress']);
      expect(new Set(receiver.spans.map(({ traceId }) => traceId)).size).toBe(1);
      expect(attempt!.attributes).toMatchObject({
        'mail.queue_id': queueId,
        'mail.outcome': 'relayed',
        'smtp.status_code': 250,
      });
      const said = JSON.stringify(receiver.spans.map(({ startNs, endNs, ...span }) => span));
      expect(said).not.toContain('someone');
    },
    MINUTE,
  );

  test(
    'does not hold an attempt that comes late: that is a trace of its own, linked to it',
    async () => {
      const queueId = await send('450-then-250@routed.test');
      await receiver.waitFor(() => spansOf('delivery').length > 1);
      const [accepted] = spansOf('ingress');
      const [first, later] = spansOf('delivery');
      expect(first).toMatchObject({ traceId: accepted!.traceId, statusCode: 2 });
      expect(first!.attributes).toMatchObject({ 'smtp.status_code': 450, 'mail.outcome': 'deferred' });
      expect(later).toMatchObject({ parentSpanId: '', links: [accepted!.traceId], statusCode: 0 });
      expect(later!.attributes).toMatchObject({ 'mail.queue_id': queueId, 'smtp.status_code': 250 });
      expect(later!.traceId).not.toBe(accepted!.traceId);
    },
    MINUTE,
  );
});
