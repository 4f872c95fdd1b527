// What every partition of a queue instance shares: the ways out, the policies and the numbers that are counted.
import type { DirectGet } from '#libs/nats/direct-get.ts';
import type { Layout } from '#libs/nats/layout.ts';
import type { Link } from '#libs/nats/link.ts';
import type { RecordWriter } from '#libs/nats/records.ts';
import type { Tracing } from '#libs/telemetry/tracing.ts';
import type { MessagePolicy } from './message.machine.ts';
import type { Partition } from './partition.actor.ts';
import type { Routes } from './routes.actor.ts';
import type { SiteDesk } from './site-desk.actor.ts';

export interface Counter {
  add(n: number, labels?: Record<string, string>): void;
}

export interface QueueContext {
  link: Link;
  layout: Layout;
  writer: RecordWriter;
  direct: DirectGet;
  routes: Routes;
  desk: SiteDesk;
  tracing: Tracing;
  policy: MessagePolicy;
  hostname: string;
  sameTraceWindowMs: number;
  now: () => number;
  spoolStream: (partition: number, layout: Layout) => string;
  /** Instances of delivery that are alive by presence. */
  liveWorkers: () => ReadonlySet<string>;
  /** True while our view of who is alive can be trusted. */
  viewIsFresh: () => boolean;
  /** Tells the worker, with the other acknowledgements of this turn, that it may forget the outcome. */
  acknowledge: (partition: Partition, worker: string, attemptId: string) => void;
  onInDoubt: (queueId: string, attemptId: string) => void;
  onGone: (partition: Partition, reason: string) => void;
  onTrouble: (reason: string) => void;
  counters: { started: Counter; outcomes: Counter; reports: Counter; resent: Counter };
}
