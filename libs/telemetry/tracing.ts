// Spans. Who is sampled is decided here and not by the SDK, so that mail whose trace is not kept costs a comparison and
// no object: a root is kept by ratio, a child follows its parent, a span with links is always kept.
//
// Fails: never; an exporter that cannot export drops spans and says so in the log.
import {
  type Attributes,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import type { TraceContext } from '#proto/postrider/v1/mail.ts';
import { fromSpanContext, isSampled, toSpanContext } from './trace-context.ts';

export type SpanAttributes = Record<string, string | number | boolean>;

export type SpanKindName = 'server' | 'client' | 'consumer' | 'producer' | 'internal';

const KIND: Record<SpanKindName, SpanKind> = {
  server: SpanKind.SERVER,
  client: SpanKind.CLIENT,
  consumer: SpanKind.CONSUMER,
  producer: SpanKind.PRODUCER,
  internal: SpanKind.INTERNAL,
};

/** A span that is being recorded; exported once it ended. */
export interface LiveSpan {
  /** What a child in this or another service hangs on. */
  readonly context: TraceContext;
  set(attributes: SpanAttributes): void;
  fail(reason: string): void;
  event(name: string): void;
  end(): void;
}

export interface StartOptions {
  kind: SpanKindName;
  attributes?: SpanAttributes;
  /** Milliseconds since 1970; absent means now. */
  startAtMs?: number;
}

export interface RootOptions {
  kind: SpanKindName;
  attributes?: SpanAttributes;
  /** Spans of other traces that led to this one. */
  links?: TraceContext[];
  /** "sampled" (the default) keeps the trace by ratio. */
  keep?: 'sampled' | 'always';
}

class RecordedSpan implements LiveSpan {
  readonly #span: Span;
  #context: TraceContext | undefined;

  constructor(span: Span) {
    this.#span = span;
  }

  get context(): TraceContext {
    this.#context ??= fromSpanContext(this.#span.spanContext());
    return this.#context;
  }

  set(attributes: SpanAttributes): void {
    this.#span.setAttributes(attributes);
  }

  fail(reason: string): void {
    this.#span.setStatus({ code: SpanStatusCode.ERROR, message: reason });
  }

  event(name: string): void {
    this.#span.addEvent(name);
  }

  end(): void {
    this.#span.end();
  }
}

export interface TracingOptions {
  /** Share of roots that are kept, 0 to 1. */
  sampleRatio: number;
  /** Uniform in [0, 1). */
  random?: () => number;
}

export class Tracing {
  readonly #tracer: Tracer | undefined;
  readonly #sampleRatio: number;
  readonly #random: () => number;

  /** Without a tracer no span is ever made. */
  constructor(tracer: Tracer | undefined, { sampleRatio, random = Math.random }: TracingOptions) {
    this.#tracer = tracer;
    this.#sampleRatio = sampleRatio;
    this.#random = random;
  }

  static off(): Tracing {
    return new Tracing(undefined, { sampleRatio: 0 });
  }

  /** A child of `parent`; undefined when there is none or its trace is not kept. */
  start(name: string, parent: TraceContext | undefined, options: StartOptions): LiveSpan | undefined {
    if (this.#tracer === undefined || !isSampled(parent)) return undefined;
    const { kind, attributes, startAtMs } = options;
    const context = trace.setSpanContext(ROOT_CONTEXT, toSpanContext(parent));
    const start: { attributes?: Attributes; startTime?: number } = {};
    if (attributes !== undefined) start.attributes = attributes;
    if (startAtMs !== undefined) start.startTime = startAtMs;
    return new RecordedSpan(this.#tracer.startSpan(name, { kind: KIND[kind], ...start }, context));
  }

  /** The first span of a trace; undefined when the trace is not kept. With links it always is. */
  startRoot(name: string, options: RootOptions): LiveSpan | undefined {
    if (this.#tracer === undefined) return undefined;
    const { kind, attributes = {}, links = [], keep = 'sampled' } = options;
    const isKept = links.length > 0 || keep === 'always' || this.#random() < this.#sampleRatio;
    if (!isKept) return undefined;
    const linked = links.map((context) => ({ context: toSpanContext(context) }));
    return new RecordedSpan(
      this.#tracer.startSpan(name, { kind: KIND[kind], attributes, links: linked, root: true }, ROOT_CONTEXT),
    );
  }
}
