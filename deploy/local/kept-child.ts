// A child process that is kept running: started, waited for until it is ready, started again when it ends by itself,
// stopped when asked. Its output goes to a log file; its process id to a file, by which another run finds it.
//
// It has a process group of its own, so that Ctrl-C at the terminal reaches only the starter, which stops things in order.
//
// Fails: ends or says nothing before it is ready the first time -> StartTrouble with the end of its log; ends later ->
// started again after a wait that doubles; does not stop in time -> SIGKILL.
import type { ChildProcess } from 'node:child_process';
import { closeSync, openSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { signal } from './processes.ts';
import { StartTrouble } from './trouble.ts';

const WAIT_MS_MIN = 500;
const WAIT_MS_MAX = 10_000;
/** A child that ran so long is not one that cannot run. */
const SETTLED_AFTER_MS = 30_000;
const READY_MS_MAX = 120_000;
const LOG_OCTETS_MAX = 20 * 1024 * 1024;
const LAST_LINES = 8;

export type Ready = Record<string, unknown>;

export interface ChildOptions {
  name: string;
  logFile: string;
  pidFile: string;
  /** Starts it with its output going to the file descriptor. */
  spawn: (logDescriptor: number) => ChildProcess;
  /** Settles when this child is ready; may reject when it ends first. */
  whenReady: (child: ChildProcess) => Promise<Ready>;
  /** How long it may take to stop. */
  graceMs: number;
  say: (line: string) => void;
}

type Phase =
  | { kind: 'new' }
  | { kind: 'running'; child: ChildProcess; startedAtMs: number }
  | { kind: 'waiting'; timer: NodeJS.Timeout }
  | { kind: 'stopping' }
  | { kind: 'stopped' };

function ended(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (code, name) => resolve(name === null ? `code ${code}` : `signal ${name}`));
  });
}

function lastLines(file: string): string {
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n').slice(-LAST_LINES);
  return lines.map((line) => `    ${line}`).join('\n');
}

export class KeptChild {
  readonly name: string;
  readonly #options: ChildOptions;
  #phase: Phase = { kind: 'new' };
  #waitMs = WAIT_MS_MIN;
  ready: Ready = {};

  constructor(options: ChildOptions) {
    this.name = options.name;
    this.#options = options;
  }

  get pid(): number | undefined {
    return this.#phase.kind === 'running' ? this.#phase.child.pid : undefined;
  }

  get wasStarted(): boolean {
    return this.#phase.kind !== 'new';
  }

  /** Resolves when it is ready for the first time. */
  async start(): Promise<void> {
    if (this.#phase.kind !== 'new') throw new StartTrouble(`${this.name} was stopped before it was started`);
    const child = this.#spawn();
    const end = ended(child);
    const early = end.then((how): never => {
      const { logFile } = this.#options;
      throw new StartTrouble(`${this.name} ended with ${how} before it was ready:\n${lastLines(logFile)}`);
    });
    // When waiting fails, the child has ended, which has better words.
    const ready = this.#options.whenReady(child).catch(() => early);
    this.ready = await Promise.race([ready, early, this.#tooLate()]);
    void end.then((how) => this.#onEnd(how));
  }

  /** Resolves when it is gone. */
  async stop(): Promise<void> {
    const phase = this.#phase;
    if (phase.kind === 'waiting') clearTimeout(phase.timer);
    this.#phase = { kind: 'stopping' };
    if (phase.kind === 'running') await this.#end(phase.child);
    rmSync(this.#options.pidFile, { force: true });
    this.#phase = { kind: 'stopped' };
  }

  /** Ends it at once. */
  kill(): void {
    if (this.pid !== undefined) signal(this.pid, 'SIGKILL');
  }

  async #end(child: ChildProcess): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
    const end = ended(child);
    signal(child.pid, 'SIGTERM');
    const timer = setTimeout(() => {
      this.#options.say(`${this.name} did not stop within ${this.#options.graceMs / 1000} s: killed`);
      child.kill('SIGKILL');
    }, this.#options.graceMs);
    await end;
    clearTimeout(timer);
  }

  #spawn(): ChildProcess {
    const { logFile, pidFile, spawn } = this.#options;
    if ((statSync(logFile, { throwIfNoEntry: false })?.size ?? 0) > LOG_OCTETS_MAX) {
      renameSync(logFile, `${logFile}.1`);
    }
    const descriptor = openSync(logFile, 'a');
    const child = spawn(descriptor);
    closeSync(descriptor);
    if (child.pid !== undefined) writeFileSync(pidFile, String(child.pid));
    this.#phase = { kind: 'running', child, startedAtMs: performance.now() };
    return child;
  }

  async #tooLate(): Promise<never> {
    await new Promise((resolve) => setTimeout(resolve, READY_MS_MAX).unref());
    const { logFile } = this.#options;
    throw new StartTrouble(
      `${this.name} is not ready after ${READY_MS_MAX / 1000} s:\n${lastLines(logFile)}`,
    );
  }

  #onEnd(how: string): void {
    const phase = this.#phase;
    if (phase.kind !== 'running') return;
    if (performance.now() - phase.startedAtMs > SETTLED_AFTER_MS) this.#waitMs = WAIT_MS_MIN;
    const waitMs = this.#waitMs;
    this.#waitMs = Math.min(waitMs * 2, WAIT_MS_MAX);
    const { say, logFile } = this.#options;
    say(`${this.name} ended with ${how}: started again in ${waitMs / 1000} s (log: ${logFile})`);
    this.#phase = { kind: 'waiting', timer: setTimeout(() => this.#startAgain(), waitMs) };
  }

  #startAgain(): void {
    const child = this.#spawn();
    void ended(child).then((how) => this.#onEnd(how));
    this.#options.whenReady(child).then(
      (ready) => {
        this.ready = ready;
        this.#options.say(`${this.name} is ready again`);
      },
      // It ended, which is seen to above.
      () => {},
    );
  }
}
