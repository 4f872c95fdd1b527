// Spans as Jaeger's query API hands them out: OTLP in JSON (opentelemetry-proto, trace/v1/trace.proto). Pure. What is not
// there or not what it should be is left out: the spans of other services may hang on the same trace.

export type AttributeValue = string | number | boolean;

export interface TraceSpan {
  /** Resource attribute service.name. */
  service: string;
  traceId: string;
  spanId: string;
  /** '' for a root. */
  parentSpanId: string;
  name: string;
  /** 1 internal, 2 server, 3 client, 4 producer, 5 consumer. */
  kind: number;
  /** Milliseconds since 1970, with microseconds behind the point. */
  startMs: number;
  endMs: number;
  attributes: Record<string, AttributeValue>;
  events: string[];
  links: { traceId: string; spanId: string }[];
  /** True with an error status. */
  failed: boolean;
}

interface AttributeJson {
  key: string;
  value: { stringValue?: string; intValue?: string | number; doubleValue?: number; boolValue?: boolean };
}

interface SpanJson {
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  name?: string;
  kind?: number;
  startTimeUnixNano?: string;
  endTimeUnixNano?: string;
  attributes?: AttributeJson[];
  events?: { name?: string }[];
  links?: { traceId: string; spanId: string }[];
  status?: { code?: number };
}

/** What /api/v3/traces answers. */
export interface TracesJson {
  result?: {
    resourceSpans?: {
      resource?: { attributes?: AttributeJson[] };
      scopeSpans?: { spans?: SpanJson[] }[];
    }[];
  };
}

const ERROR_STATUS = 2;

/** Every span, the earliest first. */
export function spansOf({ result }: TracesJson): TraceSpan[] {
  const spans = (result?.resourceSpans ?? []).flatMap(({ resource, scopeSpans = [] }) => {
    const service = String(attributesOf(resource?.attributes)['service.name'] ?? '');
    return scopeSpans.flatMap(({ spans: some = [] }) => some.map((json) => spanOf(json, service)));
  });
  return spans.sort((a, b) => a.startMs - b.startMs);
}

function spanOf(json: SpanJson, service: string): TraceSpan {
  return {
    service,
    traceId: json.traceId,
    spanId: json.spanId,
    parentSpanId: json.parentSpanId ?? '',
    name: json.name ?? '',
    kind: json.kind ?? 0,
    startMs: millisecondsOf(json.startTimeUnixNano),
    endMs: millisecondsOf(json.endTimeUnixNano),
    attributes: attributesOf(json.attributes),
    events: (json.events ?? []).map(({ name = '' }) => name),
    links: (json.links ?? []).map(({ traceId, spanId }) => ({ traceId, spanId })),
    failed: json.status?.code === ERROR_STATUS,
  };
}

/** A Number holds microseconds since 1970, not nanoseconds. */
function millisecondsOf(nanoseconds = '0'): number {
  return Number(BigInt(nanoseconds) / 1000n) / 1000;
}

function attributesOf(list: readonly AttributeJson[] = []): TraceSpan['attributes'] {
  const attributes: TraceSpan['attributes'] = {};
  for (const { key, value } of list) {
    const { stringValue, intValue, doubleValue, boolValue } = value;
    const known =
      stringValue ?? doubleValue ?? boolValue ?? (intValue === undefined ? undefined : Number(intValue));
    if (known !== undefined) attributes[key] = known;
  }
  return attributes;
}
