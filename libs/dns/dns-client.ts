// A stub resolver: asks recursive servers, one after the other when there is trouble, keeps answers as long as DNS
// allows, and asks for a name once however many want to know. Everything it holds is bounded: ports, questions that are
// out, answers that are kept.
//
// Fails: never throws and never waits longer than tries x timeout (twice the last for a long answer) once a question is
// out. What no server could tell is `trouble`.
import { type DnsAnswer, type DnsTrouble, type RecordOf, type RecordType, trouble } from './answer.ts';
import { AnswerCache } from './cache.ts';
import { DnsServerPeer } from './dns-server-peer.ts';
import { isHostName, loopbackOf, normalName } from './name.ts';
import type { ServerAddress } from './server-address.ts';
import { Turnstile } from './turnstile.ts';

export interface DnsClientOptions {
  /** At least one; in the order to be asked. */
  servers: readonly ServerAddress[];
  /** Wait for one server's answer. */
  timeoutMs: number;
  /** How often a question is put, all servers together. */
  tries: number;
  cacheEntriesMax: number;
  ttlMaxMs: number;
  negativeTtlMaxMs: number;
  /** Questions that are out at a time; 1000 when absent. The others wait... */
  questionsMax?: number;
  /** ... so many at most; 50,000 when absent. More are trouble. */
  waitingMax?: number;
  now: () => number;
  observer: DnsObserver;
}

/** What a client tells of its work, to be counted. */
export interface DnsObserver {
  asked(transport: 'udp' | 'tcp'): void;
  stray(): void;
  /** Servers gave their word: the kind of the answer, or the reason of the trouble. */
  answered(kind: string): void;
  cacheHit(): void;
}

const QUESTIONS_MAX = 1000;
const WAITING_MAX = 50_000;
/** Names under "localhost" and what can be no name are as certain as the configuration. */
const CERTAIN_MS = 300_000;

export class DnsClient {
  readonly #options: DnsClientOptions;
  readonly #cache: AnswerCache;
  readonly #turnstile: Turnstile;
  readonly #peers: readonly DnsServerPeer[];
  readonly #flights = new Map<string, Promise<DnsAnswer<RecordOf[RecordType]>>>();
  /** The peer that answered last is asked first. */
  #first = 0;
  #phase: 'open' | 'closed' = 'open';

  constructor(options: DnsClientOptions) {
    this.#options = options;
    const { cacheEntriesMax, ttlMaxMs, negativeTtlMaxMs } = options;
    this.#cache = new AnswerCache({ entriesMax: cacheEntriesMax, ttlMaxMs, negativeTtlMaxMs });
    this.#turnstile = new Turnstile(options.questionsMax ?? QUESTIONS_MAX);
    this.#peers = options.servers.map((server) => new DnsServerPeer(server, options.observer));
  }

  get cacheEntries(): number {
    return this.#cache.size;
  }

  /** Questions that are out, and that wait for their turn. */
  get questions(): number {
    return this.#turnstile.inside + this.#turnstile.waiting;
  }

  /** The answer if it is known without a question. */
  known<T extends RecordType>(name: string, type: T): DnsAnswer<RecordOf[T]> | undefined {
    return this.#known(normalName(name), type);
  }

  /** The answer; those who ask while the question is out get the same one. */
  async ask<T extends RecordType>(name: string, type: T): Promise<DnsAnswer<RecordOf[T]>> {
    const normal = normalName(name);
    const known = this.#known(normal, type);
    if (known !== undefined) return known;
    const key = `${type} ${normal}`;
    const flight = this.#flights.get(key) ?? this.#fly(key, { name: normal, type });
    // The key holds the type.
    return flight as Promise<DnsAnswer<RecordOf[T]>>;
  }

  /** Ends all questions with trouble; there are no more afterwards. */
  close(): void {
    this.#phase = 'closed';
    for (const peer of this.#peers) peer.close();
  }

  #known<T extends RecordType>(name: string, type: T): DnsAnswer<RecordOf[T]> | undefined {
    const loopback = loopbackOf(name, type);
    if (loopback !== undefined) return certain(loopback as RecordOf[T][]);
    if (!isHostName(name)) return { kind: 'nxdomain', ttlMs: CERTAIN_MS };
    const kept = this.#cache.get(name, type, this.#options.now());
    if (kept !== undefined) this.#options.observer.cacheHit();
    return kept;
  }

  #fly<T extends RecordType>(key: string, question: { name: string; type: T }) {
    const flight = this.#askInTurn(question).then((answer) => {
      this.#flights.delete(key);
      this.#options.observer.answered(answer.kind === 'trouble' ? answer.reason : answer.kind);
      return this.#cache.put(question.name, question.type, { answer, nowMs: this.#options.now() });
    });
    this.#flights.set(key, flight);
    return flight;
  }

  async #askInTurn<T extends RecordType>(question: {
    name: string;
    type: T;
  }): Promise<DnsAnswer<RecordOf[T]>> {
    if (this.#turnstile.waiting >= (this.#options.waitingMax ?? WAITING_MAX)) return trouble('busy');
    const place = await this.#turnstile.entered();
    const answer = await this.#askServers(question);
    place.leave();
    return answer;
  }

  /**
   * A server in trouble with the question is not asked it again; one that was silent is, after the others. Only the
   * word of a server that has one ends it early.
   */
  async #askServers<T extends RecordType>(question: {
    name: string;
    type: T;
  }): Promise<DnsAnswer<RecordOf[T]>> {
    const order = this.#peers.map((_, i) => (this.#first + i) % this.#peers.length);
    let last: DnsTrouble = trouble('unreachable');
    for (let tried = 0; tried < this.#options.tries && this.#phase === 'open'; tried++) {
      const next = order.shift();
      if (next === undefined) break;
      const answer = await this.#peers[next]!.ask(question, this.#options.timeoutMs);
      if (answer.kind !== 'trouble') {
        this.#first = next;
        return answer;
      }
      last = answer;
      if (answer.reason === 'timeout') order.push(next);
    }
    return last;
  }
}

function certain<Record>(records: readonly Record[]): DnsAnswer<Record> {
  return records.length > 0
    ? { kind: 'found', records, ttlMs: CERTAIN_MS }
    : { kind: 'nodata', ttlMs: CERTAIN_MS };
}
