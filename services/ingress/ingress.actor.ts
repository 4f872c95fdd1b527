// The ingress service put together: listeners, sessions, and the way of a mail into SPOOL.
//
// Fails: an address that cannot be had or a certificate that cannot be read stops the start.
import { hostname as machineName } from 'node:os';
import type { Config } from '#libs/config/schema.ts';
import type { ServiceContext } from '#libs/lifecycle/run-service.ts';
import type { Layout } from '#libs/nats/layout.ts';
import { RecordWriter } from '#libs/nats/records.ts';
import { deleteRecord } from '#libs/nats/trimming.ts';
import { type ServerPolicy, serverPolicy } from '#libs/smtp/server.machine.ts';
import { TlsIdentity } from '#libs/tls/identity.ts';
import { AlwaysTraced } from './always-traced.ts';
import { ArrivingMail, READ_OCTETS, type Spool } from './arriving-mail.actor.ts';
import { ChunkStore } from './chunk-store.actor.ts';
import { familyOf, RelayNetworks } from './client-address.ts';
import { Instruments } from './instruments.ts';
import { Listener, type ListenerConfig, type ListenerReady } from './listener.actor.ts';
import { MemoryBudget } from './memory-budget.ts';
import { Packer } from './packer.actor.ts';
import { Recipients } from './recipients.actor.ts';
import type { SessionContext } from './session-context.ts';
import { Sessions } from './sessions.actor.ts';
import { TroubleLog } from './trouble-log.ts';

const SWEEP_MS = 1000;
/** Commits that run get so much longer than mail data that arrives, when the service stops. */
const STOP_COMMIT_MS = 5000;

export class Ingress {
  readonly #service: ServiceContext;
  readonly #hostname: string;
  readonly #tls: TlsIdentity | undefined;
  readonly #budget: MemoryBudget;
  readonly #packer: Packer;
  readonly #spool: Spool;
  readonly #instruments: Instruments;
  readonly #sessions: Sessions;
  readonly #listeners: Listener[];
  readonly #troubles: TroubleLog;
  readonly #alwaysTraced: AlwaysTraced;
  #timer: NodeJS.Timeout | undefined;

  constructor(service: ServiceContext, layout: Layout) {
    const { config, link, telemetry } = service;
    const { limits, telemetry: telemetryKeys } = config;
    this.#service = service;
    this.#troubles = new TroubleLog((line) => telemetry.logger.warn(line), Date.now);
    this.#alwaysTraced = new AlwaysTraced(telemetryKeys.alwaysSample);
    this.#hostname = config.hostname ?? machineName();
    this.#tls = config.tls === undefined ? undefined : new TlsIdentity(config.tls);
    this.#budget = new MemoryBudget(limits.memoryMax);
    const writer = new RecordWriter(link);
    const common = {
      writer,
      layout,
      commitWaitMaxMs: limits.commitWaitMax,
      random: Math.random,
      onTrouble: (reason: string) => this.#troubles.say(reason),
    };
    this.#packer = new Packer({
      ...common,
      hostname: this.#hostname,
      now: Date.now,
      onPack: (pack) => this.#instruments.packed(pack),
    });
    const remove = (stream: string, sequence: number) => deleteRecord(link, stream, sequence);
    this.#spool = {
      budget: this.#budget,
      chunkStore: new ChunkStore({ ...common, remove }),
      packer: this.#packer,
      chunkSize: limits.chunkSize,
      now: Date.now,
      onStored: this.#storedLog(),
    };
    const tls = this.#tls;
    this.#instruments = new Instruments(telemetry.metrics, {
      sessions: () => this.#sessions.size,
      memoryOctets: () => this.#budget.used,
      waitingMails: () => this.#packer.waiting,
      certificateSeconds: tls && (() => (tls.validUntilMs - Date.now()) / 1000),
    });
    this.#sessions = new Sessions({
      sessionsMax: limits.sessionsMax,
      idleMaxMs: limits.sessionIdleMax,
      now: Date.now,
      context: {
        recipients: new Recipients({ link, now: Date.now, onTrouble: common.onTrouble }),
        budget: this.#budget,
        instruments: this.#instruments,
        tls,
        openMail: (source) => this.#openMail(source),
      },
    });
    const networks = new RelayNetworks(config.relayNetworks);
    this.#listeners = config.listeners.map((listener) => this.#listener(listener, networks));
  }

  /** Takes clients; throws when an address cannot be had. Where they connect, in the order of the configuration. */
  async start(): Promise<ListenerReady[]> {
    const ready: ListenerReady[] = [];
    try {
      for (const listener of this.#listeners) ready.push(await listener.start());
    } catch (error) {
      for (const listener of this.#listeners.slice(0, ready.length)) listener.stop();
      throw error;
    }
    this.#timer = setInterval(() => this.#sweep(), SWEEP_MS);
    return ready;
  }

  /** Takes no more clients, and lets mail that is under way finish. */
  async stop(): Promise<void> {
    for (const listener of this.#listeners) listener.stop();
    const cutAfterMs = this.#service.config.drain.sessions;
    await this.#sessions.stop({ cutAfterMs, giveUpAfterMs: cutAfterMs + STOP_COMMIT_MS });
    clearInterval(this.#timer);
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

  #sweep(): void {
    this.#sessions.sweep();
    this.#packer.sweep();
    this.#instruments.sweep();
  }

  #openMail(source: Parameters<SessionContext['openMail']>[0]): ArrivingMail | undefined {
    if (!this.#budget.admit(READ_OCTETS)) return undefined;
    const { tracing } = this.#service.telemetry;
    const span = tracing.startRoot('smtp accept', {
      kind: 'server',
      keep: this.#alwaysTraced.holds(source.transaction) ? 'always' : 'sampled',
      attributes: { 'network.type': familyOf(source.clientAddress) },
    });
    return new ArrivingMail(this.#spool, { ...source, span }, source.transaction, READ_OCTETS);
  }

  #listener(config: ListenerConfig, relayNetworks: RelayNetworks): Listener {
    const tls = config.tls === 'starttls' && this.#tls === undefined ? 'none' : config.tls;
    return new Listener({
      config,
      tls,
      policies: { relay: this.#policy(tls, 'allowed'), noRelay: this.#policy(tls, 'denied') },
      relayNetworks,
      onClient: (socket, origin) => this.#sessions.accept(socket, origin),
      onTrouble: (reason) => this.#troubles.say(reason),
    });
  }

  #policy(tls: ListenerConfig['tls'], relay: ServerPolicy['relay']): ServerPolicy {
    const { limits, localDomains }: Config = this.#service.config;
    const { messageSizeMax, recipientsMax, badCommandsMax, receivedFieldsMax } = limits;
    return serverPolicy({
      hostname: this.#hostname,
      postmasterDomain: localDomains[0]?.name ?? this.#hostname,
      messageSizeMax,
      recipientsMax,
      badCommandsMax,
      receivedFieldsMax,
      starttls: tls === 'starttls' ? 'offered' : 'absent',
      relay,
    });
  }
}
