// What happens to which process when, from a seed: scenes of faults that belong together, with rest between them, so that the
// processes are well again before the next scene. Pure: the same options give the same plan.
import type { Moment, Saying } from '#kit/process-hook.ts';

export type Service = 'ingress' | 'queue' | 'delivery' | 'resolver' | 'nats';

/** Of services; `leader` is whichever nats-server leads a stream at that time. */
export interface Target {
  service: Service;
  index: number | 'leader';
}

/**
 * kill: SIGKILL, and a new process after `forMs`. restart: SIGTERM, and a new process as soon as it is gone. freeze: SIGSTOP, SIGCONT
 * after `forMs`. freezeItself: the same, by the process itself in the middle of saying something. split: the small half of the
 * cluster is cut off for `forMs`. outage: every host refuses every recipient for `forMs`.
 */
export type Deed =
  | { kind: 'kill' | 'freeze'; target: Target; forMs: number }
  | { kind: 'restart'; target: Target }
  | { kind: 'freezeItself'; target: Target; forMs: number; moment: Moment }
  | { kind: 'split' | 'outage'; forMs: number };

/** `atMs`: from the start of the plan. */
export type Fault = Deed & { atMs: number };

export interface PlanOptions {
  seed: number;
  /** The last fault is over by then. */
  lengthMs: number;
  /** Whom; all when absent. */
  victims?: readonly Service[];
  freeze?: boolean;
  pairs?: boolean;
  /** There are three nats-servers. */
  cluster?: boolean;
  split?: boolean;
  /** Small streams: hosts are out so that they fill. */
  full?: boolean;
  /** Workers are restarted in turn, and nothing else. */
  rolling?: boolean;
}

type Scene = { deeds: (Deed & { afterMs: number })[] };

/** Before the first fault, and after the last one of each scene. */
const START_MS = 3000;
const REST_MS = 10_000;
const REST_MORE_MS = 5000;
const SERVICES: readonly Service[] = ['queue', 'delivery', 'nats', 'ingress', 'resolver'];
/** What is between processes that fail together. */
const BETWEEN_MS_MAX = 6000;
/** How long a restart takes at most, in a plan. */
const RESTART_MS = 10_000;
const SAYINGS: Record<'queue' | 'delivery', readonly Saying[]> = {
  queue: ['deliver', 'outcome-ack'],
  delivery: ['outcome', 'checkpoint'],
};

/** A generator of numbers from 0 to 1 (mulberry32). */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

class Planner {
  readonly #options: PlanOptions;
  readonly #random: () => number;
  #turn = 0;

  constructor(options: PlanOptions) {
    this.#options = options;
    this.#random = randomOf(options.seed);
  }

