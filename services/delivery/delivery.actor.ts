// A delivery worker: puts together shards, ledger, sites and carriers, drives them by one coarse timer, and stops in order: give
// back what waits, finish what runs, wait longer for replies to final dots, end the rest, say goodbye when owners know of it.

import { hostname } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import type { Config } from '#libs/config/schema.ts';
import { showClockSkew } from '#libs/nats/clock-skew.ts';
import { DirectGet } from '#libs/nats/direct-get.ts';
import type { Link } from '#libs/nats/link.ts';
import { shardOf } from '#libs/nats/placement.ts';
import { steadyClock } from '#libs/shell/steady-clock.ts';
import type { Telemetry } from '#libs/telemetry/telemetry.ts';
import type { Outcome } from '#proto/postrider/v1/job.ts';
import { type Attempt, outcomeOfEnded } from './attempt.ts';
import { Checkpoints } from './checkpoints.actor.ts';
import { Departure } from './departure.ts';
import { MaildirGateway } from './gateways/maildir.ts';
import { Instruments } from './instruments.ts';
import { Intake } from './intake.actor.ts';
import { LateJobs } from './late-jobs.ts';
import { openCarrier } from './open-carrier.ts';
import { Outbox } from './outbox.actor.ts';
import { PackCache } from './pack-cache.actor.ts';
import { Shards } from './shards.actor.ts';
import type { AttemptEnd } from './site.actor.ts';
import type { SitePolicy } from './site.machine.ts';
import { type SharedContext, Sites } from './sites.actor.ts';

const SWEEP_MS = 250;
const SAY_EVERY_MS = 10_000;

/** Owners that live act on an outcome within this. */
const GOODBYE_MS = 1000;
/** Five seconds of silence, then the next owner loads the partition and asks. */
const NEXT_OWNER_MS = 12_000;
/** For that one is waited so long even when all the time for a stop is used up. */
const NEXT_OWNER_LEAST_MS = 8000;

export interface DeliveryOptions {
  config: Config;
  telemetry: Pick<Telemetry, 'tracing' | 'metrics' | 'logger'>;
  link: Link;
}

export class Delivery {
  readonly #link: Link;
  /** How long attempts that run may take when the worker stops. */
  readonly #drain: Config['drain'];
  readonly #instruments: Instruments;
  readonly #departure = new Departure();
  readonly #outbox: Outbox;
  readonly #intake: Intake;
  readonly #sites: Sites;
  readonly #shards: Shards;
  readonly #gateway = new MaildirGateway();
  readonly #timer: NodeJS.Timeout;
  readonly #logger: DeliveryOptions['telemetry']['logger'];
  /** Whoever sets the machine's clock lengthens or shortens nothing here; wall time is only for what is shown. */
  readonly #clock = steadyClock();
  readonly #late: LateJobs;

