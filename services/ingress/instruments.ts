// What ingress shows of itself. The hot path adds to plain numbers; they are handed on once a second.
import type { Metrics } from '#libs/telemetry/metrics.ts';
import { Tally } from '#libs/telemetry/tally.ts';
import type { HeaderTrouble } from './balanced-peers.actor.ts';
import { scopeOf } from './client-address.ts';

const PACK_MAILS = [1, 2, 5, 10, 20, 50, 100, 200, 400];
const SECONDS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2, 10, 30];
const PACK_OCTETS = [4096, 16_384, 65_536, 131_072, 262_144, 524_288, 1_048_576];

/** Reply codes are below it. */
const CODES_END = 600;
/** Subjects of an enhanced status are one digit: RFC 3463 section 3. */
const SUBJECTS = 10;
const CHAR_0 = 0x30;
const CHAR_4 = 0x34;
/** In "452 4.3.1 ...", the 3. */
const SUBJECT_AT = 6;

export interface Readings {
  sessions: () => number;
  memoryOctets: () => number;
  waitingMails: () => number;
  /** Seconds since the oldest of them was whole; 0 when none waits. */
  waitingSeconds: () => number;
  packsInFlight: () => number;
  chunksInFlight: () => number;
  /** Seconds until the certificate expires; undefined without one. */
  certificateSeconds: (() => number) | undefined;
}

/** Versions that a handshake can end with, and "none"; a label has no other values. */
const TLS_VERSIONS = new Set(['none', 'TLSv1.2', 'TLSv1.3']);

export class Instruments {
  /** Mails that were committed. */
  accepted = 0;
  /** Connections that were turned away for want of sessions. */
  turnedAway = 0;
  /** At code * SUBJECTS + subject. */
  readonly #refusals = new Uint32Array(CODES_END * SUBJECTS);
  readonly #acceptedTotal: ReturnType<Metrics['counter']>;
  readonly #turnedAwayTotal: ReturnType<Metrics['counter']>;
  readonly #refusalsTotal: ReturnType<Metrics['counter']>;
  readonly #sessionsByRole: Tally<'mx' | 'relay'>;
  readonly #sessionsByTls: Tally<string>;
  readonly #mxClients: Tally<'private' | 'public'>;
  readonly #headersRefused: Tally<HeaderTrouble>;
  readonly #packMails: ReturnType<Metrics['histogram']>;
  readonly #packOctets: ReturnType<Metrics['histogram']>;
  readonly #commitSeconds: ReturnType<Metrics['histogram']>;

  constructor(metrics: Pick<Metrics, 'counter' | 'gauge' | 'histogram'>, readings: Readings) {
    this.#acceptedTotal = metrics.counter('postrider_ingress_mails_accepted_total', 'Mails stored durably.');
    this.#refusalsTotal = metrics.counter(
      'postrider_ingress_refusals_total',
      'Replies that refuse, by code and the subject of their enhanced status: subject 3 of 4xx, and 451, are trouble here; the rest is trouble with clients.',
    );
    this.#turnedAwayTotal = metrics.counter(
      'postrider_ingress_connections_turned_away_total',
      'Connections over limits.sessionsMax; 0 when healthy.',
    );
    this.#sessionsByRole = new Tally(
      metrics.counter(
        'postrider_ingress_sessions_accepted_total',
        'Clients that said something, by the role of the listener; health checks do not count.',
      ),
      'role',
    );
    this.#sessionsByTls = new Tally(
      metrics.counter(
        'postrider_ingress_sessions_ended_total',
        'The same clients when they are gone, by the version of TLS that they spoke; a falling share of TLS means trouble with the certificate.',
      ),
      'tls',
    );
    this.#mxClients = new Tally(
      metrics.counter(
        'postrider_ingress_mx_clients_total',
        'Clients of mx listeners by their address; when most are private, something on the way replaces the addresses of clients.',
      ),
      'address',
    );
    this.#headersRefused = new Tally(
      metrics.counter(
        'postrider_ingress_proxy_headers_refused_total',
        'Connections closed for their PROXY header, by reason; 0 when balancers and listeners fit together.',
      ),
      'reason',
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
    addGauges(metrics, readings);
  }

  /** Counts the reply when it refuses something. */
  replied(text: string): void {
    if (text.charCodeAt(0) < CHAR_4) return;
    const code =
      (text.charCodeAt(0) - CHAR_0) * 100 +
      (text.charCodeAt(1) - CHAR_0) * 10 +
      (text.charCodeAt(2) - CHAR_0);
    const subject = Math.min(Math.max(text.charCodeAt(SUBJECT_AT) - CHAR_0, 0), SUBJECTS - 1);
    const at = code * SUBJECTS + subject;
    this.#refusals[at] = this.#refusals[at]! + 1;
  }

  /** A client said its first octets. */
  spoke({ role, clientAddress }: { role: 'mx' | 'relay'; clientAddress: string }): void {
    this.#sessionsByRole.count(role);
    if (role === 'mx') this.#mxClients.count(scopeOf(clientAddress));
  }

  /** A client that had spoken is gone; `tlsVersion` is '' when it spoke without. */
  left(tlsVersion: string): void {
    const version = tlsVersion === '' ? 'none' : tlsVersion;
    this.#sessionsByTls.count(TLS_VERSIONS.has(version) ? version : 'other');
  }

  headerRefused(reason: HeaderTrouble): void {
    this.#headersRefused.count(reason);
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
    this.#sessionsByRole.sweep();
    this.#sessionsByTls.sweep();
    this.#mxClients.sweep();
    this.#headersRefused.sweep();
    for (let at = 400 * SUBJECTS; at < this.#refusals.length; at++) {
      const count = this.#refusals[at]!;
      if (count === 0) continue;
      const code = Math.floor(at / SUBJECTS);
      const subject = String(at % SUBJECTS);
      this.#refusalsTotal.add(count, { class: `${Math.floor(code / 100)}xx`, code: String(code), subject });
      this.#refusals[at] = 0;
    }
  }
}

function addGauges(metrics: Pick<Metrics, 'gauge'>, readings: Readings): void {
  metrics.gauge('postrider_ingress_sessions', 'Connections of clients.', readings.sessions);
  metrics.gauge(
    'postrider_ingress_memory_octets',
    'Octets of mail in memory; near limits.memoryMax, DATA is answered 452.',
    readings.memoryOctets,
  );
  metrics.gauge('postrider_ingress_mails_waiting', 'Mails that wait for a pack.', readings.waitingMails);
  metrics.gauge(
    'postrider_ingress_mails_waiting_seconds',
    'How long the oldest of them has waited; well below a second when healthy.',
    readings.waitingSeconds,
  );
  metrics.gauge(
    'postrider_ingress_packs_in_flight',
    'Packs that wait for their acknowledgement; at most one per SPOOL stream.',
    readings.packsInFlight,
  );
  metrics.gauge(
    'postrider_ingress_chunks_in_flight',
    'Chunks of large mails that wait for theirs; at most 16.',
    readings.chunksInFlight,
  );
  if (readings.certificateSeconds === undefined) return;
  metrics.gauge(
    'postrider_ingress_certificate_seconds',
    'Until the certificate expires; page below a week.',
    readings.certificateSeconds,
  );
}
