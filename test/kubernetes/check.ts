// Installs the chart into the cluster that kubectl points at, and does to it under load what operators do: scale, upgrade,
// drain, restart NATS, kill a worker. At the end every mail is accounted for. README.md says how to run it.
import { Command, InvalidArgumentError } from 'commander';
import { isKept, ledgerText } from '#kit/load-ledger.ts';
import { type CheckResult, CheckRun } from './check-run.ts';
import { CommandFailed } from './commands.ts';

interface Options {
  image: string;
  natsImage: string;
  namespace: string;
  storageClass: string;
  rate: number;
  keep?: true;
}

function rateOf(text: string): number {
  if (!/^[1-9]\d{0,3}$/.test(text)) throw new InvalidArgumentError('expected a number from 1 to 9999.');
  return Number(text);
}

function delaysTable(delays: CheckResult['delays']): string {
  const rows = delays.map(({ step, mails, medianMs, longestMs }) =>
    [step, mails, medianMs, longestMs].map(String),
  );
  const table = [['while', 'mails', 'median ms', 'longest ms'], ...rows];
  const widths = [0, 1, 2, 3].map((column) => Math.max(...table.map((row) => row[column]!.length)));
  const cell = (text: string, column: number) =>
    column === 0 ? text.padEnd(widths[column]!) : text.padStart(widths[column]!);
  return table.map((row) => `${row.map(cell).join('  ')}\n`).join('');
}

async function check({ keep, rate, ...options }: Options): Promise<void> {
  const startedAt = performance.now();
  const say = (line: string) =>
    process.stdout.write(`${((performance.now() - startedAt) / 1000).toFixed(0).padStart(4)} s ${line}\n`);
  const run = new CheckRun({ ...options, perSecond: rate, say });
  const { ledger, delays } = await run.run();
  process.stdout.write(`\n${delaysTable(delays)}\n${ledgerText(ledger)}\n`);
  if (isKept(ledger) && keep !== true) await run.remove();
  process.stdout.write(
    isKept(ledger) ? 'Every promise was kept.\n' : 'A PROMISE WAS BROKEN; all is left as it is.\n',
  );
  process.exitCode = isKept(ledger) ? 0 : 1;
}

const program = new Command('check')
  .description('Checks the chart in the cluster that kubectl points at; takes about four minutes.')
  .option('--image <name>', 'image of Postrider', 'postrider:0.1.0')
  .option('--nats-image <name>', 'image of nats-server', 'nats:2.15.1-alpine')
  .option('--namespace <name>', 'is made, and deleted at the end', 'postrider-check')
  .option('--storage-class <name>', "of NATS' volumes; the cluster's default when empty", '')
  .option('--rate <n>', 'mails a second', rateOf, 30)
  .option('--keep', 'leave everything there')
  .action(check);
try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof Error)) throw error;
  process.stderr.write(`FAILED: ${error instanceof CommandFailed ? error.message : error.stack}\n`);
  process.exitCode = 1;
}
