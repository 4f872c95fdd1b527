// What a queue instance shows of its state. Read when somebody scrapes; nothing is counted for it in between, and nothing
// costs more than a look at every site.
import type { Metrics } from '#libs/telemetry/metrics.ts';
import type { Queue } from './queue.actor.ts';
import type { SiteDesk } from './site-desk.actor.ts';

export interface Shown {
  queue: Queue;
  desk: SiteDesk;
  uncounted: { readonly records: number };
  checkpointRoom: { readonly share: number };
  /** Of the whole cluster. */
  partitions: number;
  siteConnectionsMax: number;
  /** Delivery workers that are heard. */
  workers: () => number;
  now: () => number;
  /** Records in quarantine. */
  quarantined: () => number;
}

export function registerGauges(metrics: Pick<Metrics, 'gauge'>, shown: Shown): void {
  const { queue, desk, now } = shown;
  const gauge = (name: string, help: string, read: () => number) =>
    metrics.gauge(`postrider_queue_${name}`, help, read);
  const sum = (key: 'mails' | 'attempts' | 'openPacks' | 'remembering' | 'reports') => () => {
    let total = 0;
    for (const partition of queue.partitions.values()) total += partition.counts()[key];
    return total;
  };
  const owned = sum('mails');
  gauge(
    'mails',
    'Unsettled mails owned here, and records that nobody counts (unowned_records); the number of queue instances may follow it.',
    () => owned() + shown.uncounted.records,
  );
  gauge(
    'unowned_records',
    'Packs, and states of mails, in partitions that have no owner and that this instance is next for, or loads. Healthy: 0.',
    () => shown.uncounted.records,
  );
  gauge(
    'partitions_unowned',
    'Partitions that nobody is heard to hold; 0 while this instance does not know. Healthy: 0, but for a moment.',
    () => queue.freePartitions.length,
  );
  gauge('attempts', 'Attempts out with delivery workers.', sum('attempts'));
  gauge('open_packs', 'Packs with a mail that is not settled.', sum('openPacks'));
  gauge('remembering', 'Mails whose state waits to be stored.', sum('remembering'));
  gauge('partitions', 'Partitions owned here and loaded.', () => {
    let loaded = 0;
    for (const partition of queue.partitions.values()) if (partition.isOpen) loaded += 1;
    return loaded;
  });
  gauge(
    'cluster_partitions',
    'Partitions of the whole cluster; while the sum of those that are owned is less, mail of the others waits.',
    () => shown.partitions,
  );
  gauge(
    'quarantine_records',
    'Records of the whole cluster that cannot be read and wait for an operator, as each instance sees them.',
    shown.quarantined,
  );
  gauge(
    'checkpoints_used_ratio',
    'Share of its max_bytes that CHECKPOINTS holds, as each instance sees it; well below a half: when it is full, the oldest records go.',
    () => shown.checkpointRoom.share,
  );
  gauge('reports_waiting', 'Reports to senders that are not stored yet.', sum('reports'));
  gauge('workers', 'Delivery workers that this instance hears; without any, no mail leaves.', shown.workers);
  gauge('ready', 'Work that waits for a site.', () => desk.totals().waiting);
  // The parts of all instances are the whole limit of a site.
  const connectionsMax = () => (shown.siteConnectionsMax * queue.partitions.size) / shown.partitions;
  const demand = () => desk.demand({ nowMs: now(), connectionsMax: connectionsMax() });
  gauge(
    'due',
    'Work that is due: it waits for a site, suspended or not, or is out with a worker.',
    () => demand().due,
  );
  gauge(
    'due_unthrottled',
    'Work that is due and that its site would let run now; the number of delivery workers follows the sum over instances.',
    () => demand().unthrottled,
  );
  gauge(
    'oldest_due_seconds',
    'Longest wait for a site that is not suspended; minutes mean that workers or a limit are too small.',
    () => desk.oldestWaitMs(now()) / 1000,
  );
}
