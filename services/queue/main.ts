// The queue service: owns every accepted mail of its partitions until it is settled.
import { hostname as machineName } from 'node:os';
import { runService, type ServiceContext } from '#libs/lifecycle/run-service.ts';
import { clockSpread, showClockSkew } from '#libs/nats/clock-skew.ts';
import { DirectGet } from '#libs/nats/direct-get.ts';
import { type Layout, storeStream } from '#libs/nats/layout.ts';
import { prepareStreams } from '#libs/nats/prepare-streams.ts';
import { Presence } from '#libs/nats/presence.ts';
import { RecordWriter } from '#libs/nats/records.ts';
import { serveQueueAdmin } from '#libs/rpc/queue-admin.ts';
import { steadyClock } from '#libs/shell/steady-clock.ts';
import { Tally } from '#libs/telemetry/tally.ts';
import { QueueAdmin } from './admin.actor.ts';
import { CheckpointRoom } from './checkpoint-room.actor.ts';
import { watchClocks } from './clock-watch.ts';
import { Erasure } from './erasure.actor.ts';
import { Gate, restAsLong } from './gate.ts';
import { registerGauges } from './gauges.ts';
import { Interned } from './interned.ts';
import { shownFromStart, toldLosses } from './losses.ts';
import { QuarantineDesk } from './quarantine-desk.actor.ts';
import { Queue, type SharedContext } from './queue.actor.ts';
import { Rounds } from './rounds.ts';
import { Routes } from './routes.actor.ts';
import { SiteDesk } from './site-desk.actor.ts';
import { TraceRulesDesk } from './trace-rules.actor.ts';
import { Uncounted } from './uncounted.actor.ts';

/** Rounds of moving what can wait that run at a time into one stream, of all partitions together. */
const PATIENT_ROUNDS_MAX = 1;
/** What is not removed by then stays until an age limit or the next owner removes it. */
const ERASE_WITHIN_MS = 2000;
const COUNT_EVERY_MS = 1000;
/** Ingress repeats a pack until it gives up; its id must be known for at least as long. */
const PACK_KEPT_MARGIN_MS = 15_000;

function countersOf(metrics: ServiceContext['telemetry']['metrics']): SharedContext['counters'] {
  return {
    started: metrics.counter('postrider_queue_mails_started_total', 'Mails taken over from SPOOL.'),
    outcomes: new Tally(
      metrics.counter('postrider_queue_outcomes_total', 'Recipients by outcome of an attempt.'),
      'outcome',
    ),
    reports: metrics.counter('postrider_queue_reports_total', 'Delivery status notifications stored.'),
    resent: metrics.counter(
      'postrider_queue_jobs_resent_total',
      'Jobs that nobody accepted and that were sent again.',
    ),
    untrimmed: shownFromStart(
      metrics,
      'postrider_queue_trimming_failures_total',
      'Times that JetStream did not remove what is settled; if it goes on, its streams fill.',
    ),
    overdue: shownFromStart(
      metrics,
      'postrider_queue_overdue_total',
      'Mails that nothing would have moved again, found and woken by the audit. Healthy: 0.',
    ),
  };
}

