// `npm run bench`: end-to-end mails per second of Postrider against Postfix, on this machine, in one run, alternating.
// smtp-source sends, smtp-sink receives; a run lasts from the start of smtp-source until the sink has the last mail, so
// acceptance, queueing and delivery all count. Both sides write to the same disk and both wait for fsync before 250.
// Fails: whatever is missing or does not start ends the bench with its reason and exit code 1.
import { chmodSync, closeSync, fsyncSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command, Option } from 'commander';
import type { ServiceName } from '#kit/cluster-process.ts';
import { withCodeOf } from '#kit/other-tree.ts';
import { runBacklog } from './backlog.ts';
import { type Plan, report, runApart, runPlan } from './comparison.ts';
import { profileReport } from './cpu-profile.ts';
import { runGreylist } from './greylist.ts';
import { BenchSink } from './load-tools.ts';
import type { Load, Side } from './measure.ts';
import { BenchPostfix } from './postfix.ts';
import { BenchPostrider } from './postrider.ts';
import { median } from './statistics.ts';

interface Options {
  repeats: string;
  sizes: string;
  modes: string;
  sessions: string;
  seconds: string;
  only?: 'postrider' | 'postfix';
  from?: string;
  profile?: ServiceName;
  nodeOptions: string;
  quick?: boolean;
  backlog?: boolean;
  backlogMails: string;
  backlogSeconds: string;
  greylist?: boolean;
  greylistMails: string;
}

function parse(): Options {
  const command = new Command('bench')
    .description('Mails per second, end to end, of Postrider and of Postfix on this machine.')
    .option('--repeats <n>', 'runs of each side and load; medians are taken', '5')
    .option('--sizes <octets>', 'sizes of mails, with commas between', '4096,65536')
    .option('--modes <modes>', 'persistent (many mails per connection), single (one)', 'persistent,single')
    .option('--sessions <n>', 'sessions of smtp-source at once', '50')
    .option('--seconds <n>', 'about how long one run is', '6')
    .option('--quick', 'one repeat of two seconds, 4 KB only')
    .addOption(new Option('--only <side>', 'one side, to tune it').choices(['postrider', 'postfix']))
    .option('--from <ref>', 'instead of Postfix the services of that commit, each side alone')
    .addOption(
      new Option('--profile <service>', 'where that service spends its time').choices([
        'ingress',
        'queue',
        'resolver',
        'delivery',
      ]),
    )
    .option('--node-options <words>', 'options for Node, for all services', '')
    .option('--backlog', 'instead: what many mails for a dead host do to the mails of another')
    .option('--backlog-mails <n>', 'mails for the dead host', '200000')
    .option('--backlog-seconds <n>', 'how long each latency is measured', '60')
    .option('--greylist', 'instead: what mails cost nats-server that are deferred twice')
    .option('--greylist-mails <n>', 'how many of them', '200000');
  return command.parse().opts<Options>();
}

/** Milliseconds of a write and fsync of 4 KB: what either side waits for, at least once per commit. */
function fsyncMs(folder: string): number {
  const file = join(folder, 'fsync');
  const descriptor = openSync(file, 'w');
  const octets = Buffer.alloc(4096);
  const times = Array.from({ length: 100 }, () => {
    const startAt = performance.now();
    writeSync(descriptor, octets);
    fsyncSync(descriptor);
    return performance.now() - startAt;
  });
  closeSync(descriptor);
  rmSync(file);
  return median(times);
}

function startPostrider(
  options: Options,
  place: { folder: string; sinkPort: number; root?: string },
): Promise<BenchPostrider> {
  const nodeOptions = options.nodeOptions.split(' ').filter((word) => word !== '');
  return BenchPostrider.start({ ...place, profile: options.profile, nodeOptions });
}

function planOf({ quick, sizes, modes, sessions, repeats, seconds }: Options): Plan {
  return {
    sizes: quick ? [4096] : sizes.split(',').map(Number),
    modes: modes.split(',') as Load['mode'][],
    sessions: Number(sessions),
    repeats: quick ? 1 : Number(repeats),
    seconds: quick ? 2 : Number(seconds),
  };
}

/** Against the services of another commit. */
async function compareCommits(options: Options, folder: string, from: string): Promise<void> {
  const sink = await BenchSink.start();
  try {
    await withCodeOf(from, async (root) => {
      const place = () => ({ folder: mkdtempSync(join(folder, 'side-')), sinkPort: sink.port });
      const contenders = [
        { name: 'Postrider', start: () => startPostrider(options, place()) },
        {
          name: 'Before',
          start: () => startPostrider(options, { ...place(), ...(root !== undefined && { root }) }),
        },
      ];
      console.log(report(await runApart(planOf(options), contenders, sink, (line) => console.log(line))));
    });
  } finally {
    await sink.stop();
  }
}

async function compare(options: Options, folder: string): Promise<void> {
  const plan = planOf(options);
  const stops: (() => Promise<void>)[] = [];
  try {
    const sink = await BenchSink.start();
    stops.push(() => sink.stop());
    const sides: Side[] = [];
    if (options.only !== 'postrider') {
      const postfix = await BenchPostfix.start(join(folder, 'postfix'), sink.port);
      stops.push(() => postfix.stop());
      sides.push(postfix);
    }
    const postrider =
      options.only === 'postfix' ? undefined : await startPostrider(options, { folder, sinkPort: sink.port });
    if (postrider !== undefined) {
      stops.push(() => postrider.stop());
      sides.push(postrider);
    }
    const outcomes = await runPlan(plan, sides, sink, (line) => console.log(line));
    console.log(report(outcomes));
    const complaints = postrider?.complaints() ?? [];
    if (complaints.length > 0) console.log(`\nthe services logged:\n${complaints.slice(0, 20).join('\n')}`);
  } finally {
    for (const stop of stops.reverse()) await stop();
  }
  if (options.profile !== undefined) console.log(`\n${profileReport(folder)}`);
}

async function main(): Promise<void> {
  const options = parse();
  const folder = mkdtempSync(join(tmpdir(), 'postrider-bench-'));
  chmodSync(folder, 0o755);
  process.once('SIGINT', () => process.exit(130));
  try {
    const processors = `${cpus().length} x ${cpus()[0]?.model ?? '?'}`;
    console.log(`${processors}, Node ${process.version}, fsync of 4 KB: ${fsyncMs(folder).toFixed(2)} ms`);
    if (options.backlog) {
      const [mails, seconds] = [Number(options.backlogMails), Number(options.backlogSeconds)];
      await runBacklog({ folder, mails, seconds, say: (line) => console.log(line) });
    } else if (options.greylist) {
      await runGreylist({ mails: Number(options.greylistMails), say: (line) => console.log(line) });
    } else if (options.from !== undefined) await compareCommits(options, folder, options.from);
    else await compare(options, folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

await main();
