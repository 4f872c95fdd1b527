// Answers that are kept as long as DNS allows, in bounded number: when it is full, the one that was not used for the
// longest time goes. Trouble is kept for a second, so that a burst of mail for one name asks once. No I/O, no clock.
import type { DnsAnswer, RecordOf, RecordType } from './answer.ts';

const TROUBLE_KEPT_MS = 1000;

export interface CacheLimits {
  entriesMax: number;
  ttlMaxMs: number;
  /** Longest life of nodata and nxdomain (RFC 2308 §5). */
  negativeTtlMaxMs: number;
}

type AnyAnswer = DnsAnswer<RecordOf[RecordType]>;

interface Kept {
  answer: AnyAnswer;
  untilMs: number;
}

export class AnswerCache {
  readonly #limits: CacheLimits;
  /** In order of use, the oldest first. */
  readonly #kept = new Map<string, Kept>();

  constructor(limits: CacheLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#kept.size;
  }

  /** The answer with the rest of its life; undefined when it is not known or over. */
  get<T extends RecordType>(name: string, type: T, nowMs: number): DnsAnswer<RecordOf[T]> | undefined {
    const key = keyOf(name, type);
    const kept = this.#kept.get(key);
    if (kept === undefined) return undefined;
    this.#kept.delete(key);
    if (kept.untilMs <= nowMs) return undefined;
    this.#kept.set(key, kept);
    const { answer } = kept;
    const rest = answer.kind === 'trouble' ? answer : { ...answer, ttlMs: kept.untilMs - nowMs };
    // The key holds the type: what was put under it has its records.
    return rest as DnsAnswer<RecordOf[T]>;
  }

  /** Keeps the answer; returns it with its life cut to the limits. */
  put<T extends RecordType>(
    name: string,
    type: T,
    options: { answer: DnsAnswer<RecordOf[T]>; nowMs: number },
  ): DnsAnswer<RecordOf[T]> {
    const answer = this.#limited(options.answer);
    const lifeMs = answer.kind === 'trouble' ? TROUBLE_KEPT_MS : answer.ttlMs;
    const key = keyOf(name, type);
    this.#kept.delete(key);
    if (lifeMs <= 0) return answer;
    if (this.#kept.size >= this.#limits.entriesMax) this.#kept.delete(this.#kept.keys().next().value!);
    this.#kept.set(key, { answer, untilMs: options.nowMs + lifeMs });
    return answer;
  }

  #limited<Record>(answer: DnsAnswer<Record>): DnsAnswer<Record> {
    if (answer.kind === 'trouble') return answer;
    const mostMs = answer.kind === 'found' ? this.#limits.ttlMaxMs : this.#limits.negativeTtlMaxMs;
    return answer.ttlMs <= mostMs ? answer : { ...answer, ttlMs: mostMs };
  }
}

function keyOf(name: string, type: RecordType): string {
  return `${type} ${name}`;
}