  constructor({ config, telemetry, link }: DeliveryOptions) {
    const { delivery, nats } = config;
    const { logger } = telemetry;
    const { now, toWall } = this.#clock;
    this.#link = link;
    this.#logger = logger;
    this.#drain = config.drain;
    this.#late = lateJobs(telemetry);
    const cache = new PackCache(new DirectGet(link), delivery.packCacheMax);
    this.#outbox = new Outbox(link, this.#departure);
    this.#intake = this.#newIntake(nats.partitions);
    const checkpoints = this.#checkpoints(link);
    const carriers = {
      config,
      cache,
      checkpoints,
      gateway: this.#gateway,
      now,
      mayEnd: () => this.#shards.hasLease,
      hostname: config.hostname ?? hostname(),
    };
    const context: SharedContext = {
      policy: policyOf(delivery),
      now,
      toWall,
      random: Math.random,
      openCarrier: (site, onEvent) => openCarrier(carriers, site, onEvent),
      finished: (attempt, outcome) => this.#finished(attempt, outcome),
      begun: (attempt, site) => this.#instruments.begun(attempt, site.key),
      tell: (partition, status) => this.#outbox.site(partition, status),
      onSuspended: ({ siteKey: site, ...status }) => logger.warn({ site, ...status }, 'site suspended'),
      onLate: (site, jobs) => this.#late.count(site, jobs, now()),
    };
    this.#sites = new Sites(context, {
      connectionsMax: delivery.connectionsMax,
      shardOf: (siteKey) => shardOf(siteKey, delivery.shards),
      isOurs: (shard) => this.#shards.isOurs(shard),
    });
    this.#shards = new Shards({
      link,
      shards: delivery.shards,
      onJobs: (message) => this.#intake.jobs(message),
      drain: (shards) => this.#sites.drain(shards),
      busy: (shards) => this.#sites.busy(shards),
      cut: () => this.#cut(),
    });
    this.#instruments = new Instruments(telemetry.tracing, telemetry.metrics, {
      toWall,
      totals: () => this.#sites.totals(),
      connectionsMax: delivery.connectionsMax,
      shards: () => this.#shards.held,
      unacknowledged: () => this.#intake.unacknowledged,
      oldestWaitMs: () => this.#intake.oldestWaitMs,
      packOctets: () => cache.octets,
      checkpointWaitSeconds: () => checkpoints.longestWaitSeconds,
    });
    showClockSkew(telemetry.metrics, () => this.#shards.clockOffsets());
    this.#timer = setInterval(() => this.#sweep(), sweepMsOf(delivery.timeoutScale));
  }

  #newIntake(partitions: number): Intake {
    return new Intake({
      link: this.#link,
      partitions,
      outbox: this.#outbox,
      now: this.#clock.now,
      onAttempts: (site, attempts) => this.#sites.arrived(site, attempts),
      onCancelled: (siteKey, attempt) => this.#sites.cancel(siteKey, attempt),
      onTrouble: (reason) => this.#logger.error({ reason }, 'an answer that is too large'),
      onFull: rarely((jobs) => {
        const { unacknowledged } = this.#intake;
        this.#logger.error(
          { jobs, unacknowledged },
          'jobs not taken: too many outcomes wait for their owners',
        );
      }),
      mayTakeJobs: () => this.#shards.hasLease,
      isLate: (batch) => this.#shards.isLate(batch),
    });
  }

  #checkpoints(link: Link): Checkpoints {
    return new Checkpoints({
      link,
      departure: this.#departure,
      onPublished: (id) => this.#intake.checkpointed(id),
      onPassed: (id) => this.#intake.passed(id),
      // Checkpoints are tried again several times a second, in each partition.
      onTrouble: rarely((reason) => this.#logger.error({ reason }, 'no final dot can be sent')),
      random: Math.random,
    });
  }

  async start(): Promise<void> {
    this.#intake.start();
    await this.#shards.start();
  }

  /** Shards that are served now. */
  get shards(): number {
    return this.#shards.held;
  }

  async stop(): Promise<void> {
    const { attempts, dots } = this.#drain;
    const unsentMs = performance.now() + attempts;
    this.#shards.leaveAll();
    await this.#untilNobodyIsConnected(unsentMs);
    const end = endedBy({ enhanced: '4.3.2', text: 'the worker was stopped' });
    this.#sites.abortUnsent(end);
    await this.#untilNobodyIsConnected(unsentMs + dots);
    this.#sites.abort(end);
    this.#departure.flushNow();
    await this.#untilActedOn(unsentMs + dots);
    clearInterval(this.#timer);
    await this.#shards.leave();
    this.#intake.stop();
    this.#instruments.sweep();
    await this.#gateway.close();
    await this.#link.flush();
  }

  async #untilNobodyIsConnected(untilMs: number): Promise<void> {
    while (this.#sites.totals().connections > 0 && performance.now() < untilMs) await pause(20);
  }

  /**
   * What nobody has acted on is delivered twice when we are gone. An owner that died is followed by another one, which asks us
   * once it has found out; where none is left, none will.
   */
  async #untilActedOn(untilMs: number): Promise<void> {
    const nowMs = performance.now();
    const lateMs = Math.min(Math.max(untilMs, nowMs + NEXT_OWNER_LEAST_MS), nowMs + NEXT_OWNER_MS);
    const patienceMs = () => (this.#shards.hasOwners ? lateMs : nowMs + GOODBYE_MS);
    while (this.#intake.unacknowledged > 0 && performance.now() < patienceMs()) await pause(20);
  }

  #finished(attempt: Attempt, outcome: Outcome): void {
    this.#intake.finished(attempt, outcome);
    this.#instruments.finished(attempt, outcome, this.#clock.now());
  }

  /** The lease has ended: others open connections to our sites soon, so ours end now. */
  #cut(): void {
    const { connections, running } = this.#sites.totals();
    this.#logger.warn(
      { connections, running },
      'cut off from NATS: all connections closed, all shards given up',
    );
    this.#sites.abort(endedBy({ enhanced: '4.4.2', text: 'the worker was cut off from its cluster' }));
  }

  #sweep(): void {
    const nowMs = this.#clock.now();
    // First: after a pause of the process the lease may be over.
    this.#shards.sweep();
    this.#sites.sweep(nowMs);
    this.#intake.sweep();
    this.#gateway.sweep(nowMs);
    this.#instruments.sweep();
  }
}

/** `say`, but not again within ten seconds. */
function rarely<T>(say: (what: T) => void): (what: T) => void {
  let saidAtMs = Number.NEGATIVE_INFINITY;
  return (what) => {
    const nowMs = performance.now();
    if (nowMs - saidAtMs < SAY_EVERY_MS) return;
    saidAtMs = nowMs;
    say(what);
  };
}

function lateJobs({ metrics, logger }: DeliveryOptions['telemetry']): LateJobs {
  return new LateJobs(metrics, (late) => {
    logger.warn(late, 'jobs given back: no connection became free for them in time');
  });
}

function policyOf(delivery: Config['delivery']): SitePolicy {
  return {
    connectionsMax: delivery.siteConnectionsMax,
    connectionMailsMax: delivery.connectionMailsMax,
    connectionIdleMaxMs: delivery.connectionIdleMax,
    backoffMinMs: delivery.backoffMin,
    backoffMaxMs: delivery.backoffMax,
  };
}

/** How attempts end that we end: in doubt when their final dot may have been sent, else as never started. */
function endedBy(words: { enhanced: string; text: string }): AttemptEnd {
  const reply = { code: 0, host: '', ...words };
  return (attempt, answered) => outcomeOfEnded(attempt, reply, answered);
}

/** Tests that scale the timeouts down need a finer clock. */
function sweepMsOf(timeoutScale: number): number {
  return Math.max(10, Math.min(SWEEP_MS, Math.round(SWEEP_MS * timeoutScale * 4)));
}
