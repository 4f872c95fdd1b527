// The options of `npm start`.
import { Command, InvalidArgumentError, Option } from 'commander';

const INSTANCES_MAX = 64;
export const SERVICES = ['queue', 'resolver', 'delivery', 'ingress'] as const;
export type ServiceName = (typeof SERVICES)[number];

export interface StartOptions {
  config: string;
  data: string;
  instances: Record<ServiceName, number>;
  /** Ports that override the configuration; undefined means that it stands. */
  smtpPort: number | undefined;
  smtpsPort: number | undefined;
  adminPort: number | undefined;
  natsPort: number | undefined;
  logLevel: string | undefined;
}

function wholeNumber(text: string, min: number, max: number): number {
  if (/^\d{1,5}$/.test(text) && Number(text) >= min && Number(text) <= max) return Number(text);
  throw new InvalidArgumentError(`expected a whole number between ${min} and ${max}`);
}

const asPort = (text: string) => wholeNumber(text, 0, 65_535);
const asInstances = (text: string) => wholeNumber(text, 0, INSTANCES_MAX);

const AFTER_HELP = `
Environment:
  NATS_URL     use this server instead of starting one (nats.url in the configuration does the same)
  NATS_SERVER  the nats-server program to start (default: PATH, var/cache, else it is fetched)

Ctrl-C drains and stops everything; the next start with the same --data goes on with the mail that was there.`;

function command(): Command {
  return new Command('npm start --')
    .description('Starts Postrider on this machine: a nats-server of its own and all services.')
    .option('--config <file>', 'configuration', 'deploy/local/postrider.yaml')
    .option('--data <dir>', 'where mail, logs and certificates are kept', 'var/local')
    .option('--ingress <n>', 'instances; each more listens 100 ports higher', asInstances, 1)
    .option('--queue <n>', 'instances', asInstances, 1)
    .option('--resolver <n>', 'instances', asInstances, 1)
    .option('--delivery <n>', 'instances', asInstances, 1)
    .option('--smtp-port <port>', 'port of the first listener without implicit TLS; 0 chooses', asPort)
    .option('--smtps-port <port>', 'port of the first listener with implicit TLS; 0 chooses', asPort)
    .option('--admin-port <port>', 'port of the queue for operators (gRPC); 0 chooses', asPort)
    .option('--nats-port <port>', 'port of the nats-server (default: chosen)', asPort)
    .addOption(
      new Option('--log-level <level>', 'how much the services log').choices([
        'trace',
        'debug',
        'info',
        'warn',
        'error',
        'silent',
      ]),
    )
    .addHelpText('after', AFTER_HELP);
}

type Given = Omit<StartOptions, 'instances'> & Record<ServiceName, number>;

/** The options in `args`. `--help` and mistakes are answered here, and the process ends. */
export function parseStartOptions(args: readonly string[]): StartOptions {
  const given = command().parse(args, { from: 'user' }).opts<Given>();
  const { queue, resolver, delivery, ingress, ...rest } = given;
  return {
    config: rest.config,
    data: rest.data,
    instances: { queue, resolver, delivery, ingress },
    smtpPort: rest.smtpPort,
    smtpsPort: rest.smtpsPort,
    adminPort: rest.adminPort,
    natsPort: rest.natsPort,
    logLevel: rest.logLevel,
  };
}
