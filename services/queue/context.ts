// What every partition of a queue instance shares: the ways out, the policies and the numbers that are counted.
import type { DirectGet } from '#libs/nats/direct-get.ts';
import type { Layout } from '#libs/nats/layout.ts';
import type { Link } from '#libs/nats/link.ts';
import type { RecordWriter } from '#libs/nats/records.ts';
import type { SteadyClock } from '#libs/shell/steady-clock.ts';
import type { Counter } from '#libs/telemetry/metrics.ts';
import type { Tally } from '#libs/telemetry/tally.ts';
import type { Tracing } from '#libs/telemetry/tracing.ts';
import type { AuditBudget } from './audit-budget.ts';
import type { CheckpointRoom } from './checkpoint-room.actor.ts';
import type { Erasure } from './erasure.actor.ts';
import type { Interned } from './interned.ts';
import type { MessagePolicy } from './message-reviews.ts';
import type { Rounds } from './rounds.ts';
import type { Routes } from './routes.actor.ts';
import type { SiteDesk } from './site-desk.actor.ts';

/** Who acknowledges: the epoch of the owner makes the acknowledgement of an older one void. */
export interface Acknowledger {
  readonly number: number;
  readonly epoch: number;
}

export interface QueueContext {
  link: Link;
  layout: Layout;
  writer: RecordWriter;
  direct: DirectGet;
  erasure: Erasure;
  routes: Routes;
  desk: SiteDesk;
  tracing: Tracing;
  policy: MessagePolicy;
  interned: Interned;
  /** What rounds of storing and moving share, of all partitions together. */
  rounds: Rounds;
  /** How full CHECKPOINTS is, and what of it must be written again. */
  checkpointRoom: CheckpointRoom;
  /** Time that audits of all partitions share. */
  auditBudget: AuditBudget;
  hostname: string;
  sameTraceWindowMs: number;
  /** Settled packs stay in SPOOL for this long. */
  packKeptMs: number;
  /** What waits and is decided goes by it; what is stored and shown is translated (libs/shell/steady-clock.ts). */
  clock: SteadyClock;
  /** Of `clock`. */
  now: () => number;
  /** Instances of delivery that are alive by presence. */
  liveWorkers: () => ReadonlySet<string>;
  /** While it is true nobody else thinks that we are gone. */
  hasLease: () => boolean;
  /** True while our view of who is alive can be trusted. */
  viewIsFresh: () => boolean;
  /** Tells the worker, with the other acknowledgements of this turn, that it may forget the outcome. */
  acknowledge: (owner: Acknowledger, worker: string, attemptId: string) => void;
  onInDoubt: (queueId: string, attemptId: string) => void;
  /** A mail that we accepted can be delivered to nobody any more, and why. */
  onContentLost: (queueId: string, what: string) => void;
  /** A record that cannot be read was put aside. */
  onQuarantined: (what: string) => void;
  /** The partition is given up: by us when there is no reason. */
  onGone: (partition: number, reason: string | undefined) => void;
  onTrouble: (reason: string) => void;
  counters: {
    started: Counter;
    outcomes: Tally<string>;
    reports: Counter;
    resent: Counter;
    /** Tries to remove what nobody needs that JetStream did not do. */
    untrimmed: Counter;
    /** Mails that nothing would have moved again. */
    overdue: Counter;
  };
}
