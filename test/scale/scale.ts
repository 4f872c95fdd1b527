// `npm run scale`: what more delivery workers bring, whether one limit holds for the whole cluster, and what a rolling upgrade
// does to mails. Exit code 1 when the limit was passed or not reached, or when a mail was lost or came twice without a reason.
import { Command } from 'commander';
import { isKept, ledgerText } from '#kit/load-ledger.ts';
import { withCodeOf } from '#kit/other-tree.ts';
import { median, percentile, table, whole } from '../bench/statistics.ts';
import { type Exactness, runExactness, STEPS, type Step } from './exactness-run.ts';
import { type Measured, possiblePerSecond, runThroughput, type ThroughputOptions } from './throughput.ts';
import { longest, runUpgrade } from './upgrade-run.ts';

interface Options {
  throughput?: boolean;
  exactness?: boolean;
  upgrade?: boolean;
  workers: string;
  connectionsMax: string;
  repeats: string;
  seconds: string;
  steps: string;
  from?: string;
}

const LIMIT = 10;
const SITES = 200;
const LATENCY_MS = 200;
/** Between the final dot and its reply, in an upgrade from an older commit. */
const OLDER_ANSWER_MS = 2000;

function parse(): Options {
  return new Command('scale')
    .description(
      'More workers, more mail; one limit for the cluster; restarts under load. All three, or those named.',
    )
    .option('--throughput', 'only: mails per second with more and more delivery workers')
    .option('--exactness', 'only: connections to one site while its worker comes and goes')
    .option('--upgrade', 'only: every instance of every service restarted under load')
    .option('--workers <counts>', 'delivery workers, with commas between', '1,2,4')
    .option('--connections-max <n>', 'delivery.connectionsMax of each worker', '200')
    .option('--repeats <n>', 'measurements of each count; medians are shown', '3')
    .option('--seconds <n>', 'how long one measurement is', '4')
    .option('--steps <steps>', 'what happens to the worker of the site', STEPS.join(','))
    .option(
      '--from <ref>',
      'upgrade: from the services of that commit, with hosts that answer the final dot after 2 s',
    )
    .parse()
    .opts<Options>();
}

const say = (line: string): void => console.log(line);
const percent = (share: number): string => `${whole(100 * share)} %`;

function throughputTable(measured: readonly Measured[], options: ThroughputOptions): string {
  const of = (workers: number, key: keyof Measured) =>
    measured.filter((one) => one.workers === workers).map((one) => one[key]);
  const [first] = options.workers;
  const base = median(of(first!, 'mailsPerSecond'));
  const rows = options.workers.map((workers) => {
    const rates = of(workers, 'mailsPerSecond');
    return [
      String(workers),
      whole(median(rates)),
      `${whole(Math.min(...rates))}-${whole(Math.max(...rates))}`,
      whole(possiblePerSecond(options, workers)),
      (median(rates) / base).toFixed(2),
      whole(median(of(workers, 'acceptedPerSecond'))),
      percent(median(of(workers, 'busy'))),
      percent(median(of(workers, 'machineBusy'))),
      percent(median(of(workers, 'busiestWorker'))),
      whole(median(of(workers, 'connections'))),
    ];
  });
  const head = [
    'workers',
    'mails/s',
    'from-to',
    'possible',
    'ratio',
    'accepted/s',
    'CPU',
    'CPU of machine',
    'busiest worker',
    'connections',
  ];
  return table(head, rows);
}

async function throughput({ workers, connectionsMax, repeats, seconds }: Options): Promise<boolean> {
  const options: ThroughputOptions = {
    sites: SITES,
    replyAfterMs: LATENCY_MS,
    connectionsMax: Number(connectionsMax),
    workers: workers.split(',').map(Number),
    repeats: Number(repeats),
    seconds: Number(seconds),
    say,
  };
  say(`${SITES} sites that reply after ${LATENCY_MS} ms, ${connectionsMax} connections for each worker:`);
  const measured = await runThroughput(options);
  say(`\n${throughputTable(measured, options)}\n`);
  return true;
}

/** A worker that stands still for long cannot close its connections: that step is shown, and not judged. */
function isExact({ steps, ledger }: Exactness): boolean {
  const judged = steps.filter(({ step }) => step !== 'freeze').map(({ most }) => most);
  return Math.max(...judged) === LIMIT && isKept(ledger);
}

function exactness({ steps }: Options): Promise<boolean> {
  say(`at most ${LIMIT} connections to one site, 3 workers; what happens to the worker that has the site:`);
  const options = {
    steps: steps.split(',') as Step[],
    workers: 3,
    siteConnectionsMax: LIMIT,
    perSecond: 150,
    say: (line: string) => say(`  ${line}`),
  };
  return runExactness(options, (seen, cluster) => {
    say(`\n${ledgerText(seen.ledger)}`);
    const judged = seen.steps.filter(({ step }) => step !== 'freeze').map(({ most }) => most);
    say(`largest number of connections that the sink saw, without freeze: ${Math.max(...judged)}\n`);
    if (isExact(seen)) return true;
    say(cluster.logTails());
    return false;
  });
}

function upgrade({ from }: Options, older: string | undefined): Promise<boolean> {
  say(
    `rolling upgrade${from === undefined ? '' : ` from ${from}`}: two of each service, 200 mails/s, SIGTERM and a new process, one after the other:`,
  );
  const options = {
    instances: 2,
    perSecond: 200,
    pauseMs: 2000,
    ...(older !== undefined && { from: older, answerAfterMs: OLDER_ANSWER_MS }),
    say: (line: string) => say(`  ${line}`),
  };
  return runUpgrade(options, ({ restarts, delaysMs, ledger }, cluster) => {
    const [p50, p99] = [0.5, 0.99].map((share) => percentile(delaysMs, share).toFixed(0));
    say(`\n${ledgerText(ledger)}`);
    say(
      `${restarts} restarts; way of a mail: p50 ${p50} ms, p99 ${p99} ms, longest ${longest(delaysMs).toFixed(0)} ms\n`,
    );
    // What a worker of an older commit leaves in doubt when it ends may come twice, and is counted.
    if (isKept(ledger) && (older !== undefined || ledger.duplicates === 0)) return true;
    say(cluster.logTails());
    return false;
  });
}

const options = parse();
const all = !(options.throughput || options.exactness || options.upgrade);
const passed: boolean[] = [];
if (all || options.throughput) passed.push(await throughput(options));
if (all || options.exactness) passed.push(await exactness(options));
if (all || options.upgrade) {
  passed.push(await withCodeOf(options.from, (older) => upgrade(options, older)));
}
process.exitCode = passed.every(Boolean) ? 0 : 1;
