// Makes processes of a test cluster fail, and knows which of them are well: killed and started again, asked to stop, frozen from
// outside (SIGSTOP) or by themselves in the middle of a turn.
// Fails: a process that does not come back, or that does not stop when it is asked to, rejects.
import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import type { Cluster } from './cluster.ts';
import type { ServiceName } from './cluster-process.ts';
import type { NatsServer } from './nats-server.ts';
import type { Moment } from './process-hook.ts';

/** What is done to a process of a service, or to a nats-server. */
export interface Patient {
  readonly name: string;
  pid(): number | undefined;
  kill(): Promise<void>;
  start(): Promise<void>;
  /** SIGTERM, until it is gone. */
  stop(): Promise<void>;
  freezeIn(moment: Moment | undefined): void;
}

/** Longer than any service waits for attempts that run. */
const STOP_WITHIN_MS = 60_000;
/** A process that has not come to the moment by then is frozen from outside. */
const MOMENT_WITHIN_MS = 4000;
const LOOK_EVERY_MS = 5;

export function servicePatient(cluster: Cluster, service: ServiceName, index: number): Patient {
  const one = cluster.process(service, index);
  return {
    name: one.name,
    pid: () => one.pid,
    kill: () => one.kill('SIGKILL'),
    start: () => one.start(),
    stop: async () => {
      if (!(await one.stop(STOP_WITHIN_MS)))
        throw new Error(`${one.name} had to be killed\n${one.logTail()}`);
    },
    freezeIn: (moment) => one.freezeIn(moment),
  };
}

export function natsPatient(server: NatsServer, index: number): Patient {
  return {
    name: `nats-${index}`,
    pid: () => server.pid,
    kill: () => server.kill('SIGKILL'),
    start: () => server.restart(),
    stop: () => server.kill('SIGTERM'),
    freezeIn: () => undefined,
  };
}

export class ProcessFaults {
  /** Names of those that are not well. */
  readonly #ill = new Set<string>();
  /** When a process of the name's first part was last hit or came back, monotonic, ms. */
  readonly #hitAtMs = new Map<string, number>();
  #wellSinceMs: number | undefined = performance.now();

  isWell(name: string): boolean {
    return !this.#ill.has(name);
  }

  /** When one of these services was last hit, or came back; 0 for never. */
  hitAtMs(...services: string[]): number {
    return Math.max(0, ...services.map((service) => this.#hitAtMs.get(service) ?? 0));
  }

  /** When the last one came to be well; undefined while one is not. */
  get wellSinceMs(): number | undefined {
    return this.#wellSinceMs;
  }

  async kill(patient: Patient, forMs: number): Promise<void> {
    await this.during(patient.name, async () => {
      await patient.kill();
      await pause(forMs);
      await patient.start();
    });
  }

  async restart(patient: Patient): Promise<void> {
    await this.during(patient.name, async () => {
      await patient.stop();
      await patient.start();
    });
  }

  async freeze(patient: Patient, forMs: number): Promise<void> {
    await this.during(patient.name, async () => {
      signal(patient, 'SIGSTOP');
      await pause(forMs);
      signal(patient, 'SIGCONT');
    });
  }

  /** Frozen when it says what the moment names; from outside when it does not come to say that. */
  async freezeItself(patient: Patient, forMs: number, moment: Moment): Promise<void> {
    await this.during(patient.name, async () => {
      patient.freezeIn(moment);
      const untilMs = performance.now() + MOMENT_WITHIN_MS;
      while (!isStopped(patient.pid()) && performance.now() < untilMs) await pause(LOOK_EVERY_MS);
      signal(patient, 'SIGSTOP');
      await pause(forMs);
      // Forgotten, if it never came to that: it hears of it when it goes on.
      patient.freezeIn(undefined);
      signal(patient, 'SIGCONT');
    });
  }

  /** The named one is not well while `deed` lasts. */
  async during(name: string, deed: () => Promise<void>): Promise<void> {
    this.#hit(name);
    this.#ill.add(name);
    this.#wellSinceMs = undefined;
    await deed();
    this.#ill.delete(name);
    this.#hit(name);
    if (this.#ill.size === 0) this.#wellSinceMs = performance.now();
  }

  #hit(name: string): void {
    this.#hitAtMs.set(name.split('-')[0]!, performance.now());
  }
}

function signal(patient: Patient, name: NodeJS.Signals): void {
  const pid = patient.pid();
  if (pid !== undefined) process.kill(pid, name);
}

/** As Linux says: T is stopped. */
export function isStopped(pid: number | undefined): boolean {
  if (pid === undefined) return false;
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return stat.slice(stat.lastIndexOf(')') + 2).startsWith('T');
  } catch {
    return false;
  }
}
