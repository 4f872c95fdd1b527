// An SMTP client for tests that says lines or any octets, whole or in parts, over TCP or a Unix socket, and waits for replies.
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

const REPLY_WAIT_MS = 15_000;
/** The last line of a reply. */
const LAST_LINE = /^\d{3}(?: .*)?$/;

export class RawClient {
  #socket: Socket;
  #received = '';
  #isClosed = false;
  #wake: () => void = () => {};

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.#hear(socket);
  }

  /** Connects to a port of loopback, or a Unix socket; with TLS from the start when asked. */
  static async connect(where: number | string, tls: 'plain' | 'tls' = 'plain'): Promise<RawClient> {
    const target = typeof where === 'number' ? { port: where, host: '127.0.0.1' } : { path: where };
    const socket = tls === 'tls' ? connectTls({ ...target, rejectUnauthorized: false }) : connect(target);
    const client = new RawClient(socket);
    await new Promise<void>((resolve, reject) => {
      socket.once(tls === 'tls' ? 'secureConnect' : 'connect', () => resolve());
      socket.once('error', reject);
    });
    return client;
  }

  /** Connected and greeted; the reply to EHLO is read. */
  static async greeted(where: number | string, tls: 'plain' | 'tls' = 'plain'): Promise<RawClient> {
    const client = await RawClient.connect(where, tls);
    await client.reply();
    await client.say('EHLO client.example');
    return client;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  get socket(): Socket {
    return this.#socket;
  }

  write(octets: string | Uint8Array): boolean {
    return this.#socket.write(typeof octets === 'string' ? Buffer.from(octets, 'latin1') : octets);
  }

  /** Says the lines and waits for a reply to each; the replies, without the last CRLF. */
  async say(...lines: string[]): Promise<string> {
    this.write(lines.map((line) => `${line}\r\n`).join(''));
    const replies: string[] = [];
    while (replies.length < lines.length) replies.push(await this.reply());
    return replies.join('\n');
  }

  /** The next reply, however many lines it has; rejects when the connection ends instead, or nothing comes. */
  async reply(): Promise<string> {
    const untilMs = Date.now() + REPLY_WAIT_MS;
    for (;;) {
      const reply = this.#take();
      if (reply !== undefined) return reply;
      if (this.#isClosed) throw new Error(`closed after "${this.#received}"`);
      if (Date.now() > untilMs) throw new Error(`no reply, only "${this.#received}"`);
      await this.#news();
    }
  }

  /** Sends a mail and gives the last reply: to DATA when it is refused, or to the final dot. `data` is stuffed already. */
  async send(mail: { to: string[]; from?: string; data: string | Uint8Array }): Promise<string> {
    const commands = [`MAIL FROM:<${mail.from ?? 's@a.example'}>`, ...mail.to.map((to) => `RCPT TO:<${to}>`)];
    const replies = await this.say(...commands);
    const refusal = replies.split('\n').find((reply) => !reply.startsWith('250'));
    if (refusal !== undefined) return refusal;
    const go = await this.say('DATA');
    if (!go.startsWith('354')) return go;
    this.write(mail.data);
    this.write('.\r\n');
    return this.reply();
  }

  /** Resolves with what came, when the connection has ended. */
  async ended(): Promise<string> {
    while (!this.#isClosed) await this.#news();
    return this.#received;
  }

  /** STARTTLS was answered: does the handshake. */
  async secure(): Promise<void> {
    this.#socket.removeAllListeners('data');
    const secure = connectTls({ socket: this.#socket, rejectUnauthorized: false });
    await new Promise<void>((resolve, reject) => {
      secure.once('secureConnect', () => resolve());
      secure.once('error', reject);
    });
    this.#socket = secure;
    this.#hear(secure);
  }

  close(): void {
    this.#socket.destroy();
  }

  #hear(socket: Socket): void {
    socket.on('data', (chunk: Buffer) => {
      this.#received += chunk.toString('latin1');
      this.#wake();
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.#isClosed = true;
      this.#wake();
    });
  }

  #take(): string | undefined {
    const lines = this.#received.split('\r\n');
    const last = lines.slice(0, -1).findIndex((line) => LAST_LINE.test(line));
    if (last < 0) return undefined;
    this.#received = lines.slice(last + 1).join('\r\n');
    return lines.slice(0, last + 1).join('\r\n');
  }

  #news(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, 200);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
