// Says which messages were not sent because the server does not take so much: each is counted, one of a kind in ten seconds is
// logged. What is not sent is a bound that was not kept where the message was made, or a server that takes less than before.
import type { Link, OversizedMessage } from '#libs/nats/link.ts';
import type { Counter, Metrics } from '#libs/telemetry/metrics.ts';

const SAME_KIND_AFTER_MS = 10_000;

export interface OversizedSurroundings {
  metrics: Pick<Metrics, 'counter'>;
  logger: { error(fields: object, words: string): void };
  /** Monotonic, milliseconds. */
  now: () => number;
}

export class OversizedLog {
  readonly #counter: Counter;
  readonly #surroundings: OversizedSurroundings;
  readonly #saidAtMs = new Map<string, number>();

  constructor(link: Pick<Link, 'onOversized'>, surroundings: OversizedSurroundings) {
    this.#surroundings = surroundings;
    this.#counter = surroundings.metrics.counter(
      'postrider_nats_oversized_total',
      'Messages not sent because nats-server takes none so large, by kind of subject. Healthy: none.',
    );
    // Shown from the start: who watches for an increase would not see the first one of a series that begins with it.
    this.#counter.add(0, { kind: 'none' });
    link.onOversized((message) => this.#heard(message));
  }

  #heard({ kind, octets, payloadMax }: OversizedMessage): void {
    const { logger, now } = this.#surroundings;
    this.#counter.add(1, { kind });
    const nowMs = now();
    if (nowMs - (this.#saidAtMs.get(kind) ?? Number.NEGATIVE_INFINITY) < SAME_KIND_AFTER_MS) return;
    this.#saidAtMs.set(kind, nowMs);
    logger.error(
      { kind, octets, max_payload: payloadMax },
      'a message is larger than nats-server takes: not sent',
    );
  }
}
