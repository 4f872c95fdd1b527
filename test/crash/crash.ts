// `npm run crash`: kill -9 of every kind of process in a loop under load; prints the ledger. Exit code 1 when an accepted
// mail was lost or a duplicate was not explained by an attempt in doubt.
import { cpSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { isKept, ledgerText } from '#kit/load-ledger.ts';
import { runCrash } from './crash-run.ts';
import { VICTIMS, type Victim } from './kill-plan.ts';

interface Options {
  kills: string;
  mails: string;
  perSecond: string;
  seed: string;
  victims: string;
  hurry?: boolean;
  keepLogs?: string;
}

function parse(): Options {
  return new Command('crash')
    .description(
      'Kills processes under load and checks that no mail is lost and every duplicate is explained.',
    )
    .option('--kills <n>', 'how many', '20')
    .option('--mails <n>', 'mails that are accepted at least', '20000')
    .option('--per-second <n>', 'mails sent per second', '500')
    .option('--seed <n>', 'of the plan', String(Date.now() % 100_000))
    .option('--victims <services>', 'who is killed in turn, with commas between', VICTIMS.join(','))
    .option('--hurry', 'kill again as soon as mail flows, while the last death is still being found out')
    .option('--keep-logs <folder>', 'copy the logs there at the end')
    .parse()
    .opts<Options>();
}

const { kills, mails, perSecond, seed, victims, hurry, keepLogs } = parse();
console.log(`seed ${seed}`);
const options = {
  kills: Number(kills),
  mails: Number(mails),
  perSecond: Number(perSecond),
  seed: Number(seed),
  victims: victims.split(',') as Victim[],
  pace: hurry ? ('hurry' as const) : ('calm' as const),
  say: (line: string) => console.log(line),
};
process.exitCode = await runCrash(options, (ledger, cluster) => {
  console.log(`\n${ledgerText(ledger)}`);
  if (keepLogs !== undefined) {
    mkdirSync(keepLogs, { recursive: true });
    cpSync(join(cluster.folder, 'log'), keepLogs, { recursive: true });
  }
  if (isKept(ledger)) return 0;
  console.log(cluster.logTails());
  return 1;
});
