// Counters, gauges and histograms of a service. A metric's help text says what healthy looks like where that is known.
import type { Meter } from '@opentelemetry/api';

export type Labels = Record<string, string>;

export interface Counter {
  add(n: number, labels?: Labels): void;
}

export interface Histogram {
  record(value: number, labels?: Labels): void;
}

export class Metrics {
  readonly #meter: Meter;

  constructor(meter: Meter) {
    this.#meter = meter;
  }

  /** Only goes up. The name ends in `_total`. */
  counter(name: string, help: string): Counter {
    return this.#meter.createCounter(name, { description: help });
  }

  /** Read whenever someone looks. */
  gauge(name: string, help: string, read: () => number): void {
    this.#meter.createObservableGauge(name, { description: help }).addCallback((result) => {
      result.observe(read());
    });
  }

  /** Several values of one gauge, each with its labels, observed whenever someone looks. */
  gauges(name: string, help: string, read: (observe: (value: number, labels: Labels) => void) => void): void {
    this.#meter.createObservableGauge(name, { description: help }).addCallback((result) => {
      read((value, labels) => result.observe(value, labels));
    });
  }

  /** `bounds` are the upper ends of its buckets, ascending. */
  histogram(name: string, help: string, bounds: number[]): Histogram {
    return this.#meter.createHistogram(name, {
      description: help,
      advice: { explicitBucketBoundaries: bounds },
    });
  }
}
