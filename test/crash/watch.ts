// Asks the processes that are well once a second how they are, and has it judged (calm.machine.ts). Never ends by itself.
import { setTimeout as pause } from 'node:timers/promises';
import { readMetric } from '#kit/cluster-metrics.ts';
import type { ServiceName } from '#kit/cluster-process.ts';
import { type CalmState, newCalm, sampled } from './calm.machine.ts';
import { type CrashStage, namesOf } from './crash-stage.ts';

const EVERY_MS = 1000;
export const PARTITIONS = 32;

export class Watch {
  readonly calm: CalmState = newCalm(PARTITIONS);
  readonly #stage: CrashStage;
  #isOver = false;

  constructor(stage: CrashStage) {
    this.#stage = stage;
  }

  /** Resolves after `stop`. */
  async run(): Promise<void> {
    while (!this.#isOver) {
      await this.#sample();
      await pause(EVERY_MS);
    }
  }

  stop(): void {
    this.#isOver = true;
  }

  /** Loaded partitions of the instances that are well. */
  async owned(): Promise<number> {
    const values = await this.#read('queue', 'postrider_queue_partitions');
    return values.reduce((sum, value) => sum + value, 0);
  }

  /** Of those that are well and answer. */
  async #read(service: ServiceName, metric: string): Promise<number[]> {
    const { cluster, faults } = this.#stage;
    const reads = namesOf(service).map((name, index) =>
      faults.isWell(name) ? readMetric(cluster.metricsUrl(service, index), metric) : undefined,
    );
    return (await Promise.all(reads)).filter((value) => value !== undefined);
  }

  async #sample(): Promise<void> {
    const { faults } = this.#stage;
    const hitAtMs = faults.hitAtMs('queue', 'nats');
    const [owned, ages] = await Promise.all([
      this.owned(),
      this.#read('delivery', 'postrider_delivery_unacknowledged_oldest_seconds'),
    ]);
    // What was hit while it was asked says nothing.
    if (faults.hitAtMs('queue', 'nats') !== hitAtMs) return;
    sampled(this.calm, {
      atMs: performance.now(),
      owned,
      canOwn: namesOf('queue').some((name) => faults.isWell(name)) && this.#isNatsWell(),
      hitAtMs,
      wellSinceMs: faults.wellSinceMs,
      oldestUnacknowledgedS: ages.length === 0 ? undefined : Math.max(...ages),
    });
  }

  #isNatsWell(): boolean {
    return ['nats-0', 'nats-1', 'nats-2', 'nats-split'].every((name) => this.#stage.faults.isWell(name));
  }
}
