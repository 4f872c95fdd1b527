// Sends many mails over a few persistent sessions and keeps the sender's half of the ledger: each mail has a token in its
// X-Token field, and the token counts as accepted only when its 250 was read. A connection that dies after the dot leaves
// its token unknown (RFC 5321 §4.5.4.1: it may arrive), and the mail is sent again under another token.
// Fails: no connection, 421 and 4xx -> tried again after a pause, at the next port; 5xx -> `run` rejects.
import { setTimeout as pause } from 'node:timers/promises';
import { ConnectionLost, SmtpClient } from './load-client.ts';

export interface LoadOptions {
  /** 127.0.0.1 when absent. */
  host?: string;
  /** Sessions take them in turn, and move on to the next one when a connection ends. */
  ports: readonly number[];
  sessions: number;
  /** How many are to be accepted. */
  mails: number;
  octets: number;
  /** First part of every token. */
  tokenPrefix: string;
  /** One recipient, or several. */
  forwardPath: (mail: number) => string | readonly string[];
  reversePath?: string;
  /** Starts so many a second; as fast as it goes when absent. */
  perSecond?: number;
}

const PAUSE_MS = 100;
const CRLF = Buffer.from('\r\n');
/** What DATA says when the recipient before it was refused for now. */
const OUT_OF_ORDER = new Set([503, 554]);

export class LoadSender {
  readonly options: LoadOptions;
  /** Queue ids of the accepted mails by token. */
  readonly accepted = new Map<string, string>();
  /** Recipients that were taken of the accepted mails that were sent to more than one, by token. */
  readonly several = new Map<string, readonly string[]>();
  /** Sent whole, but no reply was read. */
  readonly unknown = new Set<string>();
  /** Sent whole and answered with 4xx: not accepted, so it must not arrive, unless the cluster said 451 for want of an
   * answer from its storage. */
  readonly refused = new Set<string>();
  /** Mails answered with 4xx, connections lost or refused. */
  troubles = 0;
  readonly #filler: Buffer;
  #claimed = 0;
  #tokens = 0;
  #startAtMs = 0;
  #stopped = false;

  constructor(options: LoadOptions) {
    this.options = options;
    const line = `${'abcdefghij'.repeat(7)}\r\n`;
    this.#filler = Buffer.from(
      line.repeat(Math.ceil(options.octets / line.length)).slice(0, options.octets - 2),
    );
  }

  /** Resolves when all are accepted, or `stop` was called. */
  async run(): Promise<void> {
    this.#startAtMs = Date.now();
    const sessions = Array.from({ length: this.options.sessions }, (_, session) => this.#session(session));
    await Promise.all(sessions);
  }

  stop(): void {
    this.#stopped = true;
  }

  async #session(session: number): Promise<void> {
    const { host, ports, mails } = this.options;
    let turn = session;
    let claimed: number | undefined;
    while (!this.#stopped) {
      if (claimed === undefined && this.#claimed >= mails) return;
      let client: SmtpClient | undefined;
      try {
        client = await SmtpClient.open(ports[turn % ports.length]!, 'none', host);
        for (;;) {
          claimed ??= this.#claim();
          if (claimed === undefined || this.#stopped) break;
          await this.#sendOne(client, claimed);
          claimed = undefined;
        }
        await client.quit();
        return;
      } catch (error) {
        if (!(error instanceof ConnectionLost)) throw error;
        this.troubles += 1;
        client?.destroy();
        turn += 1;
        await pause(PAUSE_MS);
      }
    }
  }

  #claim(): number | undefined {
    if (this.#claimed >= this.options.mails) return undefined;
    this.#claimed += 1;
    return this.#claimed - 1;
  }

  /** Resolves when the mail is accepted. */
  async #sendOne(client: SmtpClient, mail: number): Promise<void> {
    const dueAtMs = await this.#due(mail);
    while (!(await this.#tryOnce(client, mail, dueAtMs))) {
      this.troubles += 1;
      await client.command('RSET');
      await pause(PAUSE_MS);
      if (this.#stopped) return;
    }
  }

  /** Waits for the mail's turn; resolves with its time. */
  async #due(mail: number): Promise<number> {
    const { perSecond } = this.options;
    if (perSecond === undefined) return Date.now();
    const dueAtMs = this.#startAtMs + (mail * 1000) / perSecond;
    const waitMs = dueAtMs - Date.now();
    if (waitMs > 0) await pause(waitMs);
    return dueAtMs;
  }

  #mailData(token: string, dueAtMs: number): Buffer {
    const head = `X-Token: ${token}\r\nX-Sent-Ms: ${dueAtMs.toFixed(1)}\r\nSubject: load\r\n\r\n`;
    return Buffer.concat([Buffer.from(head), this.#filler, CRLF]);
  }

  /** Sends it under a new token; resolves with whether it was accepted. */
  async #tryOnce(client: SmtpClient, mail: number, dueAtMs: number): Promise<boolean> {
    const { reversePath = 'sender@client.test', forwardPath, tokenPrefix } = this.options;
    const token = `${tokenPrefix}-${this.#tokens}`;
    this.#tokens += 1;
    const path = forwardPath(mail);
    const forwardPaths = typeof path === 'string' ? [path] : path;
    const sending = {
      reversePath,
      forwardPaths,
      data: this.#mailData(token, dueAtMs),
    };
    // Until a reply says otherwise, once the dot is out.
    const onDotSent = () => this.unknown.add(token);
    const { mail: started, recipients, last } = await client.send(sending, onDotSent);
    const wasUnknown = this.unknown.delete(token);
    if (last.code === 250) {
      this.accepted.set(token, /queued as (\S+)/.exec(last.text)?.[1] ?? '');
      // One that was refused was not accepted, though the mail was: its domain could not be looked up in that moment, say.
      const taken = forwardPaths.filter((_, i) => recipients[i]?.code === 250);
      if (forwardPaths.length > 1) this.several.set(token, taken);
      return true;
    }
    if (wasUnknown) this.refused.add(token);
    const replies = [started, ...recipients, last];
    if (replies.some((reply) => reply.code >= 500 && !OUT_OF_ORDER.has(reply.code))) {
      throw new Error(`refused for good: ${replies.map((reply) => reply.text).join(' / ')}`);
    }
    if (replies.some((reply) => reply.code === 421)) throw new ConnectionLost(last.text);
    return false;
  }
}
