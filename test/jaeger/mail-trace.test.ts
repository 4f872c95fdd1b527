// The way of a mail as a real Jaeger shows it, found by nothing but the queue id that its client got in the 250.
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { ROUTED, Stage } from '#kit/cluster-stage.ts';
import { type JaegerServer, startJaeger } from '#kit/jaeger-server.ts';
import { waitUntil } from '#kit/wait-until.ts';
import { madeAtMsOf } from '#libs/mail/queue-id.ts';
import { tracesOfMail } from '../../services/console/jaeger.ts';
import type { TraceSpan } from '../../services/console/trace-spans.ts';

const MINUTE = 60_000;
/** A Jaeger that is not there yet is built first. */
const BUILD_MAX = 30 * MINUTE;
const RETRY_MS = 2000;

const postrider = fileURLToPath(new URL('../../services/console/postrider.ts', import.meta.url));

let jaeger: JaegerServer;
let stage: Stage;

beforeAll(async () => {
  jaeger = await startJaeger();
  stage = await Stage.open({
    sink: { tls: 'on' },
    config: {
      telemetry: { otlpEndpoint: jaeger.otlpUrl, sampleRatio: 1, sameTraceWindow: '1 s' },
      retry: { schedule: [`${RETRY_MS} ms`] },
    },
  });
}, BUILD_MAX);

afterAll(async () => {
  await stage?.close();
  await jaeger?.stop();
}, MINUTE);

/** Sends a mail over TLS; what Jaeger finds by its queue id once that is `count` spans. */
async function sendAndFind(to: string, count: number): Promise<{ queueId: string; spans: TraceSpan[] }> {
  const queueId = await stage.send({ to, listener: 'submission' });
  let spans: TraceSpan[] = [];
  const isThere = async () => {
    const mail = { queueId, acceptedAtMs: madeAtMsOf(queueId), nowMs: Date.now() };
    ({ spans } = await tracesOfMail(jaeger.queryUrl, mail));
    return spans.length >= count;
  };
  await waitUntil(isThere, 20_000, `${count} spans of mail ${queueId} in Jaeger`);
  expect(spans).toHaveLength(count);
  for (const { attributes } of spans) expect(attributes['mail.queue_id']).toBe(queueId);
  return { queueId, spans };
}

/** "service: span", from the span up to the root of its trace. */
function chainOf(span: TraceSpan, spans: readonly TraceSpan[]): string[] {
  const parent = spans.find(({ spanId }) => spanId === span.parentSpanId);
  const here = `${span.service.replace('postrider-', '')}: ${span.name}`;
  return [here, ...(parent === undefined ? [] : chainOf(parent, spans))];
}

const named = (spans: readonly TraceSpan[], name: string) => spans.filter((span) => span.name === name);
const tracesOf = (spans: readonly TraceSpan[]) => [...new Set(spans.map(({ traceId }) => traceId))];

describe('The queue id of a mail that is delivered at once', () => {
  test(
    'finds one trace: session, acceptance, queue, resolver, attempt with its final reply, outcome',
    async () => {
      const { spans } = await sendAndFind(`fine@${ROUTED}`, 5);
      expect(tracesOf(spans)).toHaveLength(1);
      const [outcome] = named(spans, 'queue outcome');
      const [resolved] = named(spans, 'resolve');
      expect(chainOf(outcome!, spans)).toEqual([
        'queue: queue outcome',
        'delivery: deliver attempt',
        'queue: queue mail',
        'ingress: smtp accept',
      ]);
      expect(chainOf(resolved!, spans)).toEqual([
        'resolver: resolve',
        'queue: queue mail',
        'ingress: smtp accept',
      ]);
      expect(outcome!.events).toEqual(['settled']);
    },
    MINUTE,
  );

  test(
    'finds what the client was told, where the mail went, over which TLS, how long it waited and what was replied',
    async () => {
      const { spans } = await sendAndFind(`also-fine@${ROUTED}`, 4);
      const [accepted] = named(spans, 'smtp accept');
      const [attempt] = named(spans, 'deliver attempt');
      expect(accepted!.attributes).toMatchObject({
        'smtp.status_code': 250,
        'tls.protocol.version': 'TLSv1.3',
        'network.type': 'ipv4',
        'mail.recipients': 1,
      });
      expect(attempt).toMatchObject({ kind: 3, failed: false });
      expect(attempt!.attributes).toMatchObject({
        'mail.attempt': 1,
        'mail.site': `smtp:127.0.0.1:${stage.sink.port}`,
        'mail.outcome': 'relayed',
        'smtp.status_code': 250,
        'smtp.enhanced_code': '2.0.0',
        'server.address': '127.0.0.1',
        'tls.protocol.version': 'TLSv1.3',
      });
      const waitMs = attempt!.attributes['mail.wait_ms'];
      expect(waitMs).toBeGreaterThanOrEqual(0);
      expect(waitMs).toBeLessThan(RETRY_MS);
      expect(attempt!.endMs).toBeGreaterThanOrEqual(attempt!.startMs);
    },
    MINUTE,
  );
});

describe('The queue id of a greylisted mail', () => {
  test(
    'finds the refusal and, in a trace that is linked to it, the retry; trace show prints both',
    async () => {
      const { queueId, spans } = await sendAndFind(`greylist@${ROUTED}`, 6);
      const [first, second] = named(spans, 'deliver attempt');
      const [deferred] = named(spans, 'queue outcome');
      const [accepted] = named(spans, 'smtp accept');
      expect(first).toMatchObject({ traceId: accepted!.traceId, failed: true });
      expect(first!.attributes).toMatchObject({ 'smtp.status_code': 450, 'mail.outcome': 'deferred' });
      expect(deferred).toMatchObject({ parentSpanId: first!.spanId, events: ['deferred'] });
      const nextAtMs = Date.parse(String(deferred!.attributes['mail.next_attempt_at']));
      expect(nextAtMs - deferred!.startMs).toBeGreaterThan(RETRY_MS / 2);
      const { traceId, spanId } = accepted!;
      expect(second).toMatchObject({ parentSpanId: '', links: [{ traceId, spanId }], failed: false });
      expect(second!.traceId).not.toBe(traceId);
      expect(second!.attributes).toMatchObject({ 'mail.attempt': 2, 'smtp.status_code': 250 });
      expect(second!.attributes['mail.queue_ms']).toBeGreaterThan(RETRY_MS / 2);

      const args = [postrider, 'trace', 'show', queueId, '--jaeger', jaeger.queryUrl];
      const { stdout } = await promisify(execFile)(process.execPath, args);
      expect(stdout).toContain(`Mail ${queueId}, accepted `);
      expect(stdout).toContain('450 4.7.1 from 127.0.0.1, deferred');
      expect(stdout).toContain(`trace ${second!.traceId}, `);
      expect(stdout).toContain(`linked to trace ${traceId}\n`);
      expect(stdout).toMatch(/attempt 2, .*TLSv1\.3, waited .*, 250 2\.0\.0 from 127\.0\.0\.1, relayed\n/);
    },
    MINUTE,
  );
});

describe('A queue id that no mail has', () => {
  test('finds nothing, and trace show says so', async () => {
    const args = [postrider, 'trace', 'show', '0'.repeat(20), '--jaeger', jaeger.queryUrl];
    const failed = promisify(execFile)(process.execPath, args);
    await expect(failed).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringContaining('Jaeger knows no trace of mail 00000000000000000000'),
    });
  });
});
