// What every service shows of its process.
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Metrics } from './metrics.ts';

const RESOLUTION_MS = 20;

/** Registers the gauges; the returned function stops what measures. */
export function registerProcessGauges(metrics: Metrics): () => void {
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delay.enable();
  metrics.gauge('process_resident_memory_bytes', 'Memory of the process.', () => process.memoryUsage.rss());
  metrics.gauge('process_cpu_seconds', 'Processor time used since the start.', () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  });
  metrics.gauge(
    'nodejs_eventloop_lag_p99_seconds',
    'Delay of the event loop since the last look; over 0.1 means that the process is short of processor time.',
    () => {
      const p99Ms = delay.count === 0 ? RESOLUTION_MS : delay.percentile(99) / 1e6;
      delay.reset();
      return Math.max(0, p99Ms - RESOLUTION_MS) / 1000;
    },
  );
  return () => delay.disable();
}
