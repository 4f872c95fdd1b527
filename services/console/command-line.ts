// The operator's commands: reads the arguments, asks a queue instance, prints what it says.
//
// Fails: exit code 1 and one line on standard error when the queue cannot be asked or the arguments are not understood.
import { Command, CommanderError, InvalidArgumentError } from 'commander';
import { ProvisionError } from '#libs/nats/provision.ts';
import { QueueAdminError } from '#libs/rpc/admin-call.ts';
import { connectQueueAdmin, type QueueAdmin } from '#libs/rpc/queue-admin-client.ts';
import { JaegerError } from './jaeger.ts';
import { flushedText, listingText } from './listing-text.ts';
import { addProvision } from './provision-arguments.ts';
import { addQuarantine } from './quarantine.ts';
import { addSmoke } from './smoke-arguments.ts';
import { SmokeFailure } from './smoke-client.ts';
import { addTraceForce } from './trace-force.ts';
import { addTraceShow } from './trace-show.ts';

const ADMIN_DEFAULT = '127.0.0.1:7070';

/** What an operator can act on; anything else is a bug. */
const EXPECTED = [QueueAdminError, SmokeFailure, JaegerError, ProvisionError];

/** Where the command runs. */
export interface Surroundings {
  env: Record<string, string | undefined>;
  out: (text: string) => void;
  err: (text: string) => void;
  now: () => number;
}

interface AdminOptions {
  admin: string;
}

interface ListOptions extends AdminOptions {
  domain?: string;
  limit: number;
  json?: true;
}

interface FlushOptions extends AdminOptions {
  queueId?: string;
  domain?: string;
  all?: true;
}

/** Runs one command; `argv` is that of the process. Resolves to the exit code. */
export async function run(argv: readonly string[], surroundings: Surroundings): Promise<number> {
  try {
    await programOf(surroundings).parseAsync([...argv]);
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode;
    if (!EXPECTED.some((kind) => error instanceof kind)) throw error;
    surroundings.err(`postrider: ${(error as Error).message}\n`);
    return 1;
  }
}

function programOf(surroundings: Surroundings): Command {
  const { env, out, err } = surroundings;
  const program = new Command('postrider').description("Postrider's command line for operators.");
  program.exitOverride().configureOutput({ writeOut: out, writeErr: err });
  const queue = program.command('queue').description('what waits, and when it is tried');
  const admin = env.POSTRIDER_ADMIN || ADMIN_DEFAULT;
  const adminHelp = 'admin address of any queue instance; also in POSTRIDER_ADMIN';
  queue
    .command('ls')
    .description('lists waiting mail of the whole cluster, oldest first')
    .option('--domain <domain>', 'only mail with a recipient of this domain')
    .option('--limit <n>', 'at most so many mails', limitOf, 1000)
    .option('--json', 'one JSON document instead of text')
    .option('--admin <host:port>', adminHelp, admin)
    .action((options: ListOptions) => list(options, surroundings));
  queue
    .command('flush')
    .description('makes waiting recipients due now, and tries suspended sites')
    .option('--queue-id <id>', 'only this mail')
    .option('--domain <domain>', 'only recipients of this domain')
    .option('--all', 'everything that waits')
    .option('--admin <host:port>', adminHelp, admin)
    .action((options: FlushOptions, command: Command) => flush(options, command, surroundings));
  addSmoke(program, out);
  const trace = program.command('trace').description('the way of a mail, as Jaeger knows it');
  addTraceShow(trace, surroundings);
  addTraceForce(trace, { address: admin, help: adminHelp }, surroundings);
  addQuarantine(program, { address: admin, help: adminHelp }, surroundings);
  addProvision(program, surroundings);
  return program;
}

function limitOf(text: string): number {
  if (!/^[1-9]\d{0,5}$/.test(text)) throw new InvalidArgumentError('expected a number from 1 to 999999.');
  return Number.parseInt(text, 10);
}

async function list(options: ListOptions, { out, now }: Surroundings): Promise<void> {
  const request = { domain: (options.domain ?? '').toLowerCase(), limit: options.limit };
  const listing = await asked(options, (admin) => admin.list(request));
  out(options.json ? `${JSON.stringify(listing, undefined, 2)}\n` : listingText(listing, now()));
}

async function flush(options: FlushOptions, command: Command, { out }: Surroundings): Promise<void> {
  const { queueId = '', domain = '', all } = options;
  if ([queueId !== '', domain !== '', all === true].filter(Boolean).length !== 1) {
    command.error('error: say what to flush: exactly one of --queue-id, --domain and --all');
  }
  out(flushedText(await asked(options, (admin) => admin.flush({ queueId, domain: domain.toLowerCase() }))));
}

async function asked<T>(options: AdminOptions, ask: (admin: QueueAdmin) => Promise<T>): Promise<T> {
  const admin = connectQueueAdmin(options.admin);
  try {
    return await ask(admin);
  } finally {
    admin.close();
  }
}
