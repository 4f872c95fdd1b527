// One service of a test cluster as a child process: forked, awaited until it says that it is ready, killed, started again.
// What it prints goes to a file, which is shown when something fails. It dies with the test: its channel closes.
// Fails: a child that ends before it is ready, or that is not ready in time, rejects `start` with the end of its log.
import { type ChildProcess, fork } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Moment } from './process-hook.ts';

export type ServiceName = 'ingress' | 'queue' | 'resolver' | 'delivery';

const READY_WITHIN_MS = 40_000;
const STOP_WITHIN_MS = 15_000;
const LOG_LINES_SHOWN = 40;

export interface ServiceFiles {
  service: ServiceName;
  index: number;
  configFile: string;
  logFile: string;
  nodeOptions: readonly string[];
  /** Folder of the tree whose services run; this one when absent. */
  root?: string;
}

const THIS_TREE = fileURLToPath(new URL('../..', import.meta.url));

export class ServiceProcess {
  readonly files: ServiceFiles;
  #child: ChildProcess | undefined;
  #exited: Promise<void> = Promise.resolve();
  /** What it said with "ready". */
  ready: Record<string, unknown> = {};

  constructor(files: ServiceFiles) {
    this.files = files;
  }

  get name(): string {
    return `${this.files.service}-${this.files.index}`;
  }

  get running(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Undefined when it does not run. */
  get pid(): number | undefined {
    return this.running ? this.#child!.pid : undefined;
  }

  /** Resolves when the service is ready. */
  async start(): Promise<void> {
    if (this.running) throw new Error(`${this.name} runs already`);
    const { service, configFile, logFile, nodeOptions, root = THIS_TREE } = this.files;
    const main = join(root, 'services', service, 'main.ts');
    const log = openSync(logFile, 'a');
    const child = fork(main, ['--config', configFile], {
      execPath: process.execPath,
      execArgv: [...nodeOptions],
      env: environment(),
      stdio: ['ignore', log, log, 'ipc'],
    });
    closeSync(log);
    this.#child = child;
    this.#exited = new Promise((done) => child.once('exit', () => done()));
    await this.#untilReady(child);
  }

  #untilReady(child: ChildProcess): Promise<void> {
    return new Promise((resolve, reject) => {
      const fail = (what: string): void => {
        clearTimeout(timer);
        reject(new Error(`${this.name} ${what}\n${this.logTail()}`));
      };
      const timer = setTimeout(() => fail(`was not ready in ${READY_WITHIN_MS} ms`), READY_WITHIN_MS);
      child.once('error', (error) => fail(`did not start: ${error.message}`));
      child.once('exit', (code, signal) => fail(`ended before it was ready: ${code ?? signal}`));
      child.on('message', (message: { ready?: Record<string, unknown> }) => {
        if (message.ready === undefined) return;
        clearTimeout(timer);
        this.ready = message.ready;
        resolve();
      });
    });
  }

  /** Sends the signal and waits for the end. */
  async kill(signal: NodeJS.Signals): Promise<void> {
    if (!this.running) return;
    this.#child!.kill(signal);
    await this.#exited;
  }

  /** SIGSTOP and SIGCONT; nothing when it does not run. */
  signal(signal: NodeJS.Signals): void {
    if (this.running) this.#child!.kill(signal);
  }

  /** It stops itself (SIGSTOP) at that moment, or no more when there is none; it must run with the hook (process-hook.ts). */
  freezeIn(moment: Moment | undefined): void {
    if (this.running) this.#child!.send({ freezeIn: moment });
  }

  /** The next start is that of another tree's service. */
  moveTo(root: string | undefined): void {
    if (root === undefined) delete this.files.root;
    else this.files.root = root;
  }

  /** Asks it to stop; kills it when it does not. Resolves with false when it had to be killed. */
  async stop(withinMs = STOP_WITHIN_MS): Promise<boolean> {
    if (!this.running) return true;
    const child = this.#child!;
    const timer = setTimeout(() => child.kill('SIGKILL'), withinMs);
    await this.kill('SIGTERM');
    clearTimeout(timer);
    return child.signalCode !== 'SIGKILL';
  }

  /** All that it printed. */
  log(): string {
    return existsSync(this.files.logFile) ? readFileSync(this.files.logFile, 'utf8') : '';
  }

  /** The last lines that it printed, under its name. */
  logTail(): string {
    const lines = this.log().trimEnd().split('\n');
    return [`--- ${this.name} (${this.files.logFile})`, ...lines.slice(-LOG_LINES_SHOWN)].join('\n');
  }
}

/** The environment without what belongs to the test runner or would overrule the configuration. */
function environment(): NodeJS.ProcessEnv {
  const { NODE_OPTIONS: _options, NATS_URL: _url, POSTRIDER_CONFIG: _config, ...rest } = process.env;
  return rest;
}
