// What a service shows of itself, seen by real receivers: an OTLP one and a Prometheus scrape.
import { createServer } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { freePort } from '#kit/cluster-ports.ts';
import { type OtlpReceiver, startOtlpReceiver } from '#kit/otlp-receiver.ts';
import { type Config, configSchema } from '#libs/config/schema.ts';
import { startTelemetry, type Telemetry } from '#libs/telemetry/telemetry.ts';

let receiver: OtlpReceiver;
const running: Telemetry[] = [];

beforeEach(async () => {
  receiver = await startOtlpReceiver();
});
afterEach(async () => {
  for (const telemetry of running.splice(0)) await telemetry.stop();
  await receiver.stop();
});

function configWith(telemetry: Record<string, unknown>): Config {
  return configSchema.parse({ telemetry: { logLevel: 'silent', sampleRatio: 1, ...telemetry } });
}

async function started(telemetry: Record<string, unknown>, name = 'queue'): Promise<Telemetry> {
  const one = await startTelemetry(configWith(telemetry), { name, instance: `${name}-test` });
  running.push(one);
  return one;
}

async function scrape(port: number): Promise<string> {
  const answer = await fetch(`http://127.0.0.1:${port}/metrics`);
  expect(answer.status).toBe(200);
  return answer.text();
}

describe('An OTLP receiver', () => {
  test('gets a trace that went through two services', async () => {
    const ingress = await started({ otlpEndpoint: receiver.url }, 'ingress');
    const queue = await started({ otlpEndpoint: `${receiver.url}/` }, 'queue');
    const root = ingress.tracing.startRoot('accept mail', {
      kind: 'server',
      attributes: { 'mail.size': 120 },
    })!;
    const child = queue.tracing.start('queue mail', root.context, { kind: 'consumer' })!;
    child.event('deferred');
    child.fail('451 4.7.1');
    child.end();
    root.end();
    const spans = await receiver.waitFor(({ length }) => length === 2);
    const [accept, queued] = ['accept mail', 'queue mail'].map(
      (name) => spans.find((one) => one.name === name)!,
    );
    expect(accept).toMatchObject({
      service: 'postrider-ingress',
      parentSpanId: '',
      kind: 2,
      attributes: { 'mail.size': 120 },
      statusCode: 0,
    });
    expect(queued).toMatchObject({
      service: 'postrider-queue',
      traceId: accept!.traceId,
      parentSpanId: accept!.spanId,
      kind: 5,
      events: ['deferred'],
      statusCode: 2,
      statusMessage: '451 4.7.1',
    });
    expect(queued!.endNs).toBeGreaterThanOrEqual(queued!.startNs);
  });

  test('gets a later attempt as a trace of its own that is linked to the first', async () => {
    const { tracing } = await started({ otlpEndpoint: receiver.url, sampleRatio: 0 });
    expect(tracing.startRoot('accept mail', { kind: 'server' })).toBeUndefined();
    const first = tracing.startRoot('accept mail', { kind: 'server', keep: 'always' })!;
    first.end();
    tracing.startRoot('deliver attempt', { kind: 'client', links: [first.context] })!.end();
    const spans = await receiver.waitFor(({ length }) => length === 2);
    const later = spans.find(({ name }) => name === 'deliver attempt')!;
    expect(later.traceId).not.toBe(first.context.traceId.toString('hex'));
    expect(later.links).toEqual([first.context.traceId.toString('hex')]);
  });

  test('gets the last spans when a service stops', async () => {
    const { tracing, stop } = await startTelemetry(configWith({ otlpEndpoint: receiver.url }), {
      name: 'queue',
      instance: 'queue-test',
    });
    tracing.startRoot('accept mail', { kind: 'server' })!.end();
    await stop();
    expect(receiver.spans.map(({ name }) => name)).toEqual(['accept mail']);
  });

  test('that is away holds up nobody for long', async () => {
    const gone = await startOtlpReceiver();
    await gone.stop();
    const { tracing, stop } = await startTelemetry(configWith({ otlpEndpoint: gone.url }), {
      name: 'queue',
      instance: 'queue-test',
    });
    tracing.startRoot('accept mail', { kind: 'server' })!.end();
    const startedAt = Date.now();
    await stop();
    expect(Date.now() - startedAt).toBeLessThan(8_000);
  }, 15_000);
});

describe('The metrics endpoint', () => {
  test('shows counters, gauges, histograms and the process', async () => {
    const { metrics, metricsPort } = await started({});
    const counter = metrics.counter('postrider_test_total', 'Tests.');
    counter.add(2, { outcome: 'delivered' });
    counter.add(3, { outcome: 'delivered' });
    let waiting = 7;
    metrics.gauge('postrider_test_waiting', 'Waiting.', () => waiting);
    metrics.histogram('postrider_test_seconds', 'Seconds.', [0.1, 1]).record(0.5);
    waiting = 8;
    const text = await scrape(metricsPort);
    for (const line of [
      'postrider_test_total{outcome="delivered"} 5',
      'postrider_test_waiting 8',
      'postrider_test_seconds_bucket{le="0.1"} 0',
      'postrider_test_seconds_bucket{le="1"} 1',
    ]) {
      expect(text.split('\n')).toContain(line);
    }
    expect(text).toMatch(/^process_resident_memory_bytes \d+$/m);
    expect(text).toMatch(/service_name="postrider-queue"/);
    expect((await fetch(`http://127.0.0.1:${metricsPort}/`)).status).toBe(404);
  });

  test('is at the port that the configuration names', async () => {
    const port = await freePort();
    const { metricsPort } = await started({ metricsPorts: { queue: port } });
    expect(metricsPort).toBe(port);
  });

  test('moves to another port when that one is taken', async () => {
    const other = createServer();
    const port = await freePort();
    await new Promise<void>((done) => other.listen(port, '127.0.0.1', done));
    const { metricsPort } = await started({ metricsPorts: { queue: port } });
    expect(metricsPort).not.toBe(port);
    await scrape(metricsPort);
    await new Promise((done) => other.close(done));
  });

  test('must be an address of this machine', async () => {
    const config = configWith({ metricsAddress: '192.0.2.1' });
    await expect(startTelemetry(config, { name: 'queue', instance: 'queue-test' })).rejects.toThrow(
      'EADDRNOTAVAIL',
    );
  });
});
