// Runs the sides in turn and says how they compare: every repeat's figures, medians, spreads, the ratio, and what a mail
// costs in each process.
import type { BenchSink } from './load-tools.ts';
import { calibrate, type Load, measureOnce, type Run, type Side } from './measure.ts';
import { median, table, whole } from './statistics.ts';

export interface Plan {
  sizes: readonly number[];
  modes: readonly Load['mode'][];
  sessions: number;
  repeats: number;
  /** About how long one run is. */
  seconds: number;
}

export interface Outcome {
  load: Load;
  /** By side, in the order of the repeats. */
  runs: Map<string, Run[]>;
}

const TOOLS = new Set(['source', 'sink']);

/** The bars of 4 KB mails: times Postfix. */
const BARS: Record<Load['mode'], number> = { persistent: 6, single: 3 };

export function title({ octets, mode, sessions }: Load): string {
  const connections = mode === 'persistent' ? 'persistent connections' : 'one connection per mail';
  return `${octets / 1024} KB, ${connections}, ${sessions} sessions`;
}

/** All loads of the plan, the sides alternating, each repeat in the other order. */
export function runPlan(
  plan: Plan,
  sides: readonly Side[],
  sink: BenchSink,
  say: (line: string) => void,
): Promise<Outcome[]> {
  return runLoads(plan, sides, say, async (load) => {
    const counts = new Map<Side, number>();
    for (const side of sides) counts.set(side, await calibrate(side, sink, load, plan.seconds));
    return (side) => measureOnce(side, sink, load, counts.get(side)!);
  });
}

/** A side that runs only while it is measured. */
export interface Contender {
  readonly name: string;
  start(): Promise<Side & { stop(): Promise<void> }>;
}

/**
 * The same, each run by a side that was just started and is alone on the machine: two that are nearly alike disturb each other by more
 * than they differ, also while one of them is idle.
 */
export function runApart(
  plan: Plan,
  contenders: readonly Contender[],
  sink: BenchSink,
  say: (line: string) => void,
): Promise<Outcome[]> {
  return runLoads(plan, contenders, say, async (load) => async (contender) => {
    const side = await contender.start();
    try {
      return await measureOnce(side, sink, load, await calibrate(side, sink, load, plan.seconds));
    } finally {
      await side.stop();
    }
  });
}

/** `prepare` is called once for each load, and what it returns once for each side and repeat. */
async function runLoads<S extends { readonly name: string }>(
  plan: Plan,
  sides: readonly S[],
  say: (line: string) => void,
  prepare: (load: Load) => Promise<(side: S) => Promise<Run>>,
): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const octets of plan.sizes) {
    for (const mode of plan.modes) {
      const load = { octets, mode, sessions: plan.sessions };
      say(`\n${title(load)}`);
      const measure = await prepare(load);
      const runs = new Map<string, Run[]>(sides.map(({ name }) => [name, []]));
      for (let repeat = 0; repeat < plan.repeats; repeat += 1) {
        const order = repeat % 2 === 0 ? sides : [...sides].reverse();
        for (const side of order) runs.get(side.name)!.push(await measure(side));
        sayRepeat(runs, repeat, say);
      }
      outcomes.push({ load, runs });
    }
  }
  return outcomes;
}

function sayRepeat(runs: Map<string, Run[]>, repeat: number, say: (line: string) => void): void {
  const figures = [...runs].map(([name, done]) => `${name} ${whole(done.at(-1)!.mailsPerSecond)}`);
  say(`  repeat ${repeat + 1}: ${figures.join(', ')} mails/s${ratioText(runs, repeat)}`);
}

/** Each repeat's mails per second of Postrider, over those of another side. */
function ratios(runs: Map<string, Run[]>, over: string): number[] {
  const [others, postrider] = [runs.get(over), runs.get('Postrider')];
  if (others === undefined || postrider === undefined) return [];
  return others.flatMap((run, i) => {
    const own = postrider[i];
    return own === undefined ? [] : [own.mailsPerSecond / run.mailsPerSecond];
  });
}

function ratioText(runs: Map<string, Run[]>, repeat: number): string {
  const ratio = ratios(runs, 'Postfix')[repeat];
  return ratio === undefined ? '' : `, ratio ${ratio.toFixed(2)}`;
}

/** Microseconds of CPU per mail of the services and nats-server: the load tools cost the same on every side. */
function ownProcessorUs({ processorUs }: Run): number {
  return [...processorUs].reduce((sum, [name, us]) => (TOOLS.has(name) ? sum : sum + us), 0);
}

function speedRows(outcome: Outcome): string[][] {
  return [...outcome.runs].map(([name, runs]) => {
    const rates = runs.map((run) => run.mailsPerSecond);
    const mails = runs[0]?.mails ?? 0;
    return [
      title(outcome.load),
      name,
      whole(median(rates)),
      whole(Math.min(...rates)),
      whole(Math.max(...rates)),
      whole(mails),
    ];
  });
}

function processorRows(outcome: Outcome): string[][] {
  return [...outcome.runs].map(([name, runs]) => {
    const processes = [...(runs[0]?.processorUs.keys() ?? [])];
    const cost = (process: string) => median(runs.map((run) => run.processorUs.get(process) ?? 0));
    const total = median(runs.map((run) => [...run.processorUs.values()].reduce((sum, us) => sum + us, 0)));
    const costs = processes.map((process) => `${process} ${whole(cost(process))}`);
    return [title(outcome.load), name, whole(total), costs.join(', ')];
  });
}

function ratioLine(outcome: Outcome): string[] {
  const all = ratios(outcome.runs, 'Postfix');
  if (all.length === 0) return [];
  const { octets, mode } = outcome.load;
  const ratio = median(all);
  const bar = octets === 4096 ? BARS[mode] : undefined;
  const verdict = bar === undefined ? '' : `; bar ${bar} x: ${ratio >= bar ? 'reached' : 'NOT reached'}`;
  return [`${title(outcome.load)}: ${ratio.toFixed(2)} x Postfix (${spread(all)})${verdict}`];
}

/** Against the commit before: what a change costs or buys. */
function beforeLine({ load, runs }: Outcome): string[] {
  const speed = ratios(runs, 'Before');
  if (speed.length === 0) return [];
  const cost = runs
    .get('Postrider')!
    .map((run, i) => ownProcessorUs(run) / ownProcessorUs(runs.get('Before')![i]!));
  const percent = (all: number[]) => `${(median(all) * 100).toFixed(1)} % (${spread(all)})`;
  return [`${title(load)}: ${percent(speed)} of the mails/s before, ${percent(cost)} of the CPU per mail`];
}

function spread(all: readonly number[]): string {
  return `${Math.min(...all).toFixed(2)} to ${Math.max(...all).toFixed(2)}`;
}

/** The tables and the ratio lines. */
export function report(outcomes: readonly Outcome[]): string {
  const speed = ['load', 'side', 'mails/s (median)', 'min', 'max', 'mails per run'];
  const processor = ['load', 'side', 'us of CPU per mail', 'by process'];
  return [
    '',
    table(speed, outcomes.flatMap(speedRows)),
    '',
    table(processor, outcomes.flatMap(processorRows)),
    '',
    ...outcomes.flatMap(ratioLine),
    ...outcomes.flatMap(beforeLine),
  ].join('\n');
}
