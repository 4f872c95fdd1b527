// What is told, loudly, of mails and records that cannot be acted on any more.
import type { Counter, Metrics } from '#libs/telemetry/metrics.ts';
import type { Telemetry } from '#libs/telemetry/telemetry.ts';
import type { QueueContext } from './context.ts';

/** A counter that is 0 at first: who watches for an increase would not see the first one of a series that begins with it. */
export function shownFromStart(metrics: Pick<Metrics, 'counter'>, name: string, help: string): Counter {
  const counter = metrics.counter(name, help);
  counter.add(0);
  return counter;
}

/** What counts losses, and names each in the log. */
export function toldLosses({
  metrics,
  logger,
}: Pick<Telemetry, 'metrics' | 'logger'>): Pick<QueueContext, 'onContentLost' | 'onQuarantined'> {
  const lost = shownFromStart(
    metrics,
    'postrider_queue_content_lost_total',
    'Mails that were accepted and whose content is gone.',
  );
  const aside = shownFromStart(
    metrics,
    'postrider_queue_quarantined_total',
    'Records that cannot be read and were put aside.',
  );
  return {
    onContentLost: (queueId, what) => {
      lost.add(1);
      logger.error({ queue_id: queueId }, `content lost: ${what}`);
    },
    onQuarantined: (what) => {
      aside.add(1);
      logger.error(what);
    },
  };
}
