// Whose mail is always traced, whatever the ratio: telemetry.alwaysSample. Pure.
import { domainOf } from '#libs/mail/address.ts';

/** Decides whose trace is kept at any ratio. */
export interface ForcedTraces {
  /** Paths as they stand in the envelope; '' is the null reverse-path. */
  holds(reversePath: string, forwardPaths: readonly string[]): boolean;
}

export class AlwaysTraced implements ForcedTraces {
  readonly #addresses: ReadonlySet<string>;
  readonly #domains: ReadonlySet<string>;

  /** Both in lower case. */
  constructor({ addresses, domains }: { addresses: readonly string[]; domains: readonly string[] }) {
    this.#addresses = new Set(addresses);
    this.#domains = new Set(domains);
  }

  /** True when the reverse-path or one of the forward-paths is named, itself or by its domain. */
  holds(reversePath: string, forwardPaths: readonly string[]): boolean {
    if (this.#addresses.size === 0 && this.#domains.size === 0) return false;
    return this.#names(reversePath) || forwardPaths.some((path) => this.#names(path));
  }

  #names(path: string): boolean {
    return this.#addresses.has(path.toLowerCase()) || this.#domains.has(domainOf(path));
  }
}
