// Traces of mail that is tried again, as a real OTLP receiver gets them: later attempts are kept whatever the ratio says.
import { afterEach, describe, expect, test } from '@jest/globals';
import type { ReceivedSpan } from '#kit/otlp-spans.ts';
import { TracedCluster } from '#kit/traced-cluster.ts';

const MINUTE = 60_000;

let traced: TracedCluster;

afterEach(() => traced.stop(), MINUTE);

const ofMail = (queueId: string) =>
  traced.receiver.spans.filter(({ attributes }) => attributes['mail.queue_id'] === queueId);
const named = (spans: readonly ReceivedSpan[], name: string) => spans.filter((span) => span.name === name);

describe('A mail whose trace is not kept', () => {
  test(
    'has its second attempt as a trace of its own, found by the queue id, and the first not at all',
    async () => {
      traced = await TracedCluster.start({ sampleRatio: 0 });
      const queueId = await traced.send('450-then-250@routed.test');
      const other = await traced.send('fine@routed.test');
      await traced.receiver.waitFor(() =>
        ['deliver attempt', 'queue outcome'].every((name) => named(ofMail(queueId), name).length > 0),
      );
      const [attempt, ...more] = named(ofMail(queueId), 'deliver attempt');
      expect(more).toEqual([]);
      expect(attempt).toMatchObject({ service: 'postrider-delivery', parentSpanId: '', links: [] });
      expect(attempt!.attributes).toMatchObject({
        'mail.attempt': 2,
        'mail.site': expect.stringContaining(String(traced.sink.port)),
        'mail.outcome': 'relayed',
        'smtp.status_code': 250,
        'smtp.enhanced_code': '2.0.0',
      });
      // It became due about two seconds after it was accepted, and began soon after that.
      expect(attempt!.attributes['mail.queue_ms']).toBeGreaterThan(1000);
      expect(attempt!.attributes['mail.wait_ms']).toBeLessThan(1500);
      const [outcome] = named(ofMail(queueId), 'queue outcome');
      expect(outcome).toMatchObject({ traceId: attempt!.traceId, parentSpanId: attempt!.spanId });
      expect(outcome!.attributes).toMatchObject({ 'mail.attempt': 2, 'mail.outcome': 'relayed' });
      expect(ofMail(other)).toEqual([]);
    },
    MINUTE,
  );
});

describe('A mail whose trace is kept', () => {
  test(
    'tells in every span which mail it is of, and after a deferral when it is tried again',
    async () => {
      traced = await TracedCluster.start({ sampleRatio: 1 });
      const queueId = await traced.send('450-then-250@routed.test');
      // Each service exports on its own: what the owner did with an outcome may come before the attempt itself.
      await traced.receiver.waitFor(() =>
        ['deliver attempt', 'queue outcome'].every((name) => named(ofMail(queueId), name).length === 2),
      );
      const spans = ofMail(queueId);
      expect(spans).toHaveLength(traced.receiver.spans.length);
      expect(new Set(spans.map(({ traceId }) => traceId)).size).toBe(1);
      const [first, second] = named(spans, 'deliver attempt').sort((a, b) => Number(a.startNs - b.startNs));
      const [deferred] = named(spans, 'queue outcome').filter((span) => span.parentSpanId === first!.spanId);
      expect(deferred!.events).toEqual(['deferred']);
      const nextAtMs = Date.parse(String(deferred!.attributes['mail.next_attempt_at']));
      expect(Math.abs(nextAtMs - Number(second!.startNs / 1_000_000n))).toBeLessThan(1500);
      expect(second!.attributes).toMatchObject({ 'mail.attempt': 2, 'smtp.status_code': 250 });
      for (const { resource } of spans) expect(resource['service.version']).toMatch(/^\d+\.\d+\.\d+/);
    },
    MINUTE,
  );
});

describe('Mail that is always traced', () => {
  test(
    'is kept whole at a ratio of 0 when a domain of it is named',
    async () => {
      traced = await TracedCluster.start({ sampleRatio: 0, alwaysSample: { domains: ['routed.test'] } });
      const queueId = await traced.send('anybody@Routed.test');
      await traced.receiver.waitFor(() => named(ofMail(queueId), 'deliver attempt').length > 0);
      const [accepted] = named(ofMail(queueId), 'smtp accept');
      const [attempt] = named(ofMail(queueId), 'deliver attempt');
      expect(accepted).toMatchObject({ service: 'postrider-ingress', parentSpanId: '' });
      expect(attempt!.traceId).toBe(accepted!.traceId);
    },
    MINUTE,
  );
});
