// The mail system at which the mail of `postrider smoke` arrives: the server machine of libs/smtp behind a socket, which
// takes any mail for one domain and keeps it in memory.
// Fails: a port that is taken rejects with SmokeFailure. A client that breaks off loses its mail, as anywhere.
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { CommandSplitter } from '#libs/smtp/command-splitter.ts';
import { DataReader } from '#libs/smtp/data-reader.ts';
import { openSession, receive, serverPolicy, takesCommands } from '#libs/smtp/server.machine.ts';
import type { ServerEffect, ServerInput, ServerPolicy } from '#libs/smtp/server-session.ts';
import { SmokeFailure } from './smoke-client.ts';

/** A mail that was taken, with the address of the client that brought it. */
export interface ArrivedMail {
  forwardPaths: readonly string[];
  data: Buffer;
  from: string;
}

const MESSAGE_SIZE_MAX = 1024 * 1024;
const LINE_OCTETS_MAX = 1000;

export class SmokeSink {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #mails: ArrivedMail[] = [];
  #onMail: () => void = () => undefined;

  private constructor(domain: string) {
    const policy = serverPolicy({
      hostname: 'smoke.invalid',
      postmasterDomain: domain,
      messageSizeMax: MESSAGE_SIZE_MAX,
      recipientsMax: 100,
      badCommandsMax: 10,
      receivedFieldsMax: 100,
      starttls: 'absent',
      relay: 'denied',
    });
    const took = (mail: ArrivedMail) => {
      this.#mails.push(mail);
      this.#onMail();
    };
    this.#server = createServer({ noDelay: true }, (socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
      new SinkSession(socket, { domain, policy, took }).start();
    });
  }

  /** Listens; port 0 lets the system choose. */
  static listen(address: string, port: number, domain: string): Promise<SmokeSink> {
    const sink = new SmokeSink(domain);
    return new Promise((resolve, reject) => {
      sink.#server.once('error', (error) =>
        reject(new SmokeFailure(`cannot listen on ${address}:${port}: ${error.message}`)),
      );
      sink.#server.listen(port, address, () => resolve(sink));
    });
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** The mail for this address; undefined when none has come within `waitMs`. */
  async arrival(forwardPath: string, waitMs: number): Promise<ArrivedMail | undefined> {
    const untilMs = performance.now() + waitMs;
    for (;;) {
      const mail = this.#mails.find(({ forwardPaths }) => forwardPaths.includes(forwardPath));
      const leftMs = untilMs - performance.now();
      if (mail !== undefined || leftMs <= 0) return mail;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, leftMs);
        this.#onMail = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((done) => this.#server.close(() => done()));
  }
}

interface SinkRules {
  domain: string;
  policy: ServerPolicy;
  took: (mail: ArrivedMail) => void;
}

/** One connection, driven as libs/smtp/server-session.ts tells a shell to. */
class SinkSession {
  readonly #socket: Socket;
  readonly #rules: SinkRules;
  readonly #session = openSession('off');
  readonly #splitter = new CommandSplitter();
  readonly #reader = new DataReader({ octetsMax: MESSAGE_SIZE_MAX, lineOctetsMax: LINE_OCTETS_MAX });
  #taken = 0;

  constructor(socket: Socket, rules: SinkRules) {
    this.#socket = socket;
    this.#rules = rules;
  }

  start(): void {
    this.#socket.on('error', () => this.#socket.destroy());
    this.#socket.on('data', (chunk: Buffer) => this.#take(chunk));
    this.#feed({ kind: 'connected' });
  }

  #take(chunk: Buffer): void {
    if (this.#session.phase.name === 'receiving') {
      this.#takeData(chunk);
      return;
    }
    this.#splitter.push(chunk);
    while (takesCommands(this.#session)) {
      const command = this.#splitter.next();
      if (command === undefined) return;
      this.#feed(command);
    }
  }

  #takeData(chunk: Buffer): void {
    const rest = this.#reader.push(chunk);
    if (rest === undefined) return;
    this.#feed({ kind: 'dataFinished', end: this.#reader.end, receivedFields: 0 });
    if (rest.length > 0) this.#take(rest);
  }

  #feed(input: ServerInput): void {
    for (const effect of receive(this.#session, input, this.#rules.policy)) this.#perform(effect);
  }

  #perform(effect: ServerEffect): void {
    switch (effect.do) {
      case 'reply':
        this.#socket.write(effect.text);
        break;
      case 'verifyRecipient':
        this.#feed({
          kind: 'recipientVerdict',
          verdict: effect.domain === this.#rules.domain ? 'local' : 'relay',
        });
        break;
      case 'openData':
        this.#feed({ kind: 'dataOpened' });
        this.#reader.reset();
        this.#takeData(this.#splitter.takeRest());
        break;
      case 'commit': {
        const { forwardPaths } = effect.transaction;
        const from = this.#socket.remoteAddress ?? '';
        this.#rules.took({ forwardPaths, data: Buffer.concat(this.#reader.takePieces()), from });
        this.#taken += 1;
        this.#feed({ kind: 'committed', queueId: `smoke-${this.#taken}` });
        break;
      }
      case 'startTls':
      case 'abandonData':
        break;
      case 'close':
        this.#socket.end();
        break;
    }
  }
}
