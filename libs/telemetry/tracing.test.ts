import { describe, expect, test } from '@jest/globals';
import { SpanKind, SpanStatusCode } from '@opentelemetry/api';
import {
  AlwaysOnSampler,
  InMemorySpanExporter,
  SimpleSpanProcessor,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import { TraceContext } from '#proto/postrider/v1/mail.ts';
import { Tracing } from './tracing.ts';

function tracingTo(options: { sampleRatio: number; random?: () => number }) {
  const exporter = new InMemorySpanExporter();
  const provider = new TracerProvider({
    sampler: new AlwaysOnSampler(),
    spanProcessors: [new SimpleSpanProcessor({ exporter })],
  });
  return {
    tracing: new Tracing(provider.getTracer('test'), options),
    spans: () => exporter.getFinishedSpans(),
  };
}

/** As it arrives in another service. */
function overTheWire(context: TraceContext): TraceContext {
  return TraceContext.decode(TraceContext.encode(context).finish());
}

describe('Tracing that is off', () => {
  test('makes no span', () => {
    const off = Tracing.off();
    const { tracing } = tracingTo({ sampleRatio: 1 });
    const parent = tracing.startRoot('r', { kind: 'server' })!.context;
    expect(off.startRoot('r', { kind: 'server', keep: 'always' })).toBeUndefined();
    expect(off.start('c', parent, { kind: 'client' })).toBeUndefined();
  });
});

describe('A root span', () => {
  test('is kept by ratio', () => {
    const drawn = [0.09, 0.1, 0.5];
    const { tracing } = tracingTo({ sampleRatio: 0.1, random: () => drawn.shift()! });
    const kept = [1, 2, 3].map(() => tracing.startRoot('r', { kind: 'server' }) !== undefined);
    expect(kept).toEqual([true, false, false]);
  });

  test('is never kept with ratio 0 and always with ratio 1', () => {
    expect(
      tracingTo({ sampleRatio: 0, random: () => 0 }).tracing.startRoot('r', { kind: 'server' }),
    ).toBeUndefined();
    const { tracing } = tracingTo({ sampleRatio: 1, random: () => 0.999 });
    expect(tracing.startRoot('r', { kind: 'server' })).toBeDefined();
  });

  test('is always kept when asked, and when it has links', () => {
    const { tracing, spans } = tracingTo({ sampleRatio: 0, random: () => 0.5 });
    const first = tracing.startRoot('first', { kind: 'server', keep: 'always' })!;
    first.end();
    tracing.startRoot('later', { kind: 'client', links: [overTheWire(first.context)] })!.end();
    const [, later] = spans();
    expect(later!.spanContext().traceId).not.toBe(first.context.traceId.toString('hex'));
    expect(later!.links.map(({ context }) => context.spanId)).toEqual([first.context.spanId.toString('hex')]);
    expect(later!.parentSpanContext).toBeUndefined();
  });
});

describe('A child span', () => {
  test('belongs to the trace of its parent in another service', () => {
    const { tracing, spans } = tracingTo({ sampleRatio: 1 });
    const root = tracing.startRoot('accept', { kind: 'server' })!;
    const child = tracing.start('queue', overTheWire(root.context), {
      kind: 'consumer',
      attributes: { 'mail.queue_id': 'q1' },
      startAtMs: 1_700_000_000_000,
    })!;
    child.event('deferred');
    child.set({ 'smtp.status_code': 451 });
    child.fail('451 4.7.1');
    child.end();
    const [span] = spans();
    expect(span!.spanContext().traceId).toBe(root.context.traceId.toString('hex'));
    expect(span!.parentSpanContext!.spanId).toBe(root.context.spanId.toString('hex'));
    expect(span!.kind).toBe(SpanKind.CONSUMER);
    expect(span!.startTime).toEqual([1_700_000_000, 0]);
    expect(span!.attributes).toEqual({ 'mail.queue_id': 'q1', 'smtp.status_code': 451 });
    expect(span!.status).toEqual({ code: SpanStatusCode.ERROR, message: '451 4.7.1' });
    expect(span!.events.map(({ name }) => name)).toEqual(['deferred']);
  });

  test('is not made without a parent, nor when the parent is not kept or is nonsense', () => {
    const { tracing } = tracingTo({ sampleRatio: 1 });
    const { context } = tracing.startRoot('r', { kind: 'server' })!;
    const child = (parent: TraceContext | undefined) => tracing.start('c', parent, { kind: 'internal' });
    expect(child(context)).toBeDefined();
    expect(child(undefined)).toBeUndefined();
    expect(child({ ...context, flags: 0 })).toBeUndefined();
    expect(child({ ...context, traceId: Buffer.alloc(0) })).toBeUndefined();
    expect(child({ ...context, spanId: Buffer.alloc(3) })).toBeUndefined();
  });
});
