// Jobs that found no connection in time: counted, and named in the log once in a while. One is the price of a slow host; when all
// of a site come back again and again, nothing of it is delivered.
import type { Counter, Metrics } from '#libs/telemetry/metrics.ts';

const SAY_EVERY_MS = 10_000;

export interface LateWord {
  /** The site of the last of them. */
  site: string;
  /** All since the last word, whatever their site. */
  jobs: number;
}

export class LateJobs {
  readonly #counter: Counter;
  readonly #say: (late: LateWord) => void;
  #unsaid = 0;
  #saidAtMs = Number.NEGATIVE_INFINITY;

  constructor(metrics: Pick<Metrics, 'counter'>, say: (late: LateWord) => void) {
    this.#counter = metrics.counter(
      'postrider_delivery_late_jobs_total',
      'Jobs given back because no connection became free in time; a rate that stays means sites that get more than they take.',
    );
    // Shown from the start: who watches for an increase would not see the first one of a series that begins with it.
    this.#counter.add(0);
    this.#say = say;
  }

  count(site: string, jobs: number, nowMs: number): void {
    this.#counter.add(jobs);
    this.#unsaid += jobs;
    if (nowMs - this.#saidAtMs < SAY_EVERY_MS) return;
    this.#saidAtMs = nowMs;
    this.#say({ site, jobs: this.#unsaid });
    this.#unsaid = 0;
  }
}
