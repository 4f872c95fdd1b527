// Reads the records of one subject in order: all that are there, or those that are there and then every new one. A push
// consumer without acknowledgements, kept by nobody: whatever happens to it, a new one goes on behind the last record.
//
// Fails: a gap, silence, a lost consumer or connection costs a new consumer and no record; one that cannot be made is tried again
// for ever, and counts as down meanwhile (followers.ts). `readAll` throws when JetStream
// does not let it finish in time.
import { type ApiAnswer, callApi } from './api.ts';
import { lastRecord, type StoredRecord } from './direct-get.ts';
import { type IncomingRecord, type Link, type LinkSubscription, NO_PAYLOAD } from './link.ts';

export type { StoredRecord } from './direct-get.ts';

export interface ReadQuery {
  stream: string;
  /** May have wildcards. */
  subject: string;
  /** Leaves the data out. */
  headersOnly?: boolean;
  fromSequence?: number;
}

const REMOVE_WAIT_MS = 5000;
const AGAIN_MS = 250;
const CHECK_MS = 500;
/**
 * A consumer is placed on any server of the stream, for half a minute also on one that has just died, and then nobody answers: the
 * next try may be placed better. Each waits longer than the last, for a cluster that is only slow.
 */
const CREATE_WAIT_MS = 1000;
const CREATE_WAIT_MAX_MS = 5000;
const CONTROL = 100;
/** A consumer dies with the server that it is on, while we may be connected to another one: only silence tells. */
const FOLLOWER_HEARTBEAT_MS = 1000;
const READ_ALL_WAIT_MS = 120_000;

/** Idle while records should come: so often means that they went away meanwhile. */
const IDLES_MAX = 5;

/** What reading needs of a link. */
export type ReadingLink = Pick<
  Link,
  'instance' | 'inbox' | 'connected' | 'request' | 'publish' | 'subscribeRecords'
>;

let consumers = 0;

/** `pending`: records that it has to read now. */
type Created = { kind: 'made'; pending: number } | { kind: 'failed'; why: string };

interface StreamInfo {
  /** When it was made. */
  created: string;
  state: { last_seq: number };
}

function whyNot(answer: Exclude<ApiAnswer<unknown>, { kind: 'ok' }>): string {
  if (answer.kind === 'unavailable') return 'JetStream does not answer';
  const { code, err_code: number = code, description = 'refused' } = answer.error;
  return `${description} (${number})`;
}

/** One life of a push consumer; speaks of its records, its idleness and its end. */
class PushConsumer {
  readonly #link: ReadingLink;
  readonly #query: ReadQuery;
  readonly #hear: ConsumerListener;
  readonly #heartbeatMs: number;
  readonly #name: string;
  #subscription: LinkSubscription | undefined;
  #delivered = 0;
  #heardAtMs = 0;

  constructor(link: ReadingLink, query: ReadQuery, heartbeatMs: number, hear: ConsumerListener) {
    this.#link = link;
    this.#query = query;
    this.#hear = hear;
    this.#heartbeatMs = heartbeatMs;
    this.#name = `${link.instance}-${++consumers}`;
  }

