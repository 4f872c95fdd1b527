// The way down, step by step: each says in the log how long it took, so that what used up a grace period can be seen.
import type { Logger } from 'pino';

/** A wait that somebody may cut short. */
export class Wait {
  #cut: (() => void) | undefined;

  /** Resolves after so many milliseconds, or when it is cut. */
  async elapse(ms: number): Promise<void> {
    if (ms <= 0) return;
    await new Promise<void>((done) => {
      const timer = setTimeout(done, ms);
      this.#cut = () => {
        clearTimeout(timer);
        done();
      };
    });
    this.#cut = undefined;
  }

  /** False when nothing waits. */
  cut(): boolean {
    if (this.#cut === undefined) return false;
    this.#cut();
    return true;
  }
}

/** A step and what the log says of it when it is done, such as "telemetry flushed". */
export interface StopStep {
  done: string;
  run: () => void | Promise<void>;
}

/** Runs the steps one after the other. Rejects as the first one that does. */
export async function runSteps(
  steps: readonly StopStep[],
  { logger, now }: { logger: Pick<Logger, 'info'>; now: () => number },
): Promise<void> {
  for (const { done, run } of steps) {
    const startedAtMs = now();
    await run();
    logger.info({ took_ms: Math.round(now() - startedAtMs) }, `stopping: ${done}`);
  }
}
