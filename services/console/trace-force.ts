// `postrider trace force`, `ls` and `stop`: whose mail is traced whatever the ratio, ruled in the cluster at run time. Every queue
// instance may be asked; every ingress hears of it.
import { type Command, InvalidArgumentError, Option } from 'commander';
import { duration } from '#libs/config/units.ts';
import { connectTraceAdmin, type TraceAdmin } from '#libs/rpc/trace-admin-client.ts';
import { rulesText, ruleText } from './trace-rules-text.ts';

export interface ForceSurroundings {
  out: (text: string) => void;
  now: () => number;
}

interface AdminOptions {
  admin: string;
}

interface ForceOptions extends AdminOptions {
  for: number;
  reason: string;
}

interface ListOptions extends AdminOptions {
  json?: true;
}

const HOUR_MS = 3_600_000;
const forDuration = duration('1 s', '7 d');

/** Adds the commands to `trace`; `admin` is the address when none is given. */
export function addTraceForce(
  trace: Command,
  admin: { address: string; help: string },
  { out, now }: ForceSurroundings,
): void {
  const named = (line: string) =>
    trace.command(line).option('--admin <host:port>', admin.help, admin.address);
  named('force')
    .description('traces all mail from or to an address or a domain, whatever the ratio, for a while')
    .argument('<address|domain>', 'alice@example.com, or example.com without its subdomains')
    .addOption(forOption())
    .option('--reason <text>', 'for those who list the rules', '')
    .action(async (name: string, { for: forMs, reason, ...options }: ForceOptions) => {
      const rule = await asked(options, (queue) => queue.force({ name, forMs, reason }));
      out(`${ruleText(rule)}\n`);
    });
  named('ls')
    .description('lists whose mail is traced whatever the ratio')
    .option('--json', 'one JSON document instead of text')
    .action(async ({ json, ...options }: ListOptions) => {
      const rules = await asked(options, (queue) => queue.listForced());
      out(json ? `${JSON.stringify(rules, undefined, 2)}\n` : rulesText(rules, now()));
    });
  named('stop')
    .description('ends what force began')
    .argument('<address|domain>', 'as it is listed')
    .action(async (name: string, options: AdminOptions, command: Command) => {
      const found = await asked(options, (queue) => queue.stop(name));
      if (!found) command.error(`error: no rule names ${name}; postrider trace ls lists them.`);
      out(`Mail of ${name.toLowerCase()} is traced by ratio again.\n`);
    });
}

function forOption(): Option {
  const option = new Option('--for <time>', 'how long: "30 min", "2h"; at most 7 d');
  return option.argParser(forOf).default(HOUR_MS, '1 h');
}

function forOf(text: string): number {
  const parsed = forDuration.safeParse(text);
  if (!parsed.success) throw new InvalidArgumentError('expected a time from 1 s to 7 d, such as "30 min".');
  return parsed.data;
}

async function asked<T>({ admin }: AdminOptions, ask: (queue: TraceAdmin) => Promise<T>): Promise<T> {
  const queue = connectTraceAdmin(admin);
  try {
    return await ask(queue);
  } finally {
    queue.close();
  }
}
