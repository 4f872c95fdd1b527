// The connection of one service instance to NATS: publish, subscribe, ask.
// Answers come to one inbox of our own and are matched by number: no promise, timer or header object per question.
//
// Fails: what is published while disconnected is lost (`connected` tells); questions that were open when the connection
// was lost are answered `timeout` at once, since their answers cannot arrive any more. What is larger than the server takes is not
// sent: `false`, or `too-big`; who watches (`onOversized`) hears of each.
import { randomBytes } from 'node:crypto';
import {
  errors,
  type Msg,
  type NatsConnection,
  headers as newHeaders,
  type PublishOptions,
  type Subscription,
} from '@nats-io/nats-core';
import { type DialOptions, dial } from './dial.ts';
import { Followers } from './followers.ts';
import { type Incoming, type IncomingRecord, NatsRecord } from './incoming.ts';
import { headerOctets } from './payload.ts';

export type { Incoming, IncomingRecord } from './incoming.ts';

export interface LinkSubscription {
  /** Hears nothing more from now on, not even what is on its way. */
  unsubscribe(): void;
  /** Takes nothing new; resolves when what was on its way has been heard, within seconds. */
  drain(): Promise<void>;
}

/** No answer: nobody listens (or can: the subject is none), none came in time, or the question is larger than the server takes. */
export type NoAnswer = { kind: 'nobody' } | { kind: 'timeout' } | { kind: 'too-big' };
export type Answer = { kind: 'answer'; data: Uint8Array } | NoAnswer;
export type RecordAnswer = { kind: 'answer'; record: IncomingRecord } | NoAnswer;

/** A message that was not sent, since the server does not take so much. */
export interface OversizedMessage {
  /** What its subject begins with: "outcome", "spool". */
  kind: string;
  octets: number;
  payloadMax: number;
}

export interface Question {
  subject: string;
  payload: Uint8Array;
  headers?: Readonly<Record<string, string>>;
  timeoutMs: number;
}

interface Open {
  deadlineMs: number;
  onAnswer: (answer: RecordAnswer) => void;
}

/** No payload. */
export const NO_PAYLOAD = new Uint8Array(0);
const SWEEP_MS = 100;
const NO_RESPONDERS = 503;
const SAME_WORDS_AFTER_MS = 10_000;
const SAID_MAX = 1000;
const SUBJECT_SHOWN_MAX = 60;

export class Link {
  /** Those that this process has of streams, and cannot read. */
  readonly followers: Followers;
  /** "<service>-<random>": unique for all time. */
  readonly instance: string;
  /** Subjects that start with this and a dot are ours alone: "_INBOX.<service>.<instance>". */
  readonly inbox: string;
  readonly #connection: NatsConnection;
  readonly #answers: string;
  readonly #open = new Map<number, Open>();
  readonly #onReconnected = new Set<() => void>();
  #onOversized: (message: OversizedMessage) => void = () => {};
  readonly #sweeper: NodeJS.Timeout;
  readonly #onStatus: (status: string) => void;
  readonly #saidAtMs = new Map<string, number>();
  #connected = true;
  #questions = 0;

  constructor(
    connection: NatsConnection,
    options: { instance: string; inbox: string; onStatus: (status: string) => void },
  ) {
    this.#connection = connection;
    this.instance = options.instance;
    this.inbox = options.inbox;
    this.#onStatus = options.onStatus;
    this.followers = new Followers({ now: () => performance.now(), say: (words) => this.#sayOnce(words) });
    this.#answers = `${this.inbox}.answer`;
    connection.subscribe(`${this.#answers}.*`, {
      callback: (_error, message) => loudly(() => this.#answered(message)),
    });
    this.#sweeper = setInterval(() => this.#sweep(performance.now()), SWEEP_MS);
    void this.#watch();
  }

  get connected(): boolean {
    return this.#connected;
  }

  /** Largest payload that the server takes, headers included, octets. Another server of the cluster may take more or less. */
  get payloadMax(): number {
    return this.#connection.info?.max_payload ?? 1_048_576;
  }

  /** JetStream API level of the server: what it can do; 0 when it does not say. */
  get apiLevel(): number {
    return this.#connection.info?.api_lvl ?? 0;
  }

  /**
   * Sends a message; it is in the socket by the next event-loop turn, or lost when disconnected. False when it cannot be sent: it is
   * larger than the server takes, its subject is none, or the link is closed.
   */
  publish(subject: string, payload: Uint8Array): boolean {
    if (this.#connection.isClosed() || !this.#fits(subject, payload.length)) return false;
    return this.#send(subject, payload);
  }

  subscribe(
    subject: string,
    onMessage: (message: Incoming) => void,
    options: { workerGroup?: string } = {},
  ): LinkSubscription {
    const { workerGroup } = options;
    const subscription = this.#connection.subscribe(subject, {
      ...(workerGroup !== undefined && { queue: workerGroup }),
      callback: (error, message) => {
        if (error !== null) return;
        const { subject, data, reply = '' } = message;
        loudly(() => onMessage({ subject, data, reply }));
      },
    });
    return this.#handleOf(subscription);
  }

  /** Like subscribe, for what JetStream pushes. */
  subscribeRecords(subject: string, onRecord: (record: IncomingRecord) => void): LinkSubscription {
    const subscription = this.#connection.subscribe(subject, {
      callback: (error, message) => {
        if (error === null) loudly(() => onRecord(new NatsRecord(message)));
      },
    });
    return this.#handleOf(subscription);
  }

