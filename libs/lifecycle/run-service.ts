// Runs one service from start to stop: configuration, health, NATS, telemetry, the service itself, and back in reverse order.
//
// Fails: bad configuration -> its problems on standard error, exit 78; NATS away -> it waits, alive and not ready, with a line
// in the log now and then; NATS takes no message of the size that we need -> the reason in the log, exit 1; NATS refuses us or a file for it cannot be read, for 30 s -> the reason in the log, exit 1; the service
// cannot start -> a line in the log, exit 1; an error that nobody caught -> the same: a service that is in a state that nobody
// thought of must not go on, and killing it loses no mail.
import { setTimeout as pause } from 'node:timers/promises';
import { Command } from 'commander';
import type { Logger } from 'pino';
import { ConfigError, loadConfig } from '#libs/config/load.ts';
import type { Config } from '#libs/config/schema.ts';
import { onUnreadable } from '#libs/nats/decoding.ts';
import { LinkError } from '#libs/nats/dial.ts';
import { connectLink, type Link } from '#libs/nats/link.ts';
import { linkOptions } from '#libs/nats/link-options.ts';
import { payloadHindrance } from '#libs/nats/payload.ts';
import { type HealthServer, serveHealth } from '#libs/rpc/health.ts';
import { endpointText } from '#libs/rpc/listening.ts';
import { makeLogger } from '#libs/telemetry/logger.ts';
import { startTelemetry, type Telemetry } from '#libs/telemetry/telemetry.ts';
import { HealthReport } from './health-report.ts';
import { OversizedLog } from './oversized-log.ts';
import { onStopRequest } from './stop-request.ts';
import { runSteps, Wait } from './stop-steps.ts';
import { UnreadableLog } from './unreadable-log.ts';

/** As sysexits.h has it: the starter does not restart a service that ended with this. */
export const EXIT_CONFIG = 78;
/** Pause between two rounds of tries to reach NATS. */
const CONNECT_AGAIN_MS = 1000;

export interface ServiceContext {
  config: Config;
  telemetry: Telemetry;
  link: Link;
}

export interface RunningService {
  /** What the service tells those who wait for it: its addresses. */
  ready: Record<string, unknown>;
  /**
   * Why it cannot do its work although NATS is there, for the log; undefined when it can. Asked a few times a second. Absent
   * means that it always can.
   */
  readiness?: () => string | undefined;
  /** Finishes and hands over, within what `drain` says; the process is not ready any more by then. */
  stop: () => Promise<void>;
}

export interface Service {
  name: 'ingress' | 'queue' | 'resolver' | 'delivery';
  start: (context: ServiceContext) => Promise<RunningService>;
}

function configFromCommandLine(name: string): Config {
  const command = new Command(`postrider ${name}`)
    .description(`The ${name} service of Postrider. Any number may run against one NATS.`)
    .option('--config <file>', 'configuration file (YAML); default: POSTRIDER_CONFIG, else all defaults')
    .addHelpText('after', '\nEnvironment: POSTRIDER_CONFIG (see --config), NATS_URL (overrides nats.url).')
    .parse();
  const { config } = command.opts<{ config?: string }>();
  try {
    return loadConfig(config, process.env);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    console.error(error.message);
    process.exit(EXIT_CONFIG);
  }
}

function exitOnBugs(logger: () => Logger): void {
  const die = (error: unknown) => {
    logger().fatal(error instanceof Error ? error : { reason: String(error) }, 'nobody caught this error');
    process.exit(1);
  };
  process.on('uncaughtException', die);
  process.on('unhandledRejection', die);
}

/** Tells those who wait: a log line, and the starter by IPC when there is one. */
function announceReady(logger: Logger, ready: Record<string, unknown>): void {
  logger.info({ ready }, 'ready');
  process.send?.({ ready });
}

