// The arguments of `postrider smoke`.
import { type Command, InvalidArgumentError } from 'commander';
import { type HostPort, smoke } from './smoke.ts';

interface SmokeArguments {
  smtp: HostPort;
  domain: string;
  listen: HostPort;
  health: HostPort[];
  admin?: string;
  timeout: number;
}

const TIMEOUT_DEFAULT_S = 120;
const PORT_MAX = 65_535;

/** Adds the command to `program`. */
export function addSmoke(program: Command, out: (text: string) => void): void {
  program
    .command('smoke')
    .description('sends a mail through the cluster to a sink of its own, and follows it to its arrival')
    .requiredOption('--smtp <host:port>', 'where to hand it over', hostPort)
    .requiredOption('--domain <domain>', 'its domain, which the cluster routes to this sink')
    .option('--listen <port>', 'where the sink listens; also address:port', listenPlace, {
      host: '0.0.0.0',
      port: 2525,
    })
    .option(
      '--health <host:port,...>',
      'services whose health is asked, every instance of each',
      hostPorts,
      [],
    )
    .option('--admin <host:port>', 'admin address of a queue, which must know the mail no more in the end')
    .option('--timeout <s>', 'for everything together, in seconds', seconds, TIMEOUT_DEFAULT_S)
    .action(async ({ timeout, admin, domain, ...places }: SmokeArguments) => {
      await smoke({ ...places, domain: domain.toLowerCase(), admin, timeoutMs: timeout * 1000 }, out);
    });
}

/** "host:port" or "[address]:port". */
export function hostPort(text: string): HostPort {
  const [, bracketed, plain, digits] = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:[\]]+)):(\d{1,5})$/.exec(text) ?? [];
  const port = Number(digits);
  const host = bracketed ?? plain;
  if (host === undefined || !(port <= PORT_MAX)) {
    throw new InvalidArgumentError('expected host:port or [address]:port.');
  }
  return { host, port };
}

function listenPlace(text: string): HostPort {
  return hostPort(/^\d+$/.test(text) ? `0.0.0.0:${text}` : text);
}

function hostPorts(text: string, before: readonly HostPort[]): HostPort[] {
  return [...before, ...text.split(',').map((one) => hostPort(one.trim()))];
}

/** Seconds of a time limit. Throws InvalidArgumentError. */
export function seconds(text: string): number {
  if (!/^[1-9]\d{0,3}$/.test(text)) throw new InvalidArgumentError('expected seconds, from 1 to 9999.');
  return Number.parseInt(text, 10);
}
