// One mail's trace through all four services, as a real OTLP receiver gets it.
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { ReceivedSpan } from '#kit/otlp-spans.ts';
import { TracedCluster } from '#kit/traced-cluster.ts';

const MINUTE = 60_000;

let traced: TracedCluster;

beforeEach(async () => {
  traced = await TracedCluster.start({ sampleRatio: 1, sameTraceWindow: '1 s' });
}, MINUTE);

afterEach(() => traced.stop(), MINUTE);

const spansOf = (service: string) =>
  traced.receiver.spans.filter((span) => span.service === `postrider-${service}`);

/** From the span up to its root: the services that it came through. */
function chainOf(span: ReceivedSpan): string[] {
  const parent = traced.receiver.spans.find(({ spanId }) => spanId === span.parentSpanId);
  return [span.service.replace('postrider-', ''), ...(parent === undefined ? [] : chainOf(parent))];
}

describe("A mail's trace", () => {
  test(
    'is one chain over all four services, with the reply of the attempt and no recipient',
    async () => {
      const queueId = await traced.send('someone@routed.test');
      await traced.receiver.waitFor(() =>
        ['ingress', 'queue', 'resolver', 'delivery'].every((service) => spansOf(service).length > 0),
      );
      const [accepted] = spansOf('ingress');
      const [resolved] = spansOf('resolver');
      const [attempt] = spansOf('delivery');
      expect(accepted).toMatchObject({ parentSpanId: '', attributes: { 'mail.queue_id': queueId } });
      expect(chainOf(attempt!)).toEqual(['delivery', 'queue', 'ingress']);
      expect(chainOf(resolved!)).toEqual(['resolver', 'queue', 'ingress']);
      expect(new Set(traced.receiver.spans.map(({ traceId }) => traceId)).size).toBe(1);
      expect(attempt!.attributes).toMatchObject({
        'mail.queue_id': queueId,
        'mail.outcome': 'relayed',
        'smtp.status_code': 250,
      });
      const said = JSON.stringify(traced.receiver.spans.map(({ startNs, endNs, ...span }) => span));
      expect(said).not.toContain('someone');
    },
    MINUTE,
  );

  test(
    'does not hold an attempt that comes late: that is a trace of its own, linked to it',
    async () => {
      const queueId = await traced.send('450-then-250@routed.test');
      await traced.receiver.waitFor(() => spansOf('delivery').length > 1);
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
