// The SMTP client of `postrider smoke`: one connection, one mail, TLS when it is offered. Certificates are not verified:
// it asks whether mail goes through, and a cluster that is new has a self-signed one.
// Fails: SmokeFailure with one line that says what the server said, or that it said nothing.

import { connect, type Socket } from 'node:net';
import { hostname } from 'node:os';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { type SmokeMail, stuffed } from './smoke-mail.ts';

/** The smoke test failed; the message is one line for the operator. */
export class SmokeFailure extends Error {}

/** What the server is like; `tls` is '' without TLS. */
export interface Greeted {
  banner: string;
  tls: string;
}

interface Reply {
  code: number;
  /** Every line with its code. */
  lines: string[];
}

const LAST_LINE = /^\d{3}(?: |$)/;
const REPLY_WAIT_MS = 30_000;
const QUEUED_AS = /queued as (\S+)/;

export class SmokeClient {
  #socket: Socket;
  #received = '';
  #ended: string | undefined;
  #wake: () => void = () => undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.#hear();
  }

  /** Connects within `waitMs`. */
  static connect(host: string, port: number, waitMs: number): Promise<SmokeClient> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host, port, noDelay: true, timeout: waitMs });
      const refused = (why: string) => {
        socket.destroy();
        reject(new SmokeFailure(`cannot connect to ${host}:${port}: ${why}`));
      };
      socket.once('error', (error) => refused(error.message));
      socket.once('timeout', () => refused('no answer'));
      socket.once('connect', () => {
        socket.removeAllListeners().setTimeout(0);
        resolve(new SmokeClient(socket));
      });
    });
  }

  /** Reads the greeting, says EHLO, and secures the connection when STARTTLS is offered. */
  async greet(): Promise<Greeted> {
    const banner = (await this.#reply('the greeting', 2)).lines[0]!;
    const offers = await this.#say('EHLO', `EHLO ${hostname()}`, 2);
    if (!offers.lines.some((line) => /^250[- ]STARTTLS$/i.test(line))) return { banner, tls: '' };
    await this.#say('STARTTLS', 'STARTTLS', 2);
    const tls = await this.#secure();
    await this.#say('EHLO after STARTTLS', `EHLO ${hostname()}`, 2);
    return { banner, tls };
  }

  /** Hands the mail over; its queue id. */
  async send({ reversePath, forwardPath, data }: SmokeMail): Promise<string> {
    await this.#say('MAIL', `MAIL FROM:<${reversePath}> BODY=8BITMIME`, 2);
    await this.#say('RCPT', `RCPT TO:<${forwardPath}>`, 2);
    await this.#say('DATA', 'DATA', 3);
    this.#socket.write(stuffed(data));
    const accepted = await this.#reply('the final dot', 2);
    const queueId = QUEUED_AS.exec(accepted.lines.join(' '))?.[1];
    if (queueId === undefined) throw new SmokeFailure(`no queue id in "${accepted.lines.join(' / ')}"`);
    this.#socket.write('QUIT\r\n');
    return queueId;
  }

  close(): void {
    this.#socket.destroy();
  }

  #say(what: string, line: string, classDigit: number): Promise<Reply> {
    this.#socket.write(`${line}\r\n`);
    return this.#reply(what, classDigit);
  }

  /** The next reply, when its code is of that class. */
  async #reply(what: string, classDigit: number): Promise<Reply> {
    const untilMs = Date.now() + REPLY_WAIT_MS;
    for (let reply = this.#take(); ; reply = this.#take()) {
      if (reply !== undefined) {
        if (Math.floor(reply.code / 100) === classDigit) return reply;
        throw new SmokeFailure(`${what} was answered with "${reply.lines.join(' / ')}"`);
      }
      if (this.#ended !== undefined) throw new SmokeFailure(`no answer to ${what}: ${this.#ended}`);
      const leftMs = untilMs - Date.now();
      if (leftMs <= 0) throw new SmokeFailure(`no answer to ${what} within ${REPLY_WAIT_MS / 1000} s`);
      await this.#news(leftMs);
    }
  }

  #take(): Reply | undefined {
    const lines = this.#received.split('\r\n').slice(0, -1);
    const last = lines.findIndex((line) => LAST_LINE.test(line));
    if (last < 0) return undefined;
    const taken = lines.slice(0, last + 1);
    this.#received = this.#received.slice(taken.join('\r\n').length + 2);
    return { code: Number.parseInt(taken.at(-1)!, 10), lines: taken };
  }

  #news(withinMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, withinMs);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #hear(): void {
    this.#socket.on('data', (chunk: Buffer) => {
      this.#received += chunk.toString('latin1');
      this.#wake();
    });
    this.#socket.on('error', (error) => this.#end(error.message));
    this.#socket.on('close', () => this.#end('the connection ended'));
  }

  #end(why: string): void {
    this.#ended ??= why;
    this.#wake();
  }

  /** The handshake; the protocol, such as "TLSv1.3". */
  #secure(): Promise<string> {
    this.#socket.removeAllListeners();
    // Nothing that was said before the handshake counts after it (RFC 3207 §4.2).
    this.#received = '';
    return new Promise((resolve, reject) => {
      const secure: TLSSocket = connectTls({ socket: this.#socket, rejectUnauthorized: false });
      const failed = (why: string) => reject(new SmokeFailure(`the TLS handshake failed: ${why}`));
      secure.once('error', (error) => failed(error.message));
      secure.once('close', () => failed('the connection ended'));
      secure.once('secureConnect', () => {
        secure.removeAllListeners('error').removeAllListeners('close');
        this.#socket = secure;
        this.#hear();
        resolve(secure.getProtocol() ?? 'TLS');
      });
    });
  }
}
