// A mail's traces as text for a terminal: one tree per trace, a row per span with when it began (counted from the mail's
// beginning), how long it took, who did it and what came of it. Pure. What other hosts said cannot move the cursor or break a row.
import { ageText, countText, sizeText } from './quantities.ts';
import { aligned, visible, widthsOf } from './table.ts';
import type { AttributeValue, TraceSpan } from './trace-spans.ts';

export interface MailOfTraces {
  queueId: string;
  /** Milliseconds since 1970. */
  acceptedAtMs: number;
}

interface Branch {
  span: TraceSpan;
  /** What stands before its name: the lines of the tree. */
  stem: string;
}

const HEADINGS = ['AT', 'TOOK', 'SERVICE', 'SPAN', 'WHAT'];
const SERVICE_PREFIX = /^postrider-/;

/** The whole text, each line with its line end; `spans` has at least one, the earliest first. */
export function tracesText(mail: MailOfTraces, spans: readonly TraceSpan[]): string {
  const lines = [headline(mail, spans)];
  // A session begins before the mail has its id.
  const zeroMs = Math.min(mail.acceptedAtMs, spans[0]!.startMs);
  for (const trace of traceGroups(spans)) lines.push('', ...traceLines(trace, zeroMs, spans));
  return lines.map((line) => `${line}\n`).join('');
}

function headline({ queueId, acceptedAtMs }: MailOfTraces, spans: readonly TraceSpan[]): string {
  const count = countText(traceGroups(spans).length, 'trace');
  const outcomes = spans.filter(({ attributes }) => attributes['mail.outcome'] !== undefined);
  const last = outcomes.at(-1);
  const end =
    last === undefined
      ? 'no attempt is known'
      : `${last.attributes['mail.outcome']} after ${tookText(last.endMs - acceptedAtMs)}`;
  return `Mail ${queueId}, accepted ${stamp(acceptedAtMs)}: ${count}; ${end}.`;
}

/** Spans by trace, the earliest trace first. */
function traceGroups(spans: readonly TraceSpan[]): TraceSpan[][] {
  const groups = new Map<string, TraceSpan[]>();
  for (const span of spans) {
    const group = groups.get(span.traceId);
    if (group === undefined) groups.set(span.traceId, [span]);
    else group.push(span);
  }
  return [...groups.values()];
}

function traceLines(trace: readonly TraceSpan[], zeroMs: number, all: readonly TraceSpan[]): string[] {
  const [first] = trace;
  const linked = [...new Set(trace.flatMap(({ links }) => links.map(({ traceId }) => traceId)))];
  const isKnown = (id: string) => all.some(({ traceId }) => traceId === id);
  const links = linked.map((id) => `, linked to trace ${id}${isKnown(id) ? '' : ' (not kept)'}`).join('');
  const rows = branchesOf(trace).map(({ span, stem }) => [
    `+${tookText(span.startMs - zeroMs)}`,
    tookText(span.endMs - span.startMs),
    visible(span.service.replace(SERVICE_PREFIX, '')),
    `${stem}${visible(span.name)}`,
    visible(whatText(span)),
  ]);
  const widths = widthsOf([HEADINGS, ...rows]);
  return [
    `trace ${first!.traceId}, ${stamp(first!.startMs)}${links}`,
    ...[HEADINGS, ...rows].map((row) => `  ${aligned(row, widths)}`),
  ];
}

/** The spans of a trace as a tree, depth first. One whose parent is not there stands where a root does. */
function branchesOf(trace: readonly TraceSpan[]): Branch[] {
  const ids = new Set(trace.map(({ spanId }) => spanId));
  const branches: Branch[] = [];
  const walk = (parentId: string, indent: string): void => {
    const children = trace.filter(({ parentSpanId }) => parentSpanId === parentId);
    children.forEach((span, i) => {
      const isLast = i === children.length - 1;
      branches.push({ span, stem: `${indent}${isLast ? '└ ' : '├ '}` });
      walk(span.spanId, `${indent}${isLast ? '  ' : '│ '}`);
    });
  };
  for (const root of trace.filter(({ parentSpanId }) => !ids.has(parentSpanId))) {
    branches.push({ span: root, stem: '' });
    walk(root.spanId, '');
  }
  return branches;
}

