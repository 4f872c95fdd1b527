// `npm run crash`: mail under load while processes are killed, frozen, restarted, cut off or run out of room, as a plan from a seed
// says; prints the ledger. Exit code 1 when a promise was broken.
import { cpSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { withCodeOf } from '#kit/other-tree.ts';
import { type CrashOptions, runCrash } from './crash-run.ts';
import { faultPlan, faultText, type Service } from './fault-plan.ts';
import { isGood, resultText } from './result-text.ts';

interface Options {
  freeze?: boolean;
  pairs?: boolean;
  skew?: boolean;
  full?: boolean;
  cluster?: boolean;
  split?: boolean;
  restart?: boolean;
  hold?: boolean;
  plan?: boolean;
  seed: string;
  minutes: string;
  rate: string;
  answer?: string;
  victims?: string;
  from?: string;
  keepLogs?: string;
}

/** Of the final dot, as long as it goes without a reply. */
const ANSWER_MS = 500;
const SLOW_ANSWER_MS = 4000;
/** Hosts of a rolling restart. */
const RESTART_ANSWER_MS = 8000;
const OCTETS = 2048;
/** Fills small streams within seconds. */
const FULL_OCTETS = 16_384;

function parse(): Options {
  return new Command('crash')
    .description(
      'Lets processes fail under load and checks that no mail is lost, that every duplicate is explained, and that nothing is stuck. ' +
        'Without options processes are killed and restarted, one at a time; options may be mixed.',
    )
    .option(
      '--freeze',
      'processes stand still for 5 to 20 s, overlapping, and stop themselves in the middle of a turn',
    )
    .option(
      '--pairs',
      'two or three at once: a machine, an owner and a worker in both orders, a hand-over after a death',
    )
    .option('--skew', 'the clocks of the processes differ by up to 300 s')
    .option(
      '--full',
      'streams (even seeds) or the disk (odd seeds, needs root) are small, and hosts refuse for 20 to 30 s',
    )
    .option('--cluster', 'three nats-servers and three copies; leaders are hit')
    .option('--split', 'with --cluster: one server, one owner and one worker are cut off for 10 to 20 s')
    .option(
      '--restart',
      'only: workers are restarted in turn (SIGTERM), hosts answer the final dot after 8 s to 16 s',
    )
    .option(
      '--hold',
      'what is in doubt is held (delivery.inDoubt), compared with what was in doubt, and released',
    )
    .option('--seed <n>', 'of the plan', String(Date.now() % 100_000))
    .option('--minutes <n>', 'how long mail is sent', '5')
    .option('--rate <n>', 'mails per second', '200')
    .option('--answer <ms>', 'hosts answer the final dot after so long, and up to twice that')
    .option('--victims <services>', 'who is hit, with commas between, where a scene does not say')
    .option('--from <ref>', 'services of that commit, in a work tree of its own')
    .option('--plan', 'print the plan and end')
    .option('--keep-logs <folder>', 'copy logs and traces there at the end')
    .parse()
    .opts<Options>();
}

function crashOptions(given: Options, root: string | undefined): CrashOptions {
  const { freeze, pairs, skew, full, cluster, split, restart, hold, victims } = given;
  if (split && !cluster) throw new Error('--split needs --cluster');
  if (full && cluster) throw new Error('--full goes with one nats-server only');
  const answerAfterMs = Number(given.answer ?? (restart ? RESTART_ANSWER_MS : ANSWER_MS));
  return {
    seed: Number(given.seed),
    lengthMs: Number(given.minutes) * 60_000,
    rate: Number(given.rate),
    octets: full ? FULL_OCTETS : OCTETS,
    hosts: { answerAfterMs, slowAfterMs: Math.max(SLOW_ANSWER_MS, answerAfterMs) },
    ...(freeze && { freeze }),
    ...(pairs && { pairs }),
    ...(skew && { skew }),
    ...(full && { full }),
    ...(cluster && { cluster }),
    ...(split && { split }),
    ...(restart && { rolling: true }),
    ...(hold && { hold }),
    ...(victims !== undefined && { victims: victims.split(',') as Service[] }),
    ...(root !== undefined && { root }),
    say: (line) => console.log(line),
  };
}

/** Exit code. */
function run(options: CrashOptions, { keepLogs }: Options): Promise<number> {
  return runCrash(options, (result, stage) => {
    console.log(`\n${resultText(result)}`);
    if (keepLogs !== undefined) {
      mkdirSync(keepLogs, { recursive: true });
      cpSync(join(stage.cluster.folder, 'log'), join(keepLogs, 'log'), { recursive: true });
      cpSync(stage.traceFolder, join(keepLogs, 'trace'), { recursive: true });
    }
    return isGood(result) ? 0 : 1;
  });
}

const given = parse();
console.log(`seed ${given.seed}`);
if (given.plan) {
  for (const fault of faultPlan(crashOptions(given, undefined)))
    console.log(`${(fault.atMs / 1000).toFixed(1)} s  ${faultText(fault)}`);
} else {
  process.exitCode = await withCodeOf(given.from, (tree) => run(crashOptions(given, tree), given));
}
