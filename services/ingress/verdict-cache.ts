// What the resolver said of recipients, for as long as it allows. Pure: time arrives as an argument. Bounded: the oldest
// entry makes room.
import type { RecipientVerdict } from '#libs/smtp/server-session.ts';

export interface ResolverVerdict {
  verdict: RecipientVerdict;
  /** The verdict holds for every recipient of the domain. */
  wholeDomain: boolean;
  /** How long it may be kept; 0 means not at all. */
  ttlMs: number;
}

interface Entry {
  verdict: RecipientVerdict;
  untilMs: number;
}

export class VerdictCache {
  readonly #entriesMax: number;
  readonly #ofDomain = new Map<string, Entry>();
  readonly #ofPath = new Map<string, Entry>();

  /** At most `entriesMax` recipients and as many domains. */
  constructor(entriesMax: number) {
    this.#entriesMax = entriesMax;
  }

  /** Undefined when nothing is known, or nothing any more. */
  find(forwardPath: string, domain: string, nowMs: number): RecipientVerdict | undefined {
    return fresh(this.#ofDomain, domain, nowMs) ?? fresh(this.#ofPath, forwardPath, nowMs);
  }

  keep(forwardPath: string, domain: string, found: ResolverVerdict & { nowMs: number }): void {
    if (found.ttlMs <= 0) return;
    const entries = found.wholeDomain ? this.#ofDomain : this.#ofPath;
    const key = found.wholeDomain ? domain : forwardPath;
    entries.delete(key);
    if (entries.size >= this.#entriesMax) entries.delete(entries.keys().next().value!);
    entries.set(key, { verdict: found.verdict, untilMs: found.nowMs + found.ttlMs });
  }

  get size(): number {
    return this.#ofDomain.size + this.#ofPath.size;
  }
}

function fresh(entries: Map<string, Entry>, key: string, nowMs: number): RecipientVerdict | undefined {
  const entry = entries.get(key);
  if (entry === undefined) return undefined;
  if (entry.untilMs > nowMs) return entry.verdict;
  entries.delete(key);
  return undefined;
}
