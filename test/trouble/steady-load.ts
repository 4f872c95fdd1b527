// Measures a load that goes on all the time: what is accepted and delivered per second, and how long delivery takes, in a span of time.
// Fails: never; a span in which nothing arrives has no latencies (NaN).
import { setTimeout as pause } from 'node:timers/promises';
import type { LoadSender } from '#kit/load-sender.ts';
import type { LoadSink } from '#kit/load-sink-process.ts';
import { percentile } from '../bench/statistics.ts';

export interface Figures {
  acceptedPerSecond: number;
  deliveredPerSecond: number;
  /** From the moment that a mail was due at the sender to the sink. */
  p50Ms: number;
  p99Ms: number;
  /** Mails answered with 4xx and connections lost. */
  troubles: number;
}

/** The next so many seconds. */
export async function measure(sender: LoadSender, sink: LoadSink, seconds: number): Promise<Figures> {
  const [accepted, taken, troubles] = [sender.accepted.size, await sink.ask('taken'), sender.troubles];
  await sink.ask('latencies');
  const startedAtMs = performance.now();
  await pause(seconds * 1000);
  const tookS = (performance.now() - startedAtMs) / 1000;
  const [acceptedNow, takenNow] = [sender.accepted.size, await sink.ask('taken')];
  const latencies = await sink.ask('latencies');
  return {
    acceptedPerSecond: (acceptedNow - accepted) / tookS,
    deliveredPerSecond: (takenNow - taken) / tookS,
    p50Ms: percentile(latencies, 0.5),
    p99Ms: percentile(latencies, 0.99),
    troubles: sender.troubles - troubles,
  };
}