  /** `tries`: those before this one. */
  async create(fromSequence: number, tries: number): Promise<Created> {
    const { stream, subject, headersOnly } = this.#query;
    const deliverSubject = `${this.#link.inbox}.read.${this.#name}`;
    this.#heardAtMs = performance.now();
    this.#subscription = this.#link.subscribeRecords(deliverSubject, (record) => this.#take(record));
    const config = {
      name: this.#name,
      deliver_subject: deliverSubject,
      deliver_policy: 'by_start_sequence',
      opt_start_seq: Math.max(1, fromSequence),
      ack_policy: 'none',
      replay_policy: 'instant',
      filter_subject: subject,
      headers_only: headersOnly === true,
      flow_control: true,
      idle_heartbeat: this.#heartbeatMs * 1_000_000,
      inactive_threshold: 30_000_000_000,
      max_deliver: 1,
      mem_storage: true,
      num_replicas: 1,
    };
    const call = `CONSUMER.CREATE.${stream}.${this.#name}.${subject}`;
    const request = { stream_name: stream, config, action: 'create' };
    const waitMs = Math.min(CREATE_WAIT_MAX_MS, CREATE_WAIT_MS * (1 + tries / 2));
    const answer = await callApi<{ num_pending: number }>(this.#link, call, request, waitMs);
    if (answer.kind === 'ok') return { kind: 'made', pending: answer.value.num_pending };
    this.forget();
    return { kind: 'failed', why: whyNot(answer) };
  }

  /** True when it has been silent for longer than heartbeats allow. */
  isSilent(nowMs: number): boolean {
    return nowMs - this.#heardAtMs > 3 * this.#heartbeatMs + 2000;
  }

  /** Stops listening. */
  forget(): void {
    this.#subscription?.unsubscribe();
    this.#subscription = undefined;
  }

  /** Stops listening and removes the consumer, best effort. */
  remove(): void {
    this.forget();
    void callApi(
      this.#link,
      `CONSUMER.DELETE.${this.#query.stream}.${this.#name}`,
      undefined,
      REMOVE_WAIT_MS,
    );
  }

  #take(record: IncomingRecord): void {
    if (this.#subscription === undefined) return;
    this.#heardAtMs = performance.now();
    // Where a record stands tells it from a word of the server, without a look at its headers.
    const place = placeOf(record.reply);
    if (place === undefined && record.status === CONTROL) {
      this.#control(record);
      return;
    }
    if (place === undefined || place.delivered !== this.#delivered + 1) {
      this.#hear.onBroken();
      return;
    }
    this.#delivered = place.delivered;
    this.#hear.onRecord(storedRecordOf(record, place), place.pending);
  }

  #control(record: IncomingRecord): void {
    const stalled = record.header('Nats-Consumer-Stalled');
    if (record.reply !== '') this.#link.publish(record.reply, NO_PAYLOAD);
    else if (stalled !== undefined) this.#link.publish(stalled, NO_PAYLOAD);
    const sent = record.header('Nats-Last-Consumer');
    if (sent === undefined) return;
    if (Number(sent) !== this.#delivered) this.#hear.onBroken();
    else this.#hear.onIdle();
  }
}

interface ConsumerListener {
  /** `pending`: records that follow it now. */
  onRecord(record: StoredRecord, pending: number): void;
  /** Nothing came for a while: because there is nothing, or because the server has no time. */
  onIdle(): void;
  /** Records were lost between it and us. */
  onBroken(): void;
}

interface Place {
  sequence: number;
  delivered: number;
  /** By the server's clock, milliseconds since 1970. */
  storedAtMs: number;
  pending: number;
}

/** "$JS.ACK.<stream>.<consumer>.<tries>.<stream seq>.<consumer seq>.<time>.<pending>", or with domain and account. */
function placeOf(reply: string): Place | undefined {
  const tokens = reply.split('.');
  const at = tokens.length === 9 ? 5 : 7;
  if (tokens.length < 9) return undefined;
  return {
    sequence: Number(tokens[at]),
    delivered: Number(tokens[at + 1]),
    storedAtMs: Math.floor(Number(tokens[at + 2]) / 1_000_000),
    pending: Number(tokens[at + 3]),
  };
}

function storedRecordOf(record: IncomingRecord, { sequence, storedAtMs }: Place): StoredRecord {
  return {
    sequence,
    storedAtMs,
    subject: record.subject,
    data: record.data,
    header: (name) => record.header(name),
  };
}

/**
 * Hears every record from `fromSequence` on, until it is stopped. A stream that ends before what was heard of it began anew: then all
 * that it has is heard, or `onAnew` is called instead, once.
 */
export class Follower {
  readonly #link: Link;
  readonly #query: ReadQuery;
  readonly #onRecord: (record: StoredRecord) => void;
  readonly #onAnew: (() => void) | undefined;
  #streamMade: string | undefined;
  #next: number;
  #consumer: PushConsumer | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** That failed in a row. */
  #tries = 0;
  #state: 'idle' | 'making' | 'reading' | 'stopped' = 'idle';
  readonly #stopHearing: () => void;

  constructor(link: Link, query: ReadQuery, onRecord: (record: StoredRecord) => void, onAnew?: () => void) {
    this.#link = link;
    this.#query = query;
    this.#onRecord = onRecord;
    this.#onAnew = onAnew;
    this.#next = query.fromSequence ?? 1;
    this.#stopHearing = link.onReconnected(() => this.#again());
  }