function sharedContext(service: ServiceContext, layout: Layout): SharedContext {
  const { config, telemetry, link } = service;
  const { metrics, logger, tracing } = telemetry;
  const clock = steadyClock();
  const { now } = clock;
  const onTrouble = (reason: string) => logger.warn(reason);
  const unstored = metrics.counter(
    'postrider_queue_rounds_failed_total',
    'Rounds of storing that a stream refused or did not answer.',
  );
  const inDoubt = metrics.counter(
    'postrider_queue_in_doubt_total',
    'Attempts lost between final dot and reply.',
  );
  // Shown from the start: who watches for an increase would not see the first one of a series that begins with it.
  inDoubt.add(0);
  const stores = Array.from({ length: layout.spoolStreams }, (_, k) => storeStream(k, layout));
  for (const stream of ['QUEUE', ...stores]) unstored.add(0, { stream });
  return {
    link,
    layout,
    clock,
    now,
    tracing,
    writer: new RecordWriter(link),
    direct: new DirectGet(link),
    erasure: new Erasure({ link, now, onTrouble }),
    routes: new Routes(link, now),
    desk: new SiteDesk({ link, shards: config.delivery.shards, now }),
    interned: new Interned(),
    checkpointRoom: new CheckpointRoom(link),
    rounds: new Rounds({
      now,
      gate: () => new Gate({ places: PATIENT_ROUNDS_MAX, rest: restAsLong, now }),
      onFailed: (stream) => unstored.add(1, { stream }),
    }),
    hostname: config.hostname ?? machineName(),
    sameTraceWindowMs: config.telemetry.sameTraceWindow,
    packKeptMs: config.limits.commitWaitMax + PACK_KEPT_MARGIN_MS,
    policy: {
      scheduleMs: config.retry.schedule,
      expireAfterMs: config.retry.expireAfter,
      delayWarningAfterMs: config.retry.delayWarningAfter,
      inDoubt: config.delivery.inDoubt,
    },
    onInDoubt: (queueId, attemptId) => {
      inDoubt.add(1);
      logger.warn(
        { queue_id: queueId, attempt_id: attemptId },
        'in-doubt: a worker died after the final dot',
      );
    },
    onTrouble,
    ...toldLosses(telemetry),
    counters: countersOf(metrics),
  };
}

await runService({
  name: 'queue',
  start: async (service) => {
    const { config, link, telemetry } = service;
    const say = (words: string) => telemetry.logger.warn(words);
    const layout = await prepareStreams(link, config.nats, { say });
    const shared = sharedContext(service, layout);
    const queue = new Queue(shared, (partition, reason) => {
      telemetry.logger.warn({ partition }, `partition given up: ${reason}`);
    });
    const presence = new Presence(link, {
      service: 'queue',
      watch: ['queue', 'delivery'],
      holds: () => queue.holds(),
      isPassive: () => queue.isPassive,
    });
    await presence.start();
    queue.start(presence);
    const quarantine = new QuarantineDesk(shared);
    quarantine.start();
    const uncounted = new Uncounted({
      link,
      layout,
      partitions: () => queue.uncounted,
      now: () => performance.now(),
    });
    const counting = setInterval(() => void uncounted.sweep(), COUNT_EVERY_MS);
    registerGauges(telemetry.metrics, {
      queue,
      uncounted,
      checkpointRoom: shared.checkpointRoom,
      quarantined: () => quarantine.count,
      desk: shared.desk,
      partitions: layout.partitions,
      siteConnectionsMax: config.delivery.siteConnectionsMax,
      workers: () => presence.members('delivery').length,
      now: shared.now,
    });
    showClockSkew(telemetry.metrics, () => presence.clockOffsets());
    const clocks = () => clockSpread(link.instance, presence.clockOffsets());
    const unwatchClocks = watchClocks({ spread: clocks, say });
    const instances = () => presence.members('queue').length;
    const admin = new QueueAdmin({ ...shared, queue, instances, clocks });
    const server = await serveQueueAdmin({
      address: config.admin.address,
      port: config.admin.port,
      list: (request) => admin.list(request),
      flush: (request) => admin.flush(request),
      traces: new TraceRulesDesk(shared),
      quarantine,
    });
    if (config.admin.port !== 0 && server.port !== config.admin.port) {
      telemetry.logger.warn(
        { wanted: config.admin.port, port: server.port },
        'the admin port is taken, by another queue instance perhaps: this one has another',
      );
    }
    return {
      ready: { admin: `${config.admin.address}:${server.port}` },
      stop: async () => {
        await server.stop();
        clearInterval(counting);
        unwatchClocks();
        admin.stop();
        quarantine.stop();
        await queue.stop();
        await shared.erasure.finish(ERASE_WITHIN_MS);
        shared.routes.stop();
      },
    };
  },
});
