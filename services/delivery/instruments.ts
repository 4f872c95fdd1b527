// What this worker shows of itself: a span and a count per attempt, gauges of its sites and connections. No recipient
// addresses.
import type { Metrics } from '#libs/telemetry/metrics.ts';
import { Tally } from '#libs/telemetry/tally.ts';
import type { SpanAttributes, Tracing } from '#libs/telemetry/tracing.ts';
import { type Outcome, OutcomeKind } from '#proto/postrider/v1/job.ts';
import type { Attempt } from './attempt.ts';
import type { SiteTotals } from './sites.actor.ts';

const SECONDS = [0.005, 0.02, 0.1, 0.5, 2, 10, 60, 300];

const NAME_OF: Record<number, string> = {
  [OutcomeKind.DELIVERED]: 'delivered',
  [OutcomeKind.RELAYED]: 'relayed',
  [OutcomeKind.DEFERRED]: 'deferred',
  [OutcomeKind.FAILED]: 'failed',
  [OutcomeKind.RETURNED]: 'returned',
};

export interface Readings {
  /** A time of the worker's clock by the wall clock, which owners say their times by. */
  toWall: (atMs: number) => number;
  totals: () => SiteTotals;
  connectionsMax: number;
  shards: () => number;
  unacknowledged: () => number;
  oldestWaitMs: () => number;
  packOctets: () => number;
  checkpointWaitSeconds: () => number;
}

export class Instruments {
  readonly #tracing: Tracing;
  readonly #toWall: Readings['toWall'];
  readonly #outcomes: Tally<string>;
  readonly #seconds: ReturnType<Metrics['histogram']>;

  constructor(tracing: Tracing, metrics: Metrics, readings: Readings) {
    this.#tracing = tracing;
    this.#toWall = readings.toWall;
    this.#outcomes = new Tally(
      metrics.counter(
        'postrider_delivery_attempts_total',
        'Attempts by outcome; a rising share of deferred means trouble at sites, of failed trouble with addresses.',
      ),
      'outcome',
    );
    this.#seconds = metrics.histogram(
      'postrider_delivery_attempt_seconds',
      'From the moment a connection carries an attempt to its outcome.',
      SECONDS,
    );
    const gauge = (name: string, help: string, read: () => number) =>
      metrics.gauge(`postrider_delivery_${name}`, help, read);
    gauge('connections', 'Connections open or being opened, idle ones included.', () => {
      return readings.totals().connections;
    });
    gauge(
      'connections_max',
      'What delivery.connectionsMax allows this worker; near it, more workers would deliver more.',
      () => readings.connectionsMax,
    );
    gauge(
      'sites_in_line',
      'Sites that could use a connection more and found no room for it in this worker.',
      () => {
        return readings.totals().inLine;
      },
    );
    gauge('waiting', 'Jobs that wait for a connection.', () => readings.totals().waiting);
    gauge('running', 'Attempts that a connection carries.', () => readings.totals().running);
    gauge('sites', 'Sites known.', () => readings.totals().sites);
    gauge('sites_suspended', 'Sites whose host was found down.', () => readings.totals().suspended);
    gauge('shards', 'Shards served here.', readings.shards);
    gauge('unacknowledged', 'Outcomes no owner acted on yet; near 0 when healthy.', readings.unacknowledged);
    gauge(
      'unacknowledged_oldest_seconds',
      'Longest wait of an outcome for its owner; more than a few seconds while all instances live mean that none acts on it.',
      () => readings.oldestWaitMs() / 1000,
    );
    gauge(
      'checkpoint_wait_seconds',
      'How long the attempt has waited that waits longest for its checkpoint; seconds mean that no mail can be sent.',
      readings.checkpointWaitSeconds,
    );
    gauge('pack_cache_octets', 'Octets of fetched packs kept.', readings.packOctets);
  }

  begun(attempt: Attempt, siteKey: string): void {
    const { job } = attempt;
    const { trace, ownTrace } = job;
    if (!ownTrace && trace === undefined) return;
    const startedAtMs = this.#toWall(attempt.startedAtMs);
    const attributes: SpanAttributes = {
      'mail.queue_id': job.queueId,
      'mail.attempt': job.attempts + 1,
      'mail.site': siteKey,
    };
    if (job.dueAtMs !== undefined) attributes['mail.wait_ms'] = startedAtMs - job.dueAtMs;
    if (job.acceptedAtMs !== undefined) attributes['mail.queue_ms'] = startedAtMs - job.acceptedAtMs;
    const links = trace === undefined ? [] : [trace];
    attempt.span = ownTrace
      ? this.#tracing.startRoot('deliver attempt', { kind: 'client', attributes, links, keep: 'always' })
      : this.#tracing.start('deliver attempt', trace, { kind: 'client', attributes });
  }

  finished(attempt: Attempt, outcome: Outcome, nowMs: number): void {
    this.#outcomes.count(NAME_OF[outcome.kind] ?? 'unknown');
    if (attempt.startedAtMs > 0) this.#seconds.record((nowMs - attempt.startedAtMs) / 1000);
    const { span } = attempt;
    if (span === undefined) return;
    attempt.span = undefined;
    outcome.trace = span.context;
    const { reply } = outcome;
    const [tlsVersion = '', tlsCipher = ''] = outcome.tls.split(' ');
    span.set({
      'smtp.status_code': reply?.code ?? 0,
      'smtp.enhanced_code': reply?.enhanced ?? '',
      'server.address': reply?.host ?? '',
      'mail.outcome': NAME_OF[outcome.kind] ?? '',
      ...(tlsVersion !== '' && { 'tls.protocol.version': tlsVersion, 'tls.cipher': tlsCipher }),
    });
    if (outcome.kind === OutcomeKind.DEFERRED || outcome.kind === OutcomeKind.FAILED) {
      span.fail(`${reply?.code ?? 0} ${reply?.enhanced ?? ''}`);
    }
    span.end();
  }

  /** Hands the counts on. Called about once a second. */
  sweep(): void {
    this.#outcomes.sweep();
  }
}