/** Waits for NATS as long as it takes: a process that ended instead would be started later and later by its orchestrator. */
async function connect(name: string, config: Config, logger: Logger): Promise<Link> {
  const options = linkOptions(config.nats, process.env);
  const onStatus = (status: string) => logger.info(`nats: ${status}`);
  for (;;) {
    try {
      return await connectLink({ ...options, service: name, onStatus });
    } catch (error) {
      if (!(error instanceof LinkError)) throw error;
      // What only a person can mend must not look like waiting.
      if (error.kind !== 'away') {
        logger.fatal(error.message);
        process.exit(1);
      }
      logger.warn(`NATS is away, trying on: ${error.message}`);
      await pause(CONNECT_AGAIN_MS);
    }
  }
}

/** What only a person can mend must not look like waiting. */
function refuseSmallPayloads({ payloadMax }: Link, logger: Logger): void {
  const hindrance = payloadHindrance(payloadMax);
  if (hindrance === undefined) return;
  logger.fatal(hindrance);
  process.exit(1);
}

interface Underway {
  running: RunningService;
  context: ServiceContext;
  report: HealthReport;
  health: HealthServer;
  wait: Wait;
}

/** Not ready, wait, service, telemetry, NATS; the health server answers until the end. */
async function stopAll({ running, context, report, health, wait }: Underway): Promise<void> {
  const { config, telemetry, link } = context;
  const { logger } = telemetry;
  const steps = [
    { done: 'not ready any more', run: () => report.draining() },
    { done: 'load balancers had time to look elsewhere', run: () => wait.elapse(config.drain.wait) },
    { done: 'the service has ended its work', run: () => running.stop() },
    { done: 'telemetry flushed', run: () => telemetry.stop() },
    { done: 'NATS has everything and is closed', run: () => link.close() },
  ];
  const startedAtMs = performance.now();
  await runSteps(steps, { logger, now: () => performance.now() });
  logger.info({ took_ms: Math.round(performance.now() - startedAtMs) }, 'stopped');
  health.stop();
}

function healthOptions(config: Config, name: Service['name']): { address: string; port: number } {
  return { address: config.health.address, port: config.health.ports[name] };
}

export async function runService({ name, start }: Service): Promise<void> {
  const config = configFromCommandLine(name);
  let logger = makeLogger({ service: name, instance: '', level: config.telemetry.logLevel });
  exitOnBugs(() => logger);
  const wait = new Wait();
  let stop: (() => Promise<void>) | undefined;
  onStopRequest(process, {
    stop: (reason) => {
      logger.info(`asked to stop: ${reason}`);
      // What has not started yet owns nothing that needs a goodbye.
      if (stop === undefined) process.exit(0);
      void stop().then(() => process.exit(0));
    },
    hurry: () => wait.cut(),
  });
  const { address, port } = healthOptions(config, name);
  const health = await serveHealth({ address, port });
  if (port !== 0 && health.port !== port) {
    logger.warn({ wanted: port, port: health.port }, 'the health port is taken: this one has another');
  }
  const report = new HealthReport(health, () => logger);
  const link = await connect(name, config, logger);
  refuseSmallPayloads(link, logger);
  const telemetry = await startTelemetry(config, { name, instance: link.instance });
  logger = telemetry.logger;
  telemetry.metrics.gauge('postrider_nats_connected', 'Whether NATS is connected: 1, or 0.', () =>
    link.connected ? 1 : 0,
  );
  telemetry.metrics.gauge(
    'postrider_nats_followers_down',
    'Streams that this process should follow and cannot read: what is stored there, nobody hears of.',
    () => link.followers.down,
  );
  const surroundings = { metrics: telemetry.metrics, logger, now: () => performance.now() };
  new OversizedLog(link, surroundings);
  const unreadable = new UnreadableLog(surroundings);
  onUnreadable((message) => unreadable.heard(message));
  const context = { config, telemetry, link };
  const running = await start(context);
  stop = () => stopAll({ running, context, report, health, wait });
  // At a reconnect it may be another server, which takes less than the one that we began with.
  const hindrance = () =>
    payloadHindrance(link.payloadMax) ?? running.readiness?.() ?? link.followers.hindrance();
  report.started(() => ({ connected: link.connected, hindrance: hindrance() }));
  announceReady(logger, {
    ...running.ready,
    metrics: endpointText(config.telemetry.metricsAddress, telemetry.metricsPort),
    health: endpointText(address, health.port),
    instance: link.instance,
  });
}
