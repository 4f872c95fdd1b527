// When the starter is asked to stop: Ctrl-C, a signal, or the process that started it is gone. npm and the bootstrap pass
// the same Ctrl-C on, so that it may arrive more than once: only one that comes later is a second one.
import type { EventEmitter } from 'node:events';

/** Signals within this time are one request. */
const SAME_REQUEST_MS = 1_000;

export interface AskedProcess extends Pick<EventEmitter, 'on'> {
  readonly connected?: boolean;
}

export class StopRequests {
  /** Resolves at the first request. */
  readonly first: Promise<void>;
  #firstAtMs: number | undefined;
  #onSecond = () => {};

  constructor(process: AskedProcess, say: (line: string) => void, now = () => performance.now()) {
    this.first = new Promise((resolve) => {
      const asked = (why: string) => {
        if (this.#firstAtMs === undefined) {
          this.#firstAtMs = now();
          say(`${why}: stopping (once more kills the services)`);
          resolve();
        } else if (now() - this.#firstAtMs > SAME_REQUEST_MS) {
          say('killing the services');
          this.#onSecond();
        }
      };
      for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => asked(signal));
      if (process.connected === true)
        process.on('disconnect', () => asked('the process that started us is gone'));
    });
  }

  get isAsked(): boolean {
    return this.#firstAtMs !== undefined;
  }

  onSecond(kill: () => void): void {
    this.#onSecond = kill;
  }
}
