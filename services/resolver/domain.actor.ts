// Finds the route of one domain: drives its machine, puts the questions to DNS, draws the lots, watches the time.
//
// Fails: an answer that does not come in time counts as DNS trouble, so there always is a decision. Questions that are
// still out then go on, and their answers are known next time.
import type { DnsAnswer, RecordOf, RecordType } from '#libs/dns/answer.ts';
import type { DnsClient } from '#libs/dns/dns-client.ts';
import type { Place, Turnstile } from '#libs/dns/turnstile.ts';
import {
  type RouteInput,
  type RoutePolicy,
  type RouteResult,
  type RouteState,
  type RouteStep,
  receive,
  startRoute,
} from './route.machine.ts';

export interface DomainContext {
  readonly dns: Pick<DnsClient, 'known' | 'ask'>;
  readonly policy: RoutePolicy;
  /** Bounds the domains that have questions out. */
  readonly turnstile: Turnstile;
  /** From [0, 1). */
  readonly random: () => number;
  /** A decision comes within this time. */
  readonly decideWithinMs: number;
}

export interface Decision {
  result: RouteResult;
  ttlMs: number;
  /** Questions that were put to DNS, and that the cache answered. */
  questions: number;
  cacheHits: number;
}

type AnswerOf<T extends RecordType> = DnsAnswer<RecordOf[T]>;

const ADDRESS_TYPES = ['A', 'AAAA'] as const;

export class DomainActor {
  readonly #context: DomainContext;
  readonly #onDecided: (decision: Decision) => void;
  #timer: NodeJS.Timeout | undefined;
  #state: RouteState = { phase: 'decided' };
  #place: Place | undefined;
  #questions = 0;
  #cacheHits = 0;

  /** `onDecided` is called once, before `start` returns when nothing must be asked. */
  constructor(context: DomainContext, onDecided: (decision: Decision) => void) {
    this.#context = context;
    this.#onDecided = onDecided;
  }

  start(domain: string): void {
    this.#take(startRoute(domain, this.#context.policy));
    if (this.#state.phase === 'decided') return;
    this.#timer = setTimeout(() => this.#hear({ kind: 'ranOut' }), this.#context.decideWithinMs);
  }

  #hear(input: RouteInput): void {
    this.#take(receive(this.#state, input, this.#context.policy));
  }

  /** A step has one effect at most, so that what is known can be heard inside it. */
  #take(step: RouteStep): void {
    this.#state = step.state;
    for (const effect of step.effects) {
      switch (effect.kind) {
        case 'askExchangers':
          this.#askExchangers(effect.domain);
          break;
        case 'askAddresses':
          this.#askAddresses(effect.names);
          break;
        case 'decide':
          this.#decided(effect.result, effect.ttlMs);
      }
    }
  }

  #askExchangers(domain: string): void {
    const hear = (answer: AnswerOf<'MX'>) => {
      const draws = answer.kind === 'found' ? answer.records.map(() => this.#context.random()) : [];
      this.#hear({ kind: 'exchangers', answer, draws });
    };
    this.#askAll([{ name: domain, type: 'MX', hear }]);
  }

  #askAddresses(names: readonly string[]): void {
    const questions = names.flatMap((name) =>
      ADDRESS_TYPES.map((type) => ({
        name,
        type,
        hear: (answer: AnswerOf<typeof type>) => this.#hear({ kind: 'addresses', name, type, answer }),
      })),
    );
    this.#askAll(questions);
  }

  /** Hears what is known at once; the rest waits for a place, and keeps it until the decision. */
  #askAll<T extends RecordType>(
    questions: readonly { name: string; type: T; hear: (answer: AnswerOf<T>) => void }[],
  ): void {
    const open = questions.filter(({ name, type, hear }) => {
      const answer = this.#context.dns.known<T>(name, type);
      if (answer === undefined) return true;
      this.#cacheHits += 1;
      hear(answer);
      return false;
    });
    if (open.length === 0) return;
    const ask = () => {
      this.#questions += open.length;
      for (const { name, type, hear } of open) void this.#context.dns.ask<T>(name, type).then(hear);
    };
    if (this.#place === undefined) this.#place = this.#context.turnstile.enter(ask);
    else ask();
  }

  #decided(result: RouteResult, ttlMs: number): void {
    clearTimeout(this.#timer);
    this.#place?.leave();
    this.#onDecided({ result, ttlMs, questions: this.#questions, cacheHits: this.#cacheHits });
  }
}
