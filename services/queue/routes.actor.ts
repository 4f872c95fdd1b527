// Asks the resolver for routes, once per domain however many mails wait for it, and keeps the answers as long as the
// resolver allows. Questions are gathered over one event-loop turn.
//
// Fails: no resolver, no answer or nonsense is not an answer: the question is asked again every second, and the mails
// wait.
import { readMessage } from '#libs/nats/decoding.ts';
import { subjects } from '#libs/nats/layout.ts';
import type { Link } from '#libs/nats/link.ts';
import { TurnBatch } from '#libs/shell/turn-batch.ts';
import type { TraceContext } from '#proto/postrider/v1/mail.ts';
import { type Route, RouteAnswer, RouteRequest } from '#proto/postrider/v1/route.ts';
import type { RouteResult } from './message.machine.ts';

const ANSWER_WAIT_MS = 15_000;
const ASK_AGAIN_MS = 1000;
/** An answer comes when the slowest of its domains is known: few share one. */
const DOMAINS_PER_REQUEST = 8;
const CACHE_MAX = 100_000;
const WAITERS_PER_TURN = 5000;
/** Shortest time that an answer is kept: a resolver that forbids it must not be asked once per mail. */
const KEPT_MS_MIN = 1000;
/** `dns.ttlMax` can be no longer: what is to be kept for longer was not said by a resolver. */
const KEPT_MS_MAX = 7 * 86_400_000;

interface Cached {
  result: RouteResult;
  untilMs: number;
}

type Waiter = (domain: string, result: RouteResult) => void;

/** The mail that asks: what the resolver's span hangs on and is found by. */
export interface Asker {
  trace: TraceContext | undefined;
  queueId: string;
}

interface Question {
  domain: string;
  asker: Asker;
}

const NO_ROUTE: RouteResult = {
  kind: 'deferred',
  reply: { code: 451, enhanced: '4.4.3', text: 'the resolver gave no usable answer', host: '' },
};

function resultOf(route: Route): RouteResult {
  switch (route.result?.$case) {
    case 'site':
      return { kind: 'site', site: route.result.value };
    case 'failed':
      return { kind: 'failed', reply: route.result.value };
    case 'deferred':
      return { kind: 'deferred', reply: route.result.value };
    default:
      return NO_ROUTE;
  }
}

export class Routes {
  readonly #link: Pick<Link, 'request'>;
  readonly #now: () => number;
  readonly #cache = new Map<string, Cached>();
  readonly #waiting = new Map<string, Waiter[]>();
  readonly #questions: TurnBatch<Question>;
  #stopped = false;

  constructor(link: Pick<Link, 'request'>, now: () => number) {
    this.#link = link;
    this.#now = now;
    this.#questions = new TurnBatch((questions) => this.#askAll(questions));
  }

  /** The route if it is known now; otherwise `onRoute` hears it later. */
  lookUp(domain: string, asker: Asker, onRoute: Waiter): RouteResult | undefined {
    const cached = this.#cache.get(domain);
    if (cached !== undefined && cached.untilMs > this.#now()) return cached.result;
    const waiters = this.#waiting.get(domain);
    if (waiters !== undefined) waiters.push(onRoute);
    else {
      this.#waiting.set(domain, [onRoute]);
      this.#questions.add({ domain, asker });
    }
    return undefined;
  }

  /** True while the resolver is to answer for this domain. */
  awaits(domain: string): boolean {
    return this.#waiting.has(domain);
  }

  stop(): void {
    this.#stopped = true;
    this.#waiting.clear();
  }

  #askAll(questions: Question[]): void {
    for (let from = 0; from < questions.length; from += DOMAINS_PER_REQUEST) {
      void this.#ask(questions.slice(from, from + DOMAINS_PER_REQUEST));
    }
  }

  async #ask(questions: Question[]): Promise<void> {
    const traced = questions.find(({ asker }) => asker.trace !== undefined)?.asker;
    const request = RouteRequest.encode({
      domains: questions.map((question) => question.domain),
      trace: traced?.trace,
      queueId: traced?.queueId,
    }).finish();
    const answer = await this.#link.request(subjects.resolveRoute, request, ANSWER_WAIT_MS);
    if (this.#stopped) return;
    const read =
      answer.kind === 'answer' ? readMessage(RouteAnswer, answer.data, subjects.resolveRoute) : undefined;
    if (read === undefined) {
      setTimeout(() => void this.#ask(questions), ASK_AGAIN_MS).unref();
      return;
    }
    const byDomain = new Map(read.routes.map((route) => [route.domain, route]));
    for (const { domain } of questions) this.#answered(domain, byDomain.get(domain));
  }

  #answered(domain: string, route: Route | undefined): void {
    const result = route === undefined ? NO_ROUTE : resultOf(route);
    if (this.#cache.size >= CACHE_MAX) this.#cache.delete(this.#cache.keys().next().value!);
    this.#cache.delete(domain);
    this.#cache.set(domain, { result, untilMs: this.#now() + keptMsOf(route) });
    const waiters = this.#waiting.get(domain) ?? [];
    this.#waiting.delete(domain);
    this.#tell(waiters, domain, result);
  }

  /** After a restart 100,000 mails may wait for one domain: they are told over several turns. */
  #tell(waiters: readonly Waiter[], domain: string, result: RouteResult): void {
    for (const waiter of waiters.slice(0, WAITERS_PER_TURN)) waiter(domain, result);
    if (waiters.length <= WAITERS_PER_TURN) return;
    setImmediate(() => this.#tell(waiters.slice(WAITERS_PER_TURN), domain, result));
  }
}

function keptMsOf(route: Route | undefined): number {
  return Math.min(KEPT_MS_MAX, Math.max(KEPT_MS_MIN, route?.ttlMs ?? 0));
}
