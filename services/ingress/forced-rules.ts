// Whose mail is traced whatever the ratio, by what operators ruled at run time. Pure but for the clock it is given.
import { domainOf } from '#libs/mail/address.ts';
import type { SteadyClock } from '#libs/shell/steady-clock.ts';
import type { TraceRule } from '#proto/postrider/v1/rules.ts';
import type { ForcedTraces } from './always-traced.ts';

export class ForcedByRule implements ForcedTraces {
  readonly #clock: Pick<SteadyClock, 'now' | 'fromWall'>;
  /** When each address or domain, both in lower case, stops to hold: on our clock. */
  #untilMs: ReadonlyMap<string, number> = new Map();

  constructor(clock: Pick<SteadyClock, 'now' | 'fromWall'>) {
    this.#clock = clock;
  }

  /** These hold from now on, and no others: none for longer than it was made for, however late it is on another machine. */
  replace(rules: readonly TraceRule[]): void {
    const nowMs = this.#clock.now();
    const untilMs = (rule: TraceRule) =>
      Math.min(this.#clock.fromWall(rule.untilMs), nowMs + rule.untilMs - rule.madeAtMs);
    this.#untilMs = new Map(rules.map((rule) => [rule.name, untilMs(rule)]));
  }

  /** True while a rule names the reverse-path or one of the forward-paths, itself or by its domain. */
  holds(reversePath: string, forwardPaths: readonly string[]): boolean {
    if (this.#untilMs.size === 0) return false;
    const nowMs = this.#clock.now();
    return this.#names(reversePath, nowMs) || forwardPaths.some((path) => this.#names(path, nowMs));
  }

  #names(path: string, nowMs: number): boolean {
    return this.#isHeld(path.toLowerCase(), nowMs) || this.#isHeld(domainOf(path), nowMs);
  }

  #isHeld(name: string, nowMs: number): boolean {
    return (this.#untilMs.get(name) ?? 0) > nowMs;
  }
}

/** Holds when one of them does. */
export function anyOf(parts: readonly ForcedTraces[]): ForcedTraces {
  return {
    holds: (reversePath, forwardPaths) => parts.some((part) => part.holds(reversePath, forwardPaths)),
  };
}
