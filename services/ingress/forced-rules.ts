// Whose mail is traced whatever the ratio, by what operators ruled at run time. Pure but for the clock it is given.
import { domainOf } from '#libs/mail/address.ts';
import type { TraceRule } from '#proto/postrider/v1/rules.ts';
import type { ForcedTraces } from './always-traced.ts';

export class ForcedByRule implements ForcedTraces {
  readonly #now: () => number;
  /** When each address or domain stops to hold; both in lower case. */
  #untilMs: ReadonlyMap<string, number> = new Map();

  constructor(now: () => number) {
    this.#now = now;
  }

  /** These hold from now on, and no others. */
  replace(rules: readonly TraceRule[]): void {
    this.#untilMs = new Map(rules.map(({ name, untilMs }) => [name, untilMs]));
  }

  /** True while a rule names the reverse-path or one of the forward-paths, itself or by its domain. */
  holds(reversePath: string, forwardPaths: readonly string[]): boolean {
    if (this.#untilMs.size === 0) return false;
    const nowMs = this.#now();
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
