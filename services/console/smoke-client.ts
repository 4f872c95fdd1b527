// The SMTP client of `postrider smoke`: one connection, one mail, TLS when it is offered. Certificates are not verified:
// it asks whether mail goes through, and a cluster that is new has a self-signed one.
// Fails: SmokeFailure with one line that says what the server said, or that it said nothing.

import { connect, type Socket } from 'node:net';
import { hostname } from 'node:os';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { ReplyParser, type ServerReply } from '#libs/smtp/reply-parser.ts';
import { type SmokeMail, stuffed } from './smoke-mail.ts';

/** The smoke test failed; the message is one line for the operator. */
export class SmokeFailure extends Error {}

/** What the server is like; `tls` is '' without TLS. */
export interface Greeted {
  banner: string;
  tls: string;
}

const REPLY_WAIT_MS = 30_000;
const QUEUED_AS = /queued as (\S+)/;

export class SmokeClient {
  #socket: Socket;
  readonly #parser = new ReplyParser();
  readonly #replies: ServerReply[] = [];
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
    const banner = linesOf(await this.#reply('the greeting', 2))[0]!;
    const offers = await this.#say('EHLO', `EHLO ${hostname()}`, 2);
    if (!offers.lines.some((line) => /^STARTTLS$/i.test(line))) return { banner, tls: '' };
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
    if (queueId === undefined) throw new SmokeFailure(`no queue id in "${linesOf(accepted).join(' / ')}"`);
    this.#socket.write('QUIT\r\n');
    return queueId;
  }

  close(): void {
    this.#socket.destroy();
  }

  #say(what: string, line: string, classDigit: number): Promise<ServerReply> {
    this.#socket.write(`${line}\r\n`);
    return this.#reply(what, classDigit);
  }

  /** The next reply, when its code is of that class. */
  async #reply(what: string, classDigit: number): Promise<ServerReply> {
    const untilMs = performance.now() + REPLY_WAIT_MS;
    for (let reply = this.#replies.shift(); ; reply = this.#replies.shift()) {
      if (reply !== undefined) {
        if (Math.floor(reply.code / 100) === classDigit) return reply;
        throw new SmokeFailure(`${what} was answered with "${linesOf(reply).join(' / ')}"`);
      }
      const { malformed } = this.#parser;
      if (malformed !== undefined) throw new SmokeFailure(`${what} was answered with "${malformed}"`);
      if (this.#ended !== undefined) throw new SmokeFailure(`no answer to ${what}: ${this.#ended}`);
      const leftMs = untilMs - performance.now();
      if (leftMs <= 0) throw new SmokeFailure(`no answer to ${what} within ${REPLY_WAIT_MS / 1000} s`);
      await this.#news(leftMs);
    }
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
      this.#replies.push(...this.#parser.push(chunk));
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
    this.#parser.reset();
    this.#replies.length = 0;
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

/** Its lines as they came: each with the code, and a hyphen behind it where another one follows. */
function linesOf({ code, lines }: ServerReply): string[] {
  return lines.map((line, i) => `${code}${i < lines.length - 1 ? '-' : line === '' ? '' : ' '}${line}`);
}