  /** Asks, and hears the one answer in a callback: for the hot path. */
  ask(question: Question, onAnswer: (answer: RecordAnswer) => void): void {
    if (!this.#connected || this.#connection.isClosed()) {
      onAnswer({ kind: 'timeout' });
      return;
    }
    const { headers } = question;
    if (!this.#fits(question.subject, octetsOf(question.payload, headers))) {
      onAnswer({ kind: 'too-big' });
      return;
    }
    const number = ++this.#questions;
    this.#open.set(number, { deadlineMs: performance.now() + question.timeoutMs, onAnswer });
    const reply = `${this.#answers}.${number.toString(36)}`;
    const options = headers === undefined ? { reply } : { reply, headers: headersOf(headers) };
    if (this.#send(question.subject, question.payload, options)) return;
    this.#open.delete(number);
    onAnswer({ kind: 'nobody' });
  }

  /** Publishes with headers, without an answer; false as of `publish`. */
  publishRecord(subject: string, payload: Uint8Array, headers: Readonly<Record<string, string>>): boolean {
    const octets = octetsOf(payload, headers);
    if (this.#connection.isClosed() || !this.#fits(subject, octets)) return false;
    return this.#send(subject, payload, { headers: headersOf(headers) });
  }

  /** Like ask, as a promise. */
  askRecord(question: Question): Promise<RecordAnswer> {
    return new Promise((resolve) => this.ask(question, resolve));
  }

  /** Asks whoever listens; `nobody` is known at once. */
  async request(subject: string, payload: Uint8Array, timeoutMs: number): Promise<Answer> {
    const answer = await this.askRecord({ subject, payload, timeoutMs });
    return answer.kind === 'answer' ? { kind: 'answer', data: answer.record.data } : answer;
  }

  /** Asks everybody who listens and returns the answers: all `expected` ones, or those that came in time. */
  async scatter(
    subject: string,
    payload: Uint8Array,
    options: { expected: number; timeoutMs: number },
  ): Promise<Uint8Array[]> {
    const answers: Uint8Array[] = [];
    const hear = (data: Uint8Array) => answers.push(data) >= options.expected;
    await this.scatterUntil({ subject, payload, timeoutMs: options.timeoutMs }, hear);
    return answers;
  }

  /** Asks everybody who listens; resolves when `hear` returns true for an answer, or it is too late for another one. */
  scatterUntil(question: Question, hear: (data: Uint8Array) => boolean): Promise<void> {
    return new Promise((resolve) => {
      const { subject, payload } = question;
      const number = ++this.#questions;
      const finish = () => {
        this.#open.delete(number);
        resolve();
      };
      const onAnswer = (answer: RecordAnswer) => {
        if (answer.kind !== 'answer') return finish();
        this.#open.set(number, open);
        if (hear(answer.record.data)) finish();
      };
      const open: Open = { deadlineMs: performance.now() + question.timeoutMs, onAnswer };
      if (!this.#connected || this.#connection.isClosed()) return finish();
      if (!this.#fits(subject, payload.length)) return finish();
      this.#open.set(number, open);
      this.#send(subject, payload, { reply: `${this.#answers}.${number.toString(36)}` });
    });
  }

  /**
   * `hear` is called whenever the connection is back; subscriptions are there again by then. What is returned ends it:
   * until then the link keeps `hear` and all that it refers to.
   */
  onReconnected(hear: () => void): () => void {
    this.#onReconnected.add(hear);
    return () => this.#onReconnected.delete(hear);
  }

  /** `hear` is called for each message that was not sent because of its size; one at a time may watch. */
  onOversized(hear: (message: OversizedMessage) => void): void {
    this.#onOversized = hear;
  }

  /** Resolves when the server has everything that was published; at once when disconnected. */
  async flush(): Promise<void> {
    if (!this.#connected || this.#connection.isClosed()) return;
    await withPatience(this.#connection.flush());
  }

  /**
   * True when the server has handled all that was published before: who subscribes has it from now on. All that the server
   * had for us until then has been heard by then. False when the connection was lost first.
   */
  async confirm(): Promise<boolean> {
    if (!this.#connected || this.#connection.isClosed()) return false;
    return this.#connection.flush().then(
      () => this.#connected,
      () => false,
    );
  }

  async close(): Promise<void> {
    clearInterval(this.#sweeper);
    await this.flush();
    await this.#connection.close();
  }

  #handleOf(subscription: Subscription): LinkSubscription {
    const isOver = () => this.#connection.isClosed() || subscription.isClosed();
    return {
      unsubscribe: () => {
        if (!isOver()) subscription.unsubscribe();
      },
      drain: async () => {
        if (isOver()) return;
        if (this.#connected) await withPatience(subscription.drain());
        else subscription.unsubscribe();
      },
    };
  }

  /** False for a subject that is none: it was made of words that somebody sent, and ends nothing but itself. */
  #send(subject: string, payload: Uint8Array, options?: PublishOptions): boolean {
    try {
      this.#connection.publish(subject, payload, options);
      return true;
    } catch (error) {
      if (!(error instanceof errors.InvalidSubjectError)) throw error;
      this.#sayOnce(`error: nothing can be sent to ${JSON.stringify(subject.slice(0, SUBJECT_SHOWN_MAX))}`);
      return false;
    }
  }

  #fits(subject: string, octets: number): boolean {
    const { payloadMax } = this;
    if (octets <= payloadMax) return true;
    this.#onOversized({ kind: subject.split('.', 1)[0]!, octets, payloadMax });
    return false;
  }

  #answered(message: Msg): void {
    const number = Number.parseInt(message.subject.slice(this.#answers.length + 1), 36);
    const open = this.#open.get(number);
    if (open === undefined) return;
    this.#open.delete(number);
    const record = new NatsRecord(message);
    if (message.data.length === 0 && record.status === NO_RESPONDERS) open.onAnswer({ kind: 'nobody' });
    else open.onAnswer({ kind: 'answer', record });
  }

  #sweep(nowMs: number): void {
    for (const [number, open] of this.#open) {
      if (open.deadlineMs > nowMs) continue;
      this.#open.delete(number);
      open.onAnswer({ kind: 'timeout' });
    }
  }

  async #watch(): Promise<void> {
    for await (const status of this.#connection.status()) {
      if (status.type === 'error') this.#sayOnce(`error: ${status.error.message}`);
      if (status.type !== 'disconnect' && status.type !== 'reconnect') continue;
      if (status.type === 'disconnect') this.#lost();
      else this.#back();
      this.#onStatus(`${status.type} ${status.server}`);
    }
    this.#lost();
  }

  /** The same words at most every ten seconds: a refusal comes again with every try. */
  #sayOnce(words: string): void {
    const nowMs = performance.now();
    if (nowMs - (this.#saidAtMs.get(words) ?? Number.NEGATIVE_INFINITY) < SAME_WORDS_AFTER_MS) return;
    if (this.#saidAtMs.size >= SAID_MAX) this.#saidAtMs.clear();
    this.#saidAtMs.set(words, nowMs);
    this.#onStatus(words);
  }

  #lost(): void {
    this.#connected = false;
    this.#sweep(Number.POSITIVE_INFINITY);
  }

  #back(): void {
    this.#connected = true;
    for (const hear of [...this.#onReconnected]) hear();
  }
}

/** Settles when `work` did, or after 2 s; never throws. */
async function withPatience(work: Promise<void>): Promise<void> {
  const patience = new Promise<void>((done) => setTimeout(done, 2000).unref());
  await Promise.race([work.catch(() => {}), patience]);
}

function octetsOf(payload: Uint8Array, headers: Readonly<Record<string, string>> | undefined): number {
  return payload.length + (headers === undefined ? 0 : headerOctets(headers));
}

function headersOf(record: Readonly<Record<string, string>>) {
  const headers = newHeaders();
  for (const name of Object.keys(record)) headers.set(name, record[name]!);
  return headers;
}

/** What a listener throws is a bug and must end the process; the client library would swallow it and reconnect. */
function loudly(hear: () => void): void {
  try {
    hear();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}

export interface LinkOptions extends DialOptions {
  /** First part of the instance's name and of its inboxes. */
  service: string;
  onStatus?: (status: string) => void;
}

/** A link to one of the servers, tried for 30 s; afterwards it reconnects for ever, to any of them. Throws LinkError. */
export async function connectLink(options: LinkOptions): Promise<Link> {
  const { service, onStatus = () => {} } = options;
  const instance = `${service}-${randomBytes(6).toString('hex')}`;
  const inbox = `_INBOX.${service}.${instance}`;
  const naming = { name: instance, inboxPrefix: `${inbox}.mux` };
  const connection = await dial(options, naming, onStatus);
  return new Link(connection, { instance, inbox, onStatus });
}