/** What a span of ours says, in words; of a span that is not known, its attributes as they are. */
function whatText(span: TraceSpan): string {
  const words = WORDS[span.name];
  if (words !== undefined)
    return words(span)
      .filter((word) => word !== '')
      .join(', ');
  return Object.entries(span.attributes)
    .map(([key, value]) => `${key}=${value}`)
    .join(' ');
}

/** The attribute between these words; '' when it is not there or says nothing. */
function said({ attributes }: TraceSpan, key: string, before = '', after = ''): string {
  const value = attributes[key];
  return value === undefined || value === '' ? '' : `${before}${value}${after}`;
}

function time({ attributes }: TraceSpan, key: string, before: string): string {
  const ms = numberOf(attributes[key]);
  return ms === undefined ? '' : `${before} ${tookText(ms)}`;
}

function replyText({ attributes }: TraceSpan, by: string): string {
  const code = attributes['smtp.status_code'];
  if (code === undefined || code === 0) return '';
  const enhanced = attributes['smtp.enhanced_code'] ?? '';
  return `${code}${enhanced === '' ? '' : ` ${enhanced}`} ${by}`;
}

const tlsText = (span: TraceSpan) => said(span, 'tls.protocol.version') || 'no TLS';
/** Nobody replies there: what stands in the span is ours. */
const isMaildir = ({ attributes }: TraceSpan) => String(attributes['mail.site']).startsWith('maildir:');
const numberOf = (value: AttributeValue | undefined) => (typeof value === 'number' ? value : undefined);

const WORDS: Record<string, (span: TraceSpan) => string[]> = {
  'smtp accept': (span) => {
    const recipients = numberOf(span.attributes['mail.recipients']);
    const octets = numberOf(span.attributes['mail.size']);
    return [
      `client over ${said(span, 'network.type') || 'a socket'}`,
      tlsText(span),
      said(span, 'mail.source_domain', 'from '),
      recipients === undefined ? '' : countText(recipients, 'recipient'),
      octets === undefined ? '' : sizeText(octets),
      time(span, 'mail.commit_ms', 'stored in'),
      replyText(span, 'to the client'),
    ];
  },
  'queue mail': (span) => [
    said(span, 'mail.attempt', 'job for attempt '),
    said(span, 'mail.site', 'to '),
    time(span, 'mail.wait_ms', 'waited'),
    span.events.join(' '),
  ],
  resolve: (span) => [
    said(span, 'mail.domain'),
    said(span, 'mail.domains', '', ' asked'),
    said(span, 'mail.routes.failed', '', ' failed'),
    said(span, 'dns.questions', '', ' questions to DNS'),
  ],
  'deliver attempt': (span) => [
    said(span, 'mail.attempt', 'attempt '),
    said(span, 'mail.site', 'to '),
    isMaildir(span) ? '' : tlsText(span),
    time(span, 'mail.wait_ms', 'waited'),
    isMaildir(span) ? '' : replyText(span, `from ${said(span, 'server.address') || 'the host'}`),
    said(span, 'mail.outcome'),
  ],
  'queue outcome': (span) => [
    said(span, 'mail.outcome'),
    ...span.events.filter((event) => event !== span.attributes['mail.outcome']),
    said(span, 'mail.next_attempt_at', 'next attempt at ').replace(/T(.*)\.\d+Z$/, ' $1 UTC'),
  ],
};

/** "0.4 ms", "12 ms", "2.06 s", "3 min", "2 h 5 min". Clocks of two hosts may make it negative: then "0 ms". */
export function tookText(ms: number): string {
  if (ms < 0) return '0 ms';
  if (ms < 10) return `${Math.round(ms * 10) / 10} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  return ms < 60_000 ? `${(ms / 1000).toFixed(2)} s` : ageText(ms);
}

function stamp(atMs: number): string {
  return `${new Date(atMs).toISOString().replace('T', ' ').replace('Z', '')} UTC`;
}