  /** Resolves when the first try to read is made; later ones follow by themselves. One that was stopped reads nothing. */
  async start(): Promise<void> {
    // Its owner may have been given up while it opened.
    if (this.#now() === 'stopped') return;
    this.#timer = setInterval(() => this.#check(), CHECK_MS);
    await this.#make();
  }

  async stop(): Promise<void> {
    this.#state = 'stopped';
    this.#link.followers.well(this);
    this.#stopHearing();
    clearInterval(this.#timer);
    this.#consumer?.remove();
    this.#consumer = undefined;
  }

  #check(): void {
    const silent = this.#state === 'reading' && this.#consumer!.isSilent(performance.now());
    if (this.#link.connected && (silent || this.#state === 'idle')) this.#again();
  }

  #again(): void {
    if (this.#state === 'stopped' || this.#state === 'making') return;
    this.#consumer?.remove();
    this.#consumer = undefined;
    this.#state = 'idle';
    void this.#make();
  }

  async #make(): Promise<void> {
    this.#state = 'making';
    const isAnew = await this.#isAnew();
    if (this.#now() === 'stopped') return;
    if (isAnew && this.#onAnew !== undefined) {
      void this.stop();
      this.#onAnew();
      return;
    }
    if (isAnew) this.#next = 1;
    const consumer = new PushConsumer(this.#link, this.#query, FOLLOWER_HEARTBEAT_MS, {
      onRecord: (record) => {
        // On a copy that lags behind, a consumer starts before what it was asked for.
        if (record.sequence < this.#next) return;
        this.#next = record.sequence + 1;
        this.#onRecord(record);
      },
      onIdle: () => {},
      onBroken: () => setImmediate(() => this.#consumer === consumer && this.#again()),
    });
    this.#consumer = consumer;
    const created = await consumer.create(this.#next, this.#tries);
    if (this.#now() === 'stopped') {
      consumer.remove();
      return;
    }
    if (created.kind === 'made') this.#link.followers.well(this);
    else this.#link.followers.failed(this, `${this.#query.subject} of ${this.#query.stream}`, created.why);
    this.#tries = created.kind === 'made' ? 0 : this.#tries + 1;
    this.#state = created.kind === 'made' ? 'reading' : 'idle';
  }

  /** A consumer would wait in silence for the number that comes next. A copy may lag behind; the leader, which is asked, does not. */
  async #isAnew(): Promise<boolean> {
    const call = `STREAM.INFO.${this.#query.stream}`;
    const info = await callApi<StreamInfo>(this.#link, call, undefined, CREATE_WAIT_MS);
    if (info.kind !== 'ok') return false;
    const { created, state } = info.value;
    const before = this.#streamMade;
    this.#streamMade = created;
    return (before !== undefined && before !== created) || state.last_seq + 1 < this.#next;
  }

  /** As a call: the state may have changed while we waited. */
  #now() {
    return this.#state;
  }
}

/**
 * Hears every record that is there now, in order. Throws when that takes longer than two minutes. A consumer may be on a server
 * whose copy lags behind, and then has nothing left too early: the leader knows the last record, and only with that it is all.
 */
export async function readAll(
  link: ReadingLink,
  query: ReadQuery,
  onRecord: (record: StoredRecord) => void,
): Promise<void> {
  const untilMs = performance.now() + READ_ALL_WAIT_MS;
  let next = query.fromSequence ?? 1;
  for (let tries = 0; performance.now() < untilMs; tries++) {
    const last = await lastAtLeader(link, query);
    const part = { ...query, fromSequence: next };
    const end =
      last === undefined
        ? 'broken'
        : await readOnce(link, part, { untilMs, tries }, (record) => {
            if (record.sequence < next) return;
            next = record.sequence + 1;
            onRecord(record);
          });
    if (end === 'done' && next > last!) return;
    await new Promise((done) => setTimeout(done, AGAIN_MS));
  }
  throw new Error(`cannot read ${query.subject} of ${query.stream}: JetStream does not answer`);
}

/** Sequence of the last record; 0 when there is none, undefined when the leader does not answer. */
async function lastAtLeader(link: ReadingLink, { stream, subject }: ReadQuery): Promise<number | undefined> {
  const last = await lastRecord(link, stream, subject);
  if (last.kind === 'found') return last.record.sequence;
  return last.kind === 'missing' ? 0 : undefined;
}

/** Done when the consumer has nothing left, by number: a busy server is idle while records wait. */
function readOnce(
  link: ReadingLink,
  query: ReadQuery & { fromSequence: number },
  { untilMs, tries }: { untilMs: number; tries: number },
  onRecord: (record: StoredRecord) => void,
): Promise<'done' | 'broken'> {
  return new Promise((resolve) => {
    const end = (how: 'done' | 'broken') => {
      clearInterval(timer);
      consumer.remove();
      resolve(how);
    };
    let left: number | undefined;
    let idles = 0;
    const consumer = new PushConsumer(link, query, 1000, {
      onRecord: (record, pending) => {
        left = pending;
        idles = 0;
        onRecord(record);
        if (pending === 0) end('done');
      },
      onIdle: () => {
        idles += 1;
        if (left === 0) end('done');
        else if (idles >= IDLES_MAX) end('broken');
      },
      onBroken: () => end('broken'),
    });
    const timer = setInterval(() => {
      if (consumer.isSilent(performance.now()) || !link.connected || performance.now() > untilMs)
        end('broken');
    }, AGAIN_MS);
    void consumer.create(query.fromSequence, tries).then((created) => {
      if (created.kind === 'failed') end('broken');
      else if (created.pending === 0) end('done');
      else left ??= created.pending;
    });
  });
}
