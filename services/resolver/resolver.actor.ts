// A resolver: answers `resolve.route` and `resolve.recipient` from the configuration and DNS. Instances share the
// requests by a worker group, know nothing of each other, and keep nothing that must survive them.
//
// Fails: a request that cannot be read, or that comes on top of too many, is dropped and counted: who asked asks again.
// A stop answers what it can within seconds and drops the rest for the same reason.
import { hostname as machineName } from 'node:os';
import type { Config } from '#libs/config/schema.ts';
import { DnsClient } from '#libs/dns/dns-client.ts';
import { normalName } from '#libs/dns/name.ts';
import { serversFor, serverText } from '#libs/dns/server-address.ts';
import { searchListFor } from '#libs/dns/system-search-list.ts';
import { Turnstile } from '#libs/dns/turnstile.ts';
import { readMessage, type Wire } from '#libs/nats/decoding.ts';
import { subjects } from '#libs/nats/layout.ts';
import type { Incoming, Link, LinkSubscription } from '#libs/nats/link.ts';
import { steadyClock } from '#libs/shell/steady-clock.ts';
import type { Telemetry } from '#libs/telemetry/telemetry.ts';
import {
  RecipientAnswer,
  RecipientRequest,
  type Route,
  RouteAnswer,
  RouteRequest,
} from '#proto/postrider/v1/route.ts';
import { Domains } from './domains.actor.ts';
import { Instruments } from './instruments.ts';
import { verdictOn } from './recipients.ts';
import type { RoutePolicy } from './route.machine.ts';
import { type RouteTable, tableOf } from './route-table.ts';

const WORKER_GROUP = 'resolver';
/** Callers wait 15 s for an answer. */
const DECIDE_WITHIN_MS = 12_000;
/** Domains with questions out, and questions out, at a time. */
const DOMAINS_AT_ONCE = 1000;
const QUESTIONS_AT_ONCE = 1000;
/** Twice as many as a queue asks for. A route has 20 hosts with 8 addresses at most, 12 KB: the answer has room in a message of any server. */
const REQUEST_DOMAINS_MAX = 16;
const STOP_WITHIN_MS = 5000;

export interface ResolverOptions {
  config: Config;
  telemetry: Pick<Telemetry, 'tracing' | 'metrics' | 'logger'>;
  link: Pick<Link, 'subscribe' | 'publish' | 'flush'>;
}

export class Resolver {
  /** DNS servers that are asked, as "address:port". */
  readonly servers: readonly string[];
  readonly #options: ResolverOptions;
  readonly #table: RouteTable;
  readonly #dns: DnsClient;
  readonly #domains: Domains;
  readonly #instruments: Instruments;
  /** Of a clock that nobody sets: what is kept ages by it. */
  readonly #now = steadyClock().now;
  readonly #running = new Set<Promise<void>>();
  #subscriptions: LinkSubscription[] = [];
  #phase: 'open' | 'stopped' = 'open';

  constructor(options: ResolverOptions) {
    this.#options = options;
    const { config, telemetry } = options;
    const servers = serversFor(config.dns.servers);
    this.servers = servers.map(serverText);
    this.#table = tableOf(config);
    this.#instruments = new Instruments(telemetry.tracing, telemetry.metrics);
    this.#dns = new DnsClient({
      servers,
      timeoutMs: config.dns.timeout,
      tries: config.dns.tries,
      cacheEntriesMax: config.dns.cacheEntriesMax,
      ttlMaxMs: config.dns.ttlMax,
      negativeTtlMaxMs: config.dns.negativeTtlMax,
      questionsMax: QUESTIONS_AT_ONCE,
      now: this.#now,
      observer: this.#instruments.dns,
    });
    const turnstile = new Turnstile(DOMAINS_AT_ONCE);
    this.#domains = new Domains({
      dns: this.#dns,
      policy: policyOf(config, this.#table),
      turnstile,
      random: Math.random,
      decideWithinMs: DECIDE_WITHIN_MS,
    });
    this.#instruments.read(telemetry.metrics, {
      cacheEntries: () => this.#dns.cacheEntries,
      questions: () => this.#dns.questions,
      deciding: () => this.#domains.deciding,
      waiting: () => turnstile.waiting,
    });
  }

  start(): void {
    const { link } = this.#options;
    const share = { workerGroup: WORKER_GROUP };
    this.#subscriptions = [
      link.subscribe(subjects.resolveRoute, (message) => this.#onRouteRequest(message), share),
      link.subscribe(subjects.resolveRecipient, (message) => this.#onRecipientRequest(message), share),
    ];
  }

  async stop(): Promise<void> {
    await Promise.all(this.#subscriptions.map((subscription) => subscription.drain()));
    this.#subscriptions = [];
    const running = [...this.#running];
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((done) => {
      timer = setTimeout(done, STOP_WITHIN_MS);
    });
    await Promise.race([Promise.all(running), late]);
    clearTimeout(timer);
    this.#phase = 'stopped';
    this.#dns.close();
    await Promise.all(running);
    await this.#options.link.flush();
  }

  #onRouteRequest(message: Incoming): void {
    const request = this.#read(message, RouteRequest);
    if (request === undefined) return;
    const { domains } = request;
    if (domains.length > REQUEST_DOMAINS_MAX || this.#domains.isFull) {
      this.#instruments.dropped('too-many');
      this.#options.telemetry.logger.warn({ domains: domains.length }, 'too many domains are asked for');
      return;
    }
    const running = this.#decideAll(request, message.reply).then(() => {
      this.#running.delete(running);
    });
    this.#running.add(running);
  }

  async #decideAll(request: RouteRequest, reply: string): Promise<void> {
    const startedAtMs = this.#now();
    const span = this.#instruments.begun(request);
    const { domains } = request;
    const decisions = await Promise.all(domains.map((domain) => this.#domains.decide(domain.toLowerCase())));
    this.#instruments.decided(decisions, { tookMs: this.#now() - startedAtMs, span });
    if (this.#phase === 'stopped') return;
    const routes = decisions.map(({ result, ttlMs }, i): Route => ({ domain: domains[i]!, result, ttlMs }));
    this.#options.link.publish(reply, RouteAnswer.encode({ routes }).finish());
  }

  #onRecipientRequest(message: Incoming): void {
    const request = this.#read(message, RecipientRequest);
    if (request === undefined) return;
    const results = request.forwardPaths.map((path) => verdictOn(path, this.#table));
    this.#instruments.verdicts(results);
    this.#options.link.publish(message.reply, RecipientAnswer.encode({ results }).finish());
  }

  /** The request; undefined when it cannot be read, or when nobody waits for the answer. */
  #read<Request>(message: Incoming, wire: Wire<Request>): Request | undefined {
    const request = readMessage(wire, message.data, message.subject);
    if (request !== undefined && message.reply !== '') return request;
    this.#instruments.dropped('unreadable');
    return undefined;
  }
}

function policyOf(config: Config, table: RouteTable): RoutePolicy {
  return {
    table,
    ownName: normalName(config.hostname ?? machineName()),
    search: searchListFor(config.dns),
    exchangerPort: config.delivery.smtpPort,
    hostsMax: 20,
    addressesMax: 8,
    ttlMinMs: 1000,
    configuredTtlMs: 300_000,
    troubleTtlMs: 10_000,
  };
}
