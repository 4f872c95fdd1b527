// The ingress service put together: listeners, sessions, and the way of a mail into SPOOL.
//
// Fails: an address that cannot be had or a certificate that cannot be read stops the start.
import { hostname as machineName } from 'node:os';
import type { ServiceContext } from '#libs/lifecycle/run-service.ts';
import type { Layout } from '#libs/nats/layout.ts';
import { recipientRoom, recordMax, singleMax } from '#libs/nats/payload.ts';
import { RecordWriter } from '#libs/nats/records.ts';
import { deleteRecord } from '#libs/nats/trimming.ts';
import { steadyClock } from '#libs/shell/steady-clock.ts';
import type { TlsIdentity } from '#libs/tls/identity.ts';
import { CertificateRenewal } from '#libs/tls/renewal.ts';
import { AcceptSpan } from './accept-span.ts';
import { AlwaysTraced, type ForcedTraces } from './always-traced.ts';
import { ArrivingMail, READ_OCTETS, type Spool } from './arriving-mail.actor.ts';
import { BalancedPeers } from './balanced-peers.actor.ts';
import { openCertificate } from './certificate.ts';
import { ChunkStore } from './chunk-store.actor.ts';
import { Instruments, type Readings } from './instruments.ts';
import type { Listener, ListenerReady } from './listener.actor.ts';
import { makeListeners } from './listeners.ts';
import { MemoryBudget } from './memory-budget.ts';
import { Packer, type PackerOptions } from './packer.actor.ts';
import { Recipients } from './recipients.actor.ts';
import type { SessionContext } from './session-context.ts';
import { Sessions } from './sessions.actor.ts';
import { StreamWatch } from './stream-watch.actor.ts';
import { TroubleLog } from './trouble-log.ts';
import { TurningAway } from './turning-away.actor.ts';

const SWEEP_MS = 1000;
/** Commits that run get so much longer than mail data that arrives, when the service stops. */
const STOP_COMMIT_MS = 5000;
/** A renewed certificate is taken within twice this. */
const CERTIFICATE_EVERY_MS = 15_000;

export interface IngressOptions {
  /** Absent means those of the configuration. */
  forcedTraces?: ForcedTraces;
  /** Milliseconds between two looks at the files of the certificate. */
  certificateEveryMs?: number;
}

export class Ingress {
  readonly #service: ServiceContext;
  readonly #forcedTraces: ForcedTraces;
  readonly #tls: TlsIdentity | undefined;
  readonly #renewal: CertificateRenewal | undefined;
  readonly #budget: MemoryBudget;
  readonly #chunkStore: ChunkStore;
  readonly #packer: Packer;
  readonly #streamWatch: StreamWatch;
  readonly #spool: Spool;
  readonly #instruments: Instruments;
  readonly #sessions: Sessions;
  readonly #clock = steadyClock();
  readonly #turningAway = new TurningAway(this.#clock.now);
  readonly #balancedPeers: BalancedPeers;
  readonly #listeners: Listener[];
  readonly #troubles: TroubleLog;
  #timer: NodeJS.Timeout | undefined;

