// A mail system for tests that speaks SMTP or LMTP on loopback and behaves as the local part of each recipient says
// (sink-script.ts). It remembers what it took, how often, and over how many connections at once.
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { MailBehaviour } from './sink-script.ts';
import { SinkSession } from './sink-session.ts';

export interface SinkOptions {
  protocol?: 'smtp' | 'lmtp';
  address?: string;
  /** 0, the default, lets the system choose. */
  port?: number;
  unixPath?: string;
  /** broken offers STARTTLS and then says nonsense. */
  tls?: 'off' | 'on' | 'broken';
  pipelining?: 'on' | 'off';
  /** ehlo-refused knows only HELO. */
  extensions?: 'ehlo' | 'ehlo-refused';
  /** keep: whole mails; count: only how often each queue id came. */
  memory?: 'keep' | 'count';
}

/** A mail that was answered with 250, or dropped after its dot. */
export interface SinkMail {
  reversePath: string;
  /** Recipients that were accepted. */
  forwardPaths: string[];
  /** Unstuffed; empty when mails are only counted. */
  data: Buffer;
  /** From the "id" of a Received field, or of X-Queue-Id; '' when there is none. */
  queueId: string;
  /** Number of the connection, from 1. */
  connection: number;
  tls: string;
  parameters: string;
}

export class SmtpSink {
  readonly options: Required<Omit<SinkOptions, 'unixPath'>> & { unixPath: string };
  readonly mails: SinkMail[] = [];
  /** How often each queue id was taken. */
  readonly timesTaken = new Map<string, number>();
  readonly behaviour: MailBehaviour = {
    greeting: '220',
    delayMs: 0,
    slowMs: 1000,
    connectionsMax: Number.POSITIVE_INFINITY,
  };
  /** Recipients that were seen before, for "-then-" and greylisting. */
  readonly seen = new Map<string, number>();
  /** All that clients said, a line per command. */
  readonly commands: string[] = [];
  taken = 0;
  connectionsNow = 0;
  connectionsMost = 0;
  connectionsTotal = 0;
  readonly #sockets = new Set<Socket>();
  /** Sessions that are not greeted yet; undefined when nobody is held. */
  #held: SinkSession[] | undefined;
  #server: Server | undefined;
  #port = 0;
  #waiters: { count: number; done: () => void }[] = [];

  constructor(options: SinkOptions = {}) {
    const defaults = { protocol: 'smtp', address: '127.0.0.1', port: 0, unixPath: '', tls: 'off' } as const;
    this.options = { ...defaults, pipelining: 'on', extensions: 'ehlo', memory: 'keep', ...options };
    this.#port = this.options.port;
  }

  get port(): number {
    return this.#port;
  }

  /** Listens; at the same port when it did before. */
  async listen(): Promise<this> {
    const server = createServer({ noDelay: true }, (socket) => this.#accept(socket));
    this.#server = server;
    const { unixPath, address } = this.options;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      if (unixPath !== '') server.listen(unixPath, resolve);
      else server.listen(this.#port, address, resolve);
    });
    if (unixPath === '') this.#port = (server.address() as AddressInfo).port;
    return this;
  }

  /** Refuses connections from now on and cuts those that are open. */
  async refuse(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    for (const socket of this.#sockets) socket.destroy();
    if (server !== undefined) await new Promise<void>((done) => server.close(() => done()));
  }

  /** Cuts all connections and goes on listening. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  close(): Promise<void> {
    return this.refuse();
  }

  /** Resolves when so many mails were taken in all; rejects after `timeoutMs`. */
  waitFor(count: number, timeoutMs = 10_000): Promise<void> {
    if (this.taken >= count) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const failed = () => reject(new Error(`the sink has ${this.taken} mails of ${count}`));
      const timer = setTimeout(failed, timeoutMs);
      this.#waiters.push({
        count,
        done: () => {
          clearTimeout(timer);
          resolve();
        },
      });
    });
  }

  /** A session took a mail. */
  took(mail: SinkMail): void {
    this.taken += 1;
    this.timesTaken.set(mail.queueId, (this.timesTaken.get(mail.queueId) ?? 0) + 1);
    if (this.options.memory === 'keep') this.mails.push(mail);
    if (this.#waiters.length === 0) return;
    const ready = this.#waiters.filter((waiter) => waiter.count <= this.taken);
    this.#waiters = this.#waiters.filter((waiter) => waiter.count > this.taken);
    for (const waiter of ready) waiter.done();
  }

  #accept(socket: Socket): void {
    this.connectionsTotal += 1;
    this.connectionsNow += 1;
    this.#sockets.add(socket);
    // The system may tell of a new connection before it tells, in the same turn, that an older one has ended.
    setImmediate(() => {
      this.connectionsMost = Math.max(this.connectionsMost, this.connectionsNow);
    });
    let counted = true;
    const uncount = () => {
      if (counted) this.connectionsNow -= 1;
      counted = false;
    };
    socket.once('end', uncount);
    socket.once('close', () => {
      uncount();
      this.#sockets.delete(socket);
    });
    socket.on('error', () => socket.destroy());
    if (this.connectionsNow > this.behaviour.connectionsMax) socket.end('421 4.7.0 too many connections\r\n');
    else this.#greet(new SinkSession(this, socket, this.connectionsTotal));
  }

  /** Greets nobody who connects, until `release`. */
  hold(): void {
    this.#held ??= [];
  }

  release(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const session of held) session.start();
  }

  #greet(session: SinkSession): void {
    if (this.#held === undefined) session.start();
    else this.#held.push(session);
  }
}

/** A sink that listens. */
export function startSmtpSink(options: SinkOptions = {}): Promise<SmtpSink> {
  return new SmtpSink(options).listen();
}
