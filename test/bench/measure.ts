// One measured run: smtp-source sends to one side, the sink counts, and the processor time of every process is read
// before and after.
import { setTimeout as pause } from 'node:timers/promises';
import { type BenchSink, runSource, type Source } from './load-tools.ts';
import { processTimes } from './processor-time.ts';

/** What is measured: something that takes mail at a port and relays it to the sink. */
export interface Side {
  readonly name: string;
  readonly port: number;
  /** CPU seconds so far, by process. */
  processorSeconds(): Map<string, number>;
}

export type Load = Omit<Source, 'port' | 'mails'>;

export interface Run {
  mails: number;
  /** From the start of smtp-source to the last mail at the sink. */
  seconds: number;
  mailsPerSecond: number;
  /** Microseconds of CPU per mail, by process; the load tools are "source" and "sink". */
  processorUs: Map<string, number>;
}

/** What happens after the last mail (settling, logs) still belongs to the mails. */
const AFTERMATH_MS = 500;

/** Code that has run for less is slower than it will be. */
const WARM_UP_ROUNDS = 3;
const WARM_UP_SECONDS = 2;

function readings(side: Side, sink: BenchSink): Map<string, number> {
  const all = new Map(side.processorSeconds());
  all.set('source', processTimes(process.pid)?.endedChildrenS ?? 0);
  all.set('sink', processTimes(sink.pid)?.ownS ?? 0);
  return all;
}

/** Sends `mails` through a side and waits until the sink has them all. */
export async function measureOnce(side: Side, sink: BenchSink, load: Load, mails: number): Promise<Run> {
  const had = sink.count();
  const before = readings(side, sink);
  const startAt = performance.now();
  const sent = runSource({ ...load, port: side.port, mails });
  sent.catch(() => undefined);
  const reached = sink.reached(had + mails);
  await Promise.race([sent.then(() => reached), reached]);
  const seconds = ((await reached) - startAt) / 1000;
  await sent;
  await pause(AFTERMATH_MS);
  const processorUs = new Map<string, number>();
  for (const [name, after] of readings(side, sink)) {
    processorUs.set(name, ((after - (before.get(name) ?? 0)) * 1e6) / mails);
  }
  return { mails, seconds, mailsPerSecond: mails / seconds, processorUs };
}

/** How many mails make a run of about so many seconds, from short runs that warm both up and are thrown away. */
export async function calibrate(side: Side, sink: BenchSink, load: Load, seconds: number): Promise<number> {
  let { mailsPerSecond } = await measureOnce(side, sink, load, 500);
  for (let round = 0; round < WARM_UP_ROUNDS; round += 1) {
    const mails = Math.max(500, Math.round(mailsPerSecond * WARM_UP_SECONDS));
    ({ mailsPerSecond } = await measureOnce(side, sink, load, mails));
  }
  return Math.max(300, Math.round((mailsPerSecond * seconds) / 100) * 100);
}