  /** Throws an error that names the key when the certificate cannot be read. */
  constructor(service: ServiceContext, layout: Layout, options: IngressOptions = {}) {
    const { config, link, telemetry } = service;
    const { limits } = config;
    const hostname = config.hostname ?? machineName();
    const onTrouble = (reason: string, detail?: string) => this.#troubles.say(reason, detail);
    this.#service = service;
    this.#troubles = new TroubleLog((line) => telemetry.logger.warn(line), this.#clock.now);
    this.#forcedTraces = options.forcedTraces ?? new AlwaysTraced(config.telemetry.alwaysSample);
    this.#tls = config.tls && openCertificate(config.tls);
    this.#renewal = this.#tls && this.#makeRenewal(this.#tls, options.certificateEveryMs);
    this.#budget = new MemoryBudget(limits.memoryMax);
    this.#streamWatch = new StreamWatch({
      link,
      layout,
      softMark: limits.spoolSoftMark,
      ticks: () => performance.now(),
      onChange: (words) => telemetry.logger.warn(words),
    });
    this.#streamWatch.show(telemetry.metrics);
    const { spool, store } = this.#streamWatch;
    const { now } = this.#clock;
    const common = {
      writer: new RecordWriter(link),
      layout,
      commitWaitMaxMs: limits.commitWaitMax,
      payloadMax: () => link.payloadMax,
      random: Math.random,
      onTrouble,
    };
    const onPack: PackerOptions['onPack'] = (pack) => this.#instruments.packed(pack);
    this.#packer = new Packer({ ...common, streams: spool, hostname, now, wall: Date.now, onPack });
    const remove = (stream: string, sequence: number) => deleteRecord(link, stream, sequence);
    this.#chunkStore = new ChunkStore({ ...common, streams: store, remove });
    this.#spool = {
      budget: this.#budget,
      chunkStore: this.#chunkStore,
      packer: this.#packer,
      get chunkSize() {
        return Math.min(limits.chunkSize, singleMax(link.payloadMax));
      },
      get frameOctetsMax() {
        return recordMax(link.payloadMax);
      },
      now,
      onStored: this.#storedLog(),
    };
    this.#instruments = new Instruments(telemetry.metrics, this.#readings());
    const recipients = new Recipients({ link, now, onTrouble });
    this.#sessions = this.#makeSessions(recipients);
    this.#balancedPeers = new BalancedPeers({
      waitingMax: limits.sessionsMax,
      turningAway: this.#turningAway,
      instruments: this.#instruments,
      onTrouble,
    });
    this.#listeners = makeListeners({
      config,
      hostname,
      balancedPeers: this.#balancedPeers,
      onClient: (socket, origin) => this.#sessions.accept(socket, origin),
      onTrouble,
    });
  }

  /** Takes clients; throws when an address cannot be had. Where they connect, in the order of the configuration. */
  async start(): Promise<ListenerReady[]> {
    const ready: ListenerReady[] = [];
    await this.#streamWatch.look();
    try {
      for (const listener of this.#listeners) ready.push(await listener.start());
    } catch (error) {
      for (const listener of this.#listeners.slice(0, ready.length)) listener.stop();
      throw error;
    }
    this.#timer = setInterval(() => this.#sweep(), SWEEP_MS);
    this.#renewal?.start();
    return ready;
  }

  /** Takes no more clients, and lets mail that is under way finish. */
  async stop(): Promise<void> {
    for (const listener of this.#listeners) listener.stop();
    this.#balancedPeers.stop();
    this.#renewal?.stop();
    const cutAfterMs = this.#service.config.drain.sessions;
    await this.#sessions.stop({ cutAfterMs, giveUpAfterMs: cutAfterMs + STOP_COMMIT_MS });
    await this.#turningAway.stop();
    clearInterval(this.#timer);
    this.#streamWatch.stop();
    this.#instruments.sweep();
  }

  /** Reads the certificate again; new handshakes show it. A bad one is logged and the old one kept. */
  reloadCertificate(): void {
    const { logger } = this.#service.telemetry;
    try {
      this.#tls?.reload();
      logger.info('certificate read again');
    } catch (error) {
      logger.error(`the certificate stays as it was: ${(error as Error).message}`);
    }
  }

  #makeRenewal(identity: TlsIdentity, everyMs = CERTIFICATE_EVERY_MS): CertificateRenewal {
    const { logger } = this.#service.telemetry;
    return new CertificateRenewal({
      identity,
      everyMs,
      onRenewed: () => {
        const validUntil = new Date(identity.validUntilMs).toISOString();
        logger.info({ valid_until: validUntil }, 'the certificate was renewed');
      },
      onRefused: (reason) => {
        logger.error(`the certificate was changed and cannot be used, the old one stays: ${reason}`);
      },
    });
  }

  /** A log line per mail would cost more than its SMTP dialog: only at level debug. */
  #storedLog(): Spool['onStored'] {
    const { logger } = this.#service.telemetry;
    if (!logger.isLevelEnabled('debug')) return () => {};
    return ({ transaction, trace, dataOctets, clientAddress }, queueId) => {
      const recipients = transaction.forwardPaths.length;
      const line = { queue_id: queueId, trace, size: dataOctets, recipients, client_address: clientAddress };
      logger.debug(line, 'mail stored');
    };
  }

  #readings(): Readings {
    const tls = this.#tls;
    const { now } = this.#clock;
    return {
      sessions: () => this.#sessions.size,
      memoryOctets: () => this.#budget.used,
      waitingMails: () => this.#packer.waiting,
      waitingSeconds: () => (now() - (this.#packer.waitingSinceMs ?? now())) / 1000,
      packsInFlight: () => this.#packer.packsInFlight,
      chunksInFlight: () => this.#chunkStore.inFlight,
      certificateSeconds: tls && (() => (tls.validUntilMs - Date.now()) / 1000),
    };
  }

  #makeSessions(recipients: Recipients): Sessions {
    const { link, config } = this.#service;
    const { sessionsMax, sessionIdleMax } = config.limits;
    return new Sessions({
      sessionsMax,
      idleMaxMs: sessionIdleMax,
      now: this.#clock.now,
      turningAway: this.#turningAway,
      context: {
        recipients,
        budget: this.#budget,
        instruments: this.#instruments,
        recipientRoom: () => recipientRoom(link.payloadMax),
        tls: this.#tls,
        storage: () => this.#streamWatch.spool.standing,
        openMail: (source) => this.#openMail(source),
      },
    });
  }

  #sweep(): void {
    void this.#streamWatch.look();
    this.#sessions.sweep();
    this.#turningAway.sweep();
    this.#packer.sweep();
    this.#instruments.sweep();
  }

  #openMail(source: Parameters<SessionContext['openMail']>[0]): ArrivingMail | undefined {
    if (!this.#budget.admit(READ_OCTETS)) return undefined;
    const { transaction } = source;
    const { reversePath, forwardPaths } = transaction;
    const keep = this.#forcedTraces.holds(reversePath, forwardPaths) ? 'always' : 'sampled';
    const live = this.#service.telemetry.tracing.startRoot('smtp accept', { kind: 'server', keep });
    const span = live && new AcceptSpan(live, source, transaction);
    return new ArrivingMail(this.#spool, { ...source, span }, transaction, READ_OCTETS);
  }
}
