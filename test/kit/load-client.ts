// An SMTP client for tests and load: one connection, commands and replies, nothing hidden. It keeps order and counts
// nothing; who uses it knows what was read. Independent of the client that delivery uses.
// Fails: a connection that ends rejects every reply that was waited for with ConnectionLost; so does each later call.
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, TLSSocket } from 'node:tls';

export class ConnectionLost extends Error {}

export interface ClientReply {
  code: number;
  /** All lines with their codes, joined with LF. */
  text: string;
}

export interface ClientMail {
  reversePath: string;
  forwardPaths: readonly string[];
  /** With its final CRLF; not stuffed. */
  data: Buffer;
}

export interface MailReplies {
  mail: ClientReply;
  recipients: ClientReply[];
  /** Of DATA, when it was refused, otherwise of the final dot. */
  last: ClientReply;
}

interface Waiter {
  take(reply: ClientReply): void;
  fail(error: ConnectionLost): void;
}

export class SmtpClient {
  #socket: Socket;
  #input = '';
  #lines: string[] = [];
  #arrived: ClientReply[] = [];
  #waiters: Waiter[] = [];
  #lost: ConnectionLost | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.#listen(socket);
  }

  /** Connects; the greeting is the first reply. */
  static connect(port: number, tls: 'none' | 'implicit' = 'none', host = '127.0.0.1'): Promise<SmtpClient> {
    return new Promise((resolve, reject) => {
      const where = { host, port, rejectUnauthorized: false };
      const socket = tls === 'implicit' ? connectTls(where) : connectTcp({ ...where, noDelay: true });
      socket.once('error', (error) => reject(new ConnectionLost(error.message)));
      socket.once(tls === 'implicit' ? 'secureConnect' : 'connect', () => resolve(new SmtpClient(socket)));
    });
  }

  /** Connects, reads the greeting and says EHLO. */
  static async open(
    port: number,
    tls: 'none' | 'implicit' = 'none',
    host = '127.0.0.1',
  ): Promise<SmtpClient> {
    const client = await SmtpClient.connect(port, tls, host);
    const greeting = await client.reply();
    if (greeting.code !== 220) {
      client.destroy();
      throw new ConnectionLost(`greeted with ${greeting.text}`);
    }
    await client.command('EHLO client.test');
    return client;
  }

  get secured(): boolean {
    return this.#socket instanceof TLSSocket;
  }

  #listen(socket: Socket): void {
    socket.on('data', (chunk: Buffer) => this.#read(chunk.toString('latin1')));
    socket.on('error', (error) => this.#end(error.message));
    socket.on('close', () => this.#end('the connection ended'));
  }

  #end(reason: string): void {
    this.#lost ??= new ConnectionLost(reason);
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter.fail(this.#lost);
  }

  #read(text: string): void {
    this.#input += text;
    for (let end = this.#input.indexOf('\r\n'); end >= 0; end = this.#input.indexOf('\r\n')) {
      const line = this.#input.slice(0, end);
      this.#input = this.#input.slice(end + 2);
      this.#lines.push(line);
      if (line[3] === '-') continue;
      const reply = { code: Number(line.slice(0, 3)), text: this.#lines.join('\n') };
      this.#lines = [];
      const waiter = this.#waiters.shift();
      if (waiter === undefined) this.#arrived.push(reply);
      else waiter.take(reply);
    }
  }

  /** The next reply. */
  reply(): Promise<ClientReply> {
    const arrived = this.#arrived.shift();
    if (arrived !== undefined) return Promise.resolve(arrived);
    if (this.#lost !== undefined) return Promise.reject(this.#lost);
    return new Promise((take, fail) => this.#waiters.push({ take, fail }));
  }

  write(octets: string | Buffer): void {
    if (this.#lost === undefined) this.#socket.write(octets);
  }

  command(line: string): Promise<ClientReply> {
    this.write(`${line}\r\n`);
    return this.reply();
  }

  /** STARTTLS and the handshake; what was said before is forgotten, so say EHLO again. */
  async startTls(): Promise<ClientReply> {
    const reply = await this.command('STARTTLS');
    if (reply.code !== 220) return reply;
    this.#socket.removeAllListeners();
    const secure = connectTls({ socket: this.#socket, rejectUnauthorized: false });
    this.#socket = secure;
    this.#listen(secure);
    await new Promise<void>((done, fail) => {
      secure.once('secureConnect', done);
      secure.once('close', () => fail(new ConnectionLost('the handshake failed')));
    });
    return reply;
  }

  /** One transaction: MAIL, RCPT and DATA in one piece (PIPELINING), the mail data when DATA was answered with 354. */
  async send(mail: ClientMail, onDotSent: () => void = () => undefined): Promise<MailReplies> {
    const { reversePath, forwardPaths, data } = mail;
    const rcpts = forwardPaths.map((path) => `RCPT TO:<${path}>\r\n`).join('');
    const replies = [this.reply(), ...forwardPaths.map(() => this.reply())];
    for (const reply of replies) reply.catch(() => undefined);
    const started = this.reply();
    this.write(`MAIL FROM:<${reversePath}> BODY=8BITMIME\r\n${rcpts}DATA\r\n`);
    const start = await started;
    const [first, ...recipients] = await Promise.all(replies);
    if (start.code !== 354) return { mail: first!, recipients, last: start };
    this.write(stuffed(data));
    onDotSent();
    return { mail: first!, recipients, last: await this.reply() };
  }

  async quit(): Promise<void> {
    await this.command('QUIT').catch(() => undefined);
    this.destroy();
  }

  destroy(): void {
    this.#socket.destroy();
  }
}

const LINE_DOT = Buffer.from('\r\n.');

/** Mail data as it travels: dots doubled at the start of lines, the final dot at the end (RFC 5321 §4.5.2). */
export function stuffed(data: Buffer): Buffer {
  const pieces: Buffer[] = [];
  if (data[0] === 0x2e) pieces.push(Buffer.from('.'));
  let from = 0;
  for (let at = data.indexOf(LINE_DOT); at >= 0; at = data.indexOf(LINE_DOT, at + 2)) {
    pieces.push(data.subarray(from, at + LINE_DOT.length), Buffer.from('.'));
    from = at + LINE_DOT.length;
  }
  pieces.push(data.subarray(from), Buffer.from('.\r\n'));
  return Buffer.concat(pieces);
}
