// Runs one service from start to stop: configuration, NATS, telemetry, the service itself, and back in reverse order.
//
// Fails: bad configuration -> its problems on standard error, exit 78; NATS away for 30 s or the service cannot start ->
// a line in the log, exit 1; an error that nobody caught -> the same: a service that is in a state that nobody thought
// of must not go on, and killing it loses no mail.
import { Command } from 'commander';
import type { Logger } from 'pino';
import { ConfigError, loadConfig } from '#libs/config/load.ts';
import type { Config } from '#libs/config/schema.ts';
import { connectLink, type Link } from '#libs/nats/link.ts';
import { makeLogger } from '#libs/telemetry/logger.ts';
import { startTelemetry, type Telemetry } from '#libs/telemetry/telemetry.ts';
import { onStopRequest } from './stop-request.ts';

/** As sysexits.h has it: the starter does not restart a service that ended with this. */
export const EXIT_CONFIG = 78;

export interface ServiceContext {
  config: Config;
  telemetry: Telemetry;
  link: Link;
}

export interface RunningService {
  /** What the service tells those who wait for it: its addresses. */
  ready: Record<string, unknown>;
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

async function stopAll(running: RunningService, { telemetry, link }: ServiceContext): Promise<void> {
  const { logger } = telemetry;
  logger.info('stopping');
  await running.stop();
  logger.info('stopped');
  await telemetry.stop();
  await link.close();
}

export async function runService({ name, start }: Service): Promise<void> {
  const config = configFromCommandLine(name);
  let logger = makeLogger({ service: name, instance: '', level: config.telemetry.logLevel });
  exitOnBugs(() => logger);
  let stop: (() => Promise<void>) | undefined;
  onStopRequest(process, (reason) => {
    logger.info(`asked to stop: ${reason}`);
    // What has not started yet owns nothing that needs a goodbye.
    if (stop === undefined) process.exit(0);
    void stop().then(() => process.exit(0));
  });
  const url = process.env.NATS_URL || config.nats.url;
  const link = await connectLink({
    url,
    service: name,
    onStatus: (status) => logger.info(`nats: ${status}`),
  });
  const telemetry = await startTelemetry(config, { name, instance: link.instance });
  logger = telemetry.logger;
  const context = { config, telemetry, link };
  const running = await start(context);
  stop = () => stopAll(running, context);
  const metrics = `${config.telemetry.metricsAddress}:${telemetry.metricsPort}`;
  announceReady(logger, { ...running.ready, metrics, instance: link.instance });
}
