// `npm start` as a child of a test, without the set-up before it: its output, its end, and what it left running.
// Fails: a starter that ends or says nothing rejects what waits for it, with all that it printed.
import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const LOOK_EVERY_MS = 25;
const WAIT_MS_MAX = 60_000;

/** Process ids of everything whose command line has `text`: the children of a starter have its data directory there. */
export function processesWith(text: string): number[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.map(Number).filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(text);
    } catch {
      return false;
    }
  });
}

export class Starter {
  readonly #child: ChildProcess;
  readonly #ended: Promise<string>;
  #isOver = false;
  output = '';

  constructor(args: readonly string[], env: Record<string, string> = {}) {
    this.#child = spawn(process.execPath, ['deploy/local/start.ts', ...args], {
      cwd: ROOT,
      env: { ...process.env, NATS_URL: '', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.#child.stdout!, this.#child.stderr!]) {
      stream.on('data', (text) => {
        this.output += text;
      });
    }
    this.#ended = new Promise((resolve) => {
      this.#child.once('close', (code, signal) => {
        this.#isOver = true;
        resolve(signal ?? `code ${code}`);
      });
    });
  }

  /** Resolves once it printed `text`. */
  async says(text: string): Promise<void> {
    const until = Date.now() + WAIT_MS_MAX;
    while (!this.output.includes(text)) {
      if (this.#isOver || Date.now() > until) throw new Error(`it did not say "${text}":\n${this.output}`);
      await pause(LOOK_EVERY_MS);
    }
  }

  ready(): Promise<void> {
    return this.says('Ctrl-C drains and stops everything.');
  }

  /** Resolves to how it ended: "code 0" or the name of a signal. */
  ended(): Promise<string> {
    return this.#ended;
  }

  kill(signal: NodeJS.Signals): Promise<string> {
    this.#child.kill(signal);
    return this.#ended;
  }
}
