// What this resolver shows of itself: a span per request of a mail that is traced, counts of questions, answers and
// decisions. Domains only, never local parts.
import type { DnsObserver } from '#libs/dns/dns-client.ts';
import type { Metrics } from '#libs/telemetry/metrics.ts';
import type { LiveSpan, Tracing } from '#libs/telemetry/tracing.ts';
import { type RecipientResult, RecipientVerdict, type RouteRequest } from '#proto/postrider/v1/route.ts';
import type { Decision } from './domain.actor.ts';

const SECONDS = [0.001, 0.005, 0.02, 0.1, 0.5, 2, 5, 15];

const NAME_OF: Record<number, string> = {
  [RecipientVerdict.LOCAL]: 'local',
  [RecipientVerdict.UNKNOWN]: 'unknown',
  [RecipientVerdict.RELAY]: 'relay',
  [RecipientVerdict.DEFERRED]: 'deferred',
};

export interface Readings {
  cacheEntries: () => number;
  questions: () => number;
  deciding: () => number;
  waiting: () => number;
}

export class Instruments {
  readonly dns: DnsObserver;
  readonly #tracing: Tracing;
  readonly #routes: ReturnType<Metrics['counter']>;
  readonly #recipients: ReturnType<Metrics['counter']>;
  readonly #dropped: ReturnType<Metrics['counter']>;
  readonly #seconds: ReturnType<Metrics['histogram']>;

  constructor(tracing: Tracing, metrics: Metrics) {
    const counter = (name: string, help: string) => metrics.counter(`postrider_resolver_${name}_total`, help);
    this.#tracing = tracing;
    this.#routes = counter(
      'routes',
      'Decisions by result; a rising share of deferred means trouble with DNS.',
    );
    this.#recipients = counter('recipients', 'Recipients that were asked about, by verdict.');
    this.#dropped = counter(
      'dropped_requests',
      'Requests not answered: unreadable, or too many; 0 when healthy.',
    );
    this.#seconds = metrics.histogram(
      'postrider_resolver_route_seconds',
      'From a request for routes to its answer.',
      SECONDS,
    );
    const asked = counter('dns_questions', 'Questions to DNS servers by transport, repeated ones included.');
    const answered = counter('dns_answers', 'Answers by kind, or by the reason why there is none.');
    const hits = counter('dns_cache_hits', 'Questions that the cache answered.');
    const strays = counter('dns_strays', 'Datagrams that answer nothing that was asked; many mean forgery.');
    // Shown from the start: who watches for an increase would not see the first one of a series that begins with it.
    this.#dropped.add(0, { reason: 'too-many' });
    strays.add(0);
    this.dns = {
      asked: (transport) => asked.add(1, { transport }),
      answered: (kind) => answered.add(1, { kind }),
      cacheHit: () => hits.add(1),
      stray: () => strays.add(1),
    };
  }

  /** Shows what is held now. */
  read(metrics: Metrics, readings: Readings): void {
    const gauge = (name: string, help: string, read: () => number) =>
      metrics.gauge(`postrider_resolver_${name}`, help, read);
    gauge('dns_cache_entries', 'Answers kept.', readings.cacheEntries);
    gauge('dns_open_questions', 'Questions that are out, or wait for their turn.', readings.questions);
    gauge('domains', 'Domains that are being decided.', readings.deciding);
    gauge('domains_waiting', 'Of these, without a place yet; 0 when healthy.', readings.waiting);
  }

  begun({ domains, trace, queueId = '' }: RouteRequest): LiveSpan | undefined {
    if (trace === undefined) return undefined;
    const attributes = {
      'mail.queue_id': queueId,
      'mail.domains': domains.length,
      'mail.domain': domains[0] ?? '',
    };
    return this.#tracing.start('resolve', trace, { kind: 'server', attributes });
  }

  decided(decisions: readonly Decision[], options: { tookMs: number; span: LiveSpan | undefined }): void {
    this.#seconds.record(options.tookMs / 1000);
    const results = { site: 0, failed: 0, deferred: 0 };
    let questions = 0;
    let cacheHits = 0;
    for (const decision of decisions) {
      results[decision.result.$case] += 1;
      questions += decision.questions;
      cacheHits += decision.cacheHits;
    }
    for (const [result, count] of Object.entries(results)) {
      if (count > 0) this.#routes.add(count, { result });
    }
    const { span } = options;
    if (span === undefined) return;
    span.set({
      'mail.routes.site': results.site,
      'mail.routes.failed': results.failed,
      'mail.routes.deferred': results.deferred,
      'dns.questions': questions,
      'dns.cache_hits': cacheHits,
    });
    if (results.deferred > 0) span.fail('no usable answer from DNS');
    span.end();
  }

  verdicts(results: readonly RecipientResult[]): void {
    for (const { verdict } of results) this.#recipients.add(1, { verdict: NAME_OF[verdict] ?? 'unknown' });
  }

  dropped(reason: 'unreadable' | 'too-many'): void {
    this.#dropped.add(1, { reason });
  }
}
