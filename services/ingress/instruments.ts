// What ingress shows of itself. The hot path adds to plain numbers; they are handed on once a second.
import type { Metrics } from '#libs/telemetry/metrics.ts';

const PACK_MAILS = [1, 2, 5, 10, 20, 50, 100, 200, 400];
const SECONDS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2, 10, 30];
const PACK_OCTETS = [4096, 16_384, 65_536, 131_072, 262_144, 524_288, 1_048_576];

/** Reply codes are below it. */
const CODES_END = 600;
const CHAR_0 = 0x30;
const CHAR_4 = 0x34;

export interface Readings {
  sessions: () => number;
  memoryOctets: () => number;
  waitingMails: () => number;
  /** Seconds until the certificate expires; undefined without one. */
  certificateSeconds: (() => number) | undefined;
}

export class Instruments {
  /** Mails that were committed. */
  accepted = 0;
  /** Connections that were turned away for want of sessions. */
  turnedAway = 0;
  readonly #refusals = new Uint32Array(CODES_END);
  readonly #acceptedTotal: ReturnType<Metrics['counter']>;
  readonly #turnedAwayTotal: ReturnType<Metrics['counter']>;
  readonly #refusalsTotal: ReturnType<Metrics['counter']>;
  readonly #packMails: ReturnType<Metrics['histogram']>;
  readonly #packOctets: ReturnType<Metrics['histogram']>;
  readonly #commitSeconds: ReturnType<Metrics['histogram']>;

  constructor(metrics: Pick<Metrics, 'counter' | 'gauge' | 'histogram'>, readings: Readings) {
    this.#acceptedTotal = metrics.counter('postrider_ingress_mails_accepted_total', 'Mails stored durably.');
    this.#refusalsTotal = metrics.counter(
      'postrider_ingress_refusals_total',
      'Replies that refuse, by code; a rising share of 4xx means trouble here, of 5xx trouble with clients.',
    );
    this.#turnedAwayTotal = metrics.counter(
      'postrider_ingress_connections_turned_away_total',
      'Connections over limits.sessionsMax; 0 when healthy.',
    );
    this.#packMails = metrics.histogram(
      'postrider_ingress_pack_mails',
      'Mails of one pack; grows with load.',
      PACK_MAILS,
    );
    this.#packOctets = metrics.histogram('postrider_ingress_pack_octets', 'Octets of one pack.', PACK_OCTETS);
    this.#commitSeconds = metrics.histogram(
      'postrider_ingress_commit_seconds',
      'From sending a pack to its acknowledgement; mostly the fsync of JetStream.',
      SECONDS,
    );
    metrics.gauge('postrider_ingress_sessions', 'Connections of clients.', readings.sessions);
    metrics.gauge(
      'postrider_ingress_memory_octets',
      'Octets of mail in memory; near limits.memoryMax, DATA is answered 452.',
      readings.memoryOctets,
    );
    metrics.gauge('postrider_ingress_mails_waiting', 'Mails that wait for a pack.', readings.waitingMails);
    if (readings.certificateSeconds !== undefined) {
      metrics.gauge(
        'postrider_ingress_certificate_seconds',
        'Until the certificate expires; page below a week.',
        readings.certificateSeconds,
      );
    }
  }

  /** Counts the reply when it refuses something. */
  replied(text: string): void {
    if (text.charCodeAt(0) < CHAR_4) return;
    const code =
      (text.charCodeAt(0) - CHAR_0) * 100 +
      (text.charCodeAt(1) - CHAR_0) * 10 +
      (text.charCodeAt(2) - CHAR_0);
    this.#refusals[code] = this.#refusals[code]! + 1;
  }

  packed(pack: { mails: number; octets: number; tookMs: number }): void {
    this.#packMails.record(pack.mails);
    this.#packOctets.record(pack.octets);
    this.#commitSeconds.record(pack.tookMs / 1000);
  }

  /** Hands the counts on. Called about once a second. */
  sweep(): void {
    if (this.accepted > 0) this.#acceptedTotal.add(this.accepted);
    if (this.turnedAway > 0) this.#turnedAwayTotal.add(this.turnedAway);
    this.accepted = 0;
    this.turnedAway = 0;
    for (let code = 400; code < CODES_END; code++) {
      const count = this.#refusals[code]!;
      if (count === 0) continue;
      this.#refusalsTotal.add(count, { class: `${Math.floor(code / 100)}xx`, code: String(code) });
      this.#refusals[code] = 0;
    }
  }
}
