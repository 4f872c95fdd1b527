// Counts what is stored of partitions whose mail no owner counts: nobody holds them and this instance is next for them, or it is
// loading them. Otherwise a backlog would look like no mail at all just when nobody works on it.
//
// Fails: while JetStream does not answer, what was counted last stays; what was never counted is 0.
import { randomBytes } from 'node:crypto';
import { callApi } from '#libs/nats/api.ts';
import { type Layout, spoolStream, subjects } from '#libs/nats/layout.ts';
import type { Link } from '#libs/nats/link.ts';

/** How often the records of one partition are counted. */
const COUNT_AGAIN_MS = 10_000;
const ANSWER_WAIT_MS = 2000;
/** The server forgets by itself whoever asked, should its removal get lost. */
const FORGOTTEN_AFTER_NS = 5_000_000_000;

export interface UncountedOptions {
  link: Pick<Link, 'request'>;
  layout: Pick<Layout, 'spoolStreams'>;
  /** The partitions that are to be counted here, now. */
  partitions: () => readonly number[];
  /** Monotonic, milliseconds. */
  now: () => number;
}

interface Count {
  records: number;
  atMs: number;
}

export class Uncounted {
  readonly #options: UncountedOptions;
  readonly #counts = new Map<number, Count>();
  #counting = false;

  constructor(options: UncountedOptions) {
    this.#options = options;
  }

  /** Packs, and states of mails: a pack may hold many mails, and some that are settled. */
  get records(): number {
    let records = 0;
    for (const partition of this.#options.partitions()) records += this.#counts.get(partition)?.records ?? 0;
    return records;
  }

  /** Called about once a second. */
  async sweep(): Promise<void> {
    if (this.#counting) return;
    this.#counting = true;
    const { partitions, now } = this.#options;
    const wanted = new Set(partitions());
    for (const partition of this.#counts.keys()) if (!wanted.has(partition)) this.#counts.delete(partition);
    for (const partition of wanted) {
      const known = this.#counts.get(partition);
      if (known !== undefined && now() - known.atMs < COUNT_AGAIN_MS) continue;
      const records = await this.#count(partition);
      if (records !== undefined) this.#counts.set(partition, { records, atMs: now() });
    }
    this.#counting = false;
  }

  async #count(partition: number): Promise<number | undefined> {
    const packs = await this.#pending(
      spoolStream(partition, this.#options.layout),
      subjects.spool(partition),
    );
    const states = await this.#pending('QUEUE', subjects.mail(partition, '*'));
    return packs === undefined || states === undefined ? undefined : packs + states;
  }

  /** A consumer that reads nothing knows how much there is, at the cost of an index; STREAM.INFO would list each mail. */
  async #pending(stream: string, subject: string): Promise<number | undefined> {
    const { link } = this.#options;
    const name = `count-${randomBytes(6).toString('hex')}`;
    const config = {
      name,
      filter_subject: subject,
      deliver_policy: 'all',
      ack_policy: 'none',
      mem_storage: true,
      num_replicas: 1,
      inactive_threshold: FORGOTTEN_AFTER_NS,
    };
    const request = { stream_name: stream, config, action: 'create' };
    const call = `CONSUMER.CREATE.${stream}.${name}.${subject}`;
    const answer = await callApi<{ num_pending: number }>(link, call, request, ANSWER_WAIT_MS);
    if (answer.kind !== 'ok') return undefined;
    void callApi(link, `CONSUMER.DELETE.${stream}.${name}`, undefined, ANSWER_WAIT_MS);
    return answer.value.num_pending;
  }
}
