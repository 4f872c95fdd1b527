// Spans of an OTLP ExportTraceServiceRequest (opentelemetry-proto, trace/v1/trace.proto): the fields that tests look at.
import { BinaryReader } from '@bufbuild/protobuf/wire';

export type AttributeValue = string | number | boolean;

export interface ReceivedSpan {
  /** Resource attribute service.name. */
  service: string;
  /** All resource attributes. */
  resource: Record<string, AttributeValue>;
  traceId: string;
  spanId: string;
  /** '' for a root. */
  parentSpanId: string;
  name: string;
  /** 1 internal, 2 server, 3 client, 4 producer, 5 consumer. */
  kind: number;
  startNs: bigint;
  endNs: bigint;
  attributes: Record<string, AttributeValue>;
  events: string[];
  /** Trace ids of linked spans. */
  links: string[];
  /** 0 unset, 1 ok, 2 error. */
  statusCode: number;
  statusMessage: string;
}

/** Calls `onField` for each field of a message; what it does not read is skipped. */
function readMessage(data: Uint8Array, onField: (field: number, reader: BinaryReader) => boolean): void {
  const reader = new BinaryReader(data);
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (!onField(field, reader)) reader.skip(wireType);
  }
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

function readValue(data: Uint8Array): AttributeValue {
  let value: AttributeValue = '';
  readMessage(data, (field, reader) => {
    if (field === 1) value = reader.string();
    else if (field === 2) value = reader.bool();
    else if (field === 3) value = Number(reader.int64());
    else if (field === 4) value = reader.double();
    else return false;
    return true;
  });
  return value;
}

function readAttribute(data: Uint8Array, into: Record<string, AttributeValue>): void {
  let key = '';
  let value: AttributeValue = '';
  readMessage(data, (field, reader) => {
    if (field === 1) key = reader.string();
    else if (field === 2) value = readValue(reader.bytes());
    else return false;
    return true;
  });
  into[key] = value;
}

function readResource(data: Uint8Array): Record<string, AttributeValue> {
  const attributes: Record<string, AttributeValue> = {};
  readMessage(data, (field, reader) => {
    if (field !== 1) return false;
    readAttribute(reader.bytes(), attributes);
    return true;
  });
  return attributes;
}

function readStatus(data: Uint8Array, span: ReceivedSpan): void {
  readMessage(data, (field, reader) => {
    if (field === 2) span.statusMessage = reader.string();
    else if (field === 3) span.statusCode = reader.int32();
    else return false;
    return true;
  });
}

/** The first `wanted` field of a message, which is bytes or a string; '' when it has none. */
function readBytes(data: Uint8Array, wanted: number): Uint8Array {
  let found: Uint8Array = new Uint8Array(0);
  readMessage(data, (field, reader) => {
    if (field !== wanted) return false;
    found = reader.bytes();
    return true;
  });
  return found;
}

type ReadField = (span: ReceivedSpan, reader: BinaryReader) => void;

const SPAN_FIELDS: Record<number, ReadField> = {
  1: (span, reader) => {
    span.traceId = hex(reader.bytes());
  },
  2: (span, reader) => {
    span.spanId = hex(reader.bytes());
  },
  4: (span, reader) => {
    span.parentSpanId = hex(reader.bytes());
  },
  5: (span, reader) => {
    span.name = reader.string();
  },
  6: (span, reader) => {
    span.kind = reader.int32();
  },
  7: (span, reader) => {
    span.startNs = BigInt(reader.fixed64());
  },
  8: (span, reader) => {
    span.endNs = BigInt(reader.fixed64());
  },
  9: (span, reader) => readAttribute(reader.bytes(), span.attributes),
  11: (span, reader) => span.events.push(Buffer.from(readBytes(reader.bytes(), 2)).toString()),
  13: (span, reader) => span.links.push(hex(readBytes(reader.bytes(), 1))),
  15: (span, reader) => readStatus(reader.bytes(), span),
};

function readSpan(data: Uint8Array): ReceivedSpan {
  const span: ReceivedSpan = {
    service: '',
    resource: {},
    traceId: '',
    spanId: '',
    parentSpanId: '',
    name: '',
    kind: 0,
    startNs: 0n,
    endNs: 0n,
    attributes: {},
    events: [],
    links: [],
    statusCode: 0,
    statusMessage: '',
  };
  readMessage(data, (field, reader) => {
    const read = SPAN_FIELDS[field];
    read?.(span, reader);
    return read !== undefined;
  });
  return span;
}

function readResourceSpans(data: Uint8Array): ReceivedSpan[] {
  let resource: Record<string, AttributeValue> = {};
  const spans: ReceivedSpan[] = [];
  readMessage(data, (field, reader) => {
    if (field === 1) resource = readResource(reader.bytes());
    else if (field === 2) spans.push(...readScopeSpans(reader.bytes()));
    else return false;
    return true;
  });
  const service = String(resource['service.name'] ?? '');
  return spans.map((span) => ({ ...span, service, resource }));
}

function readScopeSpans(data: Uint8Array): ReceivedSpan[] {
  const spans: ReceivedSpan[] = [];
  readMessage(data, (field, reader) => {
    if (field !== 2) return false;
    spans.push(readSpan(reader.bytes()));
    return true;
  });
  return spans;
}

/** All spans of an export request. */
export function decodeSpans(request: Uint8Array): ReceivedSpan[] {
  const spans: ReceivedSpan[] = [];
  readMessage(request, (field, reader) => {
    if (field !== 1) return false;
    spans.push(...readResourceSpans(reader.bytes()));
    return true;
  });
  return spans;
}