  plan(): Fault[] {
    const faults: Fault[] = [];
    let atMs = START_MS;
    for (;;) {
      const { deeds } = this.#scene();
      const endMs = Math.max(...deeds.map((deed) => atMs + deed.afterMs + lengthOf(deed)));
      if (endMs > this.#options.lengthMs) break;
      for (const { afterMs, ...deed } of deeds) faults.push({ ...deed, atMs: atMs + afterMs });
      atMs = endMs + REST_MS + this.#upTo(REST_MORE_MS);
    }
    return faults.sort((a, b) => a.atMs - b.atMs);
  }

  /** The kinds of scenes in turn, so that a short plan has one of each. */
  #scene(): Scene {
    const scenes = this.#scenes();
    const scene = scenes[this.#turn % scenes.length]!;
    this.#turn += 1;
    return scene();
  }

  #scenes(): (() => Scene)[] {
    const { freeze, pairs, cluster, split, full, rolling } = this.#options;
    if (rolling) return [() => this.#rolling()];
    const scenes: (() => Scene)[] = [];
    if (pairs)
      scenes.push(
        () => this.#machine(),
        () => this.#ordered('delivery', 'queue'),
      );
    if (pairs && freeze) scenes.push(() => this.#afterFreeze());
    if (freeze)
      scenes.push(
        () => this.#alone('freeze'),
        () => this.#itself(),
        () => this.#overlapping(),
      );
    if (cluster) scenes.push(() => this.#leader());
    if (split) scenes.push(() => alone({ kind: 'split', forMs: this.#between(10_000, 20_000) }));
    if (full) scenes.push(() => alone({ kind: 'outage', forMs: this.#between(20_000, 30_000) }));
    if (pairs)
      scenes.push(
        () => this.#ordered('queue', 'delivery'),
        () => this.#handOver(),
        () => this.#three(),
      );
    if (!freeze || pairs)
      scenes.push(
        () => this.#alone('kill'),
        () => this.#alone('restart'),
      );
    return scenes;
  }

  #upTo(ms: number): number {
    return Math.floor(this.#random() * ms);
  }

  #between(fromMs: number, toMs: number): number {
    return fromMs + this.#upTo(toMs - fromMs);
  }

  #count(service: Service): number {
    if (service === 'nats') return this.#options.cluster ? 3 : 1;
    return service === 'resolver' ? 1 : 2;
  }

  #target(service: Service): Target {
    return { service, index: this.#upTo(this.#count(service)) };
  }

  #victim(): Target {
    const victims = this.#options.victims ?? SERVICES;
    return this.#target(victims[this.#upTo(victims.length)]!);
  }

  #kill(target: Target): Deed {
    return { kind: 'kill', target, forMs: this.#between(200, 3000) };
  }

  #freeze(target: Target): Deed {
    return { kind: 'freeze', target, forMs: this.#between(5000, 20_000) };
  }

  /** A kill, or where it may be a freeze, either. */
  #loss(target: Target): Deed {
    return this.#options.freeze && this.#random() < 0.5 ? this.#freeze(target) : this.#kill(target);
  }

  #alone(kind: 'kill' | 'freeze' | 'restart'): Scene {
    const target = this.#victim();
    if (kind === 'freeze') return alone(this.#freeze(target));
    // A nats-server that is asked to end leaves no other traces than one that is killed.
    if (kind === 'kill' || target.service === 'nats') return alone(this.#kill(target));
    return alone({ kind, target });
  }

  #itself(): Scene {
    const service = this.#random() < 0.5 ? 'queue' : 'delivery';
    const sayings = SAYINGS[service];
    const moment: Moment = {
      saying: sayings[this.#upTo(sayings.length)]!,
      nth: 1 + this.#upTo(20),
      side: this.#random() < 0.5 ? 'before' : 'after',
    };
    return alone({
      kind: 'freezeItself',
      target: this.#target(service),
      forMs: this.#between(7000, 20_000),
      moment,
    });
  }

  #overlapping(): Scene {
    const first = this.#victim();
    const second = this.#other(first);
    // There is no other one.
    if (this.#count(second.service) === 1 && second.service === first.service)
      return alone(this.#freeze(first));
    return together({ deed: this.#freeze(first) }, { deed: this.#freeze(second), afterMs: this.#upTo(5000) });
  }

  /** Of another service; where only one is hit, its other instance. */
  #other(than: Target): Target {
    const services = (this.#options.victims ?? SERVICES).filter((one) => one !== than.service);
    if (services.length > 0) return this.#target(services[this.#upTo(services.length)]!);
    return { ...than, index: than.index === 0 ? 1 : 0 };
  }

  /** One machine: an instance of each service, within a moment. */
  #machine(): Scene {
    const index = this.#upTo(2);
    const isFrozen = this.#options.freeze === true && this.#random() < 0.5;
    const forMs = isFrozen ? this.#between(8000, 20_000) : this.#between(500, 6000);
    const kind = isFrozen ? ('freeze' as const) : ('kill' as const);
    const services: readonly Service[] = ['delivery', 'queue', 'ingress'];
    return together(
      ...services.map((service) => ({
        deed: { kind, target: { service, index }, forMs },
        afterMs: this.#upTo(300),
      })),
    );
  }

  #ordered(first: 'queue' | 'delivery', second: 'queue' | 'delivery'): Scene {
    return together(
      { deed: this.#loss(this.#target(first)) },
      { deed: this.#loss(this.#target(second)), afterMs: this.#upTo(BETWEEN_MS_MAX) },
    );
  }

  /** A planned hand-over while a worker's death is not known yet. */
  #handOver(): Scene {
    return together(
      { deed: this.#kill(this.#target('delivery')) },
      { deed: { kind: 'restart', target: this.#target('queue') }, afterMs: this.#between(1000, 4000) },
    );
  }

  /** An owner that was away for long, is back, and is trusted again; then a worker dies. */
  #afterFreeze(): Scene {
    return together(
      { deed: { kind: 'freeze', target: this.#target('queue'), forMs: 10_000 } },
      { deed: this.#kill(this.#target('delivery')), afterMs: 15_000 },
    );
  }

  #three(): Scene {
    const worker = this.#target('delivery');
    const owner = this.#target('queue');
    return together(
      { deed: this.#loss(worker) },
      { deed: this.#loss(owner), afterMs: this.#upTo(2000) },
      {
        deed: this.#loss({ service: 'nats', index: this.#options.cluster ? 'leader' : 0 }),
        afterMs: this.#upTo(BETWEEN_MS_MAX),
      },
    );
  }

  #leader(): Scene {
    return alone(this.#loss({ service: 'nats', index: 'leader' }));
  }

  #rolling(): Scene {
    return together(
      ...[0, 1].map((index) => ({
        deed: { kind: 'restart' as const, target: { service: 'delivery' as const, index } },
        afterMs: index * 2 * RESTART_MS,
      })),
    );
  }
}

function lengthOf(deed: Deed): number {
  return deed.kind === 'restart' ? RESTART_MS : deed.forMs;
}

function alone(deed: Deed): Scene {
  return { deeds: [{ ...deed, afterMs: 0 }] };
}

function together(...parts: { deed: Deed; afterMs?: number }[]): Scene {
  return { deeds: parts.map(({ deed, afterMs = 0 }) => ({ ...deed, afterMs })) };
}

export function faultPlan(options: PlanOptions): Fault[] {
  return new Planner(options).plan();
}

export function nameOf({ service, index }: Target): string {
  return `${service}-${index}`;
}

/** A line for people. */
export function faultText(deed: Deed): string {
  const seconds = 'forMs' in deed ? `${(deed.forMs / 1000).toFixed(1)} s` : '';
  switch (deed.kind) {
    case 'kill':
      return `kill ${nameOf(deed.target)}, dead for ${seconds}`;
    case 'freeze':
      return `freeze ${nameOf(deed.target)} for ${seconds}`;
    case 'freezeItself': {
      const { saying, nth, side } = deed.moment;
      return `${nameOf(deed.target)} freezes itself for ${seconds}, ${side} its ${nth}. "${saying}"`;
    }
    case 'restart':
      return `restart ${nameOf(deed.target)}`;
    case 'split':
      return `the cluster is split for ${seconds}`;
    case 'outage':
      return `all hosts refuse for ${seconds}`;
  }
}

/** How much the clock of each process is off, ms: each kind of service another way, up to 300 s. */
export function clockShifts(seed: number, names: readonly string[]): Map<string, number> {
  const random = randomOf(seed ^ 0x5eed);
  return new Map(names.map((name) => [name, Math.floor((random() * 2 - 1) * CLOCK_SHIFT_MS_MAX)]));
}

const CLOCK_SHIFT_MS_MAX = 300_000;
