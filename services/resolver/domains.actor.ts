// All domains that are being decided: each once, however many ask for it.
import { type Decision, DomainActor, type DomainContext } from './domain.actor.ts';

/** Over this nothing new is begun; about 2 KB each. */
const DOMAINS_MAX = 50_000;

export class Domains {
  readonly #context: DomainContext;
  readonly #deciding = new Map<string, Promise<Decision>>();

  constructor(context: DomainContext) {
    this.#context = context;
  }

  /** Domains that have no decision yet. */
  get deciding(): number {
    return this.#deciding.size;
  }

  get isFull(): boolean {
    return this.#deciding.size >= DOMAINS_MAX;
  }

  /** The decision on a domain in lower case. Who joins late shares the time of who came first. */
  decide(domain: string): Promise<Decision> {
    return this.#deciding.get(domain) ?? this.#begin(domain);
  }

  #begin(domain: string): Promise<Decision> {
    const { promise, resolve } = Promise.withResolvers<Decision>();
    this.#deciding.set(domain, promise);
    const actor = new DomainActor(this.#context, (decision) => {
      this.#deciding.delete(domain);
      resolve(decision);
    });
    actor.start(domain);
    return promise;
  }
}
