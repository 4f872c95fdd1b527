// Asks a Jaeger for the traces of a mail, by its queue id, over the query API that its own search page uses.
//
// Fails: a JaegerError, whose message is one line that an operator can act on.
import { spansOf, type TraceSpan, type TracesJson } from './trace-spans.ts';

export class JaegerError extends Error {}

/** Those whose spans can be the root of a trace, and the queue, whose spans may be what is left of one. */
const SERVICES = ['postrider-ingress', 'postrider-delivery', 'postrider-queue'];
const ANSWER_WAIT_MS = 15_000;
/** A mail that is tried for a week every hour has fewer. */
const TRACES_MAX = 200;
/** Spans that began this long before the mail had its id: MAIL to the end of a slow client's data. */
const BEFORE_MS = 3_600_000;
/** Clocks of hosts differ. */
const AFTER_MS = 60_000;

export interface MailTraces {
  /** Every span of every trace, the earliest first. */
  spans: TraceSpan[];
  /** True when there may be more traces than were asked for. */
  isCut: boolean;
}

interface Asked {
  queueId: string;
  fromMs: number;
  toMs: number;
}

/** What /api/traces answers, as far as it is looked at. */
interface SearchJson {
  data?: { traceID: string }[] | null;
}

/** Traces that have a span with this queue id and began since `acceptedAtMs`, of the Jaeger at `url`. */
export async function tracesOfMail(
  url: string,
  { queueId, acceptedAtMs, nowMs }: { queueId: string; acceptedAtMs: number; nowMs: number },
): Promise<MailTraces> {
  const base = url.replace(/\/+$/, '');
  const asked = { queueId, fromMs: acceptedAtMs - BEFORE_MS, toMs: nowMs + AFTER_MS };
  const found = await Promise.all(SERVICES.map((service) => traceIds(base, service, asked)));
  const ids = [...new Set(found.flat())];
  const traces = await Promise.all(ids.map((id) => askJson<TracesJson>(`${base}/api/v3/traces/${id}`)));
  // A trace that was dropped between the two questions is not there any more.
  const spans = traces.flatMap((json) => (json === undefined ? [] : spansOf(json)));
  return {
    spans: spans.sort((a, b) => a.startMs - b.startMs),
    isCut: found.some(({ length }) => length >= TRACES_MAX),
  };
}

/**
 * Jaeger up to 2.20 searches by attribute only at /api/traces; later ones dropped that in favour of /api/v3/traces, which
 * ignores the attributes in the older ones.
 */
async function traceIds(base: string, service: string, asked: Asked): Promise<string[]> {
  const attributes = JSON.stringify({ 'mail.queue_id': asked.queueId });
  const older = new URLSearchParams({
    service,
    tags: attributes,
    limit: String(TRACES_MAX),
    start: String(Math.round(asked.fromMs * 1000)),
    end: String(Math.round(asked.toMs * 1000)),
  });
  const search = await askJson<SearchJson>(`${base}/api/traces?${older}`);
  if (search !== undefined) return (search.data ?? []).map(({ traceID }) => traceID.padStart(32, '0'));
  const newer = new URLSearchParams({
    'query.serviceName': service,
    'query.attributes': attributes,
    'query.searchDepth': String(TRACES_MAX),
    'query.startTimeMin': new Date(asked.fromMs).toISOString(),
    'query.startTimeMax': new Date(asked.toMs).toISOString(),
  });
  const spans = spansOf((await askJson<TracesJson>(`${base}/api/v3/traces?${newer}`)) ?? {});
  const isOfMail = ({ attributes: said }: TraceSpan) => said['mail.queue_id'] === asked.queueId;
  return [...new Set(spans.filter(isOfMail).map(({ traceId }) => traceId))];
}

/** Undefined when there is nothing of that name: 404, or a page for people where an API is not. */
async function askJson<T>(url: string): Promise<T | undefined> {
  const { status, text } = await ask(url);
  if (status === 404) return undefined;
  if (status !== 200) throw new JaegerError(`Jaeger refused ${pathOf(url)}: ${status} ${reasonIn(text)}`);
  if (!text.startsWith('{')) return undefined;
  try {
    return JSON.parse(text) as T;
  } catch {
    throw new JaegerError(`what answers at ${pathOf(url)} is no Jaeger: its JSON is broken`);
  }
}

async function ask(url: string): Promise<{ status: number; text: string }> {
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(ANSWER_WAIT_MS) });
    return { status: answer.status, text: await answer.text() };
  } catch (error) {
    const { name, cause, message } = error as Error & { cause?: { code?: string } };
    const why =
      name === 'TimeoutError' ? `no answer within ${ANSWER_WAIT_MS / 1000} s` : (cause?.code ?? message);
    throw new JaegerError(`no Jaeger answers at ${new URL(url).origin}: ${why}`);
  }
}

const pathOf = (url: string) => url.split('?')[0]!;

function reasonIn(text: string): string {
  return text.replace(/\s+/g, ' ').slice(0, 200);
}
