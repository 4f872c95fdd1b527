// Says which messages that came in over NATS could not be read: each is counted, one of a kind in ten seconds is logged.
// They harm nobody; but somebody sends them, and whoever meant one waits.
import type { Unreadable } from '#libs/nats/decoding.ts';
import type { Counter, Metrics } from '#libs/telemetry/metrics.ts';

const SAME_KIND_AFTER_MS = 10_000;

export interface UnreadableSurroundings {
  metrics: Pick<Metrics, 'counter'>;
  logger: { error(fields: object, words: string): void };
  /** Monotonic, milliseconds. */
  now: () => number;
}

export class UnreadableLog {
  readonly #counter: Counter;
  readonly #surroundings: UnreadableSurroundings;
  readonly #saidAtMs = new Map<string, number>();

  constructor(surroundings: UnreadableSurroundings) {
    this.#surroundings = surroundings;
    this.#counter = surroundings.metrics.counter(
      'postrider_nats_unreadable_total',
      'Messages of NATS that could not be read and were dropped, by kind of subject. Healthy: none.',
    );
    // Shown from the start: who watches for an increase would not see the first one of a series that begins with it.
    this.#counter.add(0, { subject: 'none' });
  }

  heard({ kind, octets, reason }: Unreadable): void {
    const { logger, now } = this.#surroundings;
    this.#counter.add(1, { subject: kind });
    const nowMs = now();
    if (nowMs - (this.#saidAtMs.get(kind) ?? Number.NEGATIVE_INFINITY) < SAME_KIND_AFTER_MS) return;
    this.#saidAtMs.set(kind, nowMs);
    logger.error({ subject: kind, octets, reason }, 'a message cannot be read: dropped');
  }
}
