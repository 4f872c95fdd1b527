// One connection of the sink: reads commands and mail data, answers as the script says.
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { testCertificate, testKey } from './certificate.ts';
import { type AfterData, replyOf, scriptOf } from './sink-script.ts';
import type { SmtpSink } from './smtp-sink.ts';

const END = Buffer.from('\r\n.\r\n');

export class SinkSession {
  readonly #sink: SmtpSink;
  readonly #connection: number;
  #socket: Socket;
  #input: Buffer = Buffer.alloc(0);
  #mode: 'commands' | 'data' | 'over' = 'commands';
  #reversePath: string | undefined;
  #parameters = '';
  #recipients: { path: string; afterData: AfterData }[] = [];
  #data = new DotReader();
  #answers: string[] = [];

  constructor(sink: SmtpSink, socket: Socket, connection: number) {
    this.#sink = sink;
    this.#socket = socket;
    this.#connection = connection;
  }

  start(): void {
    const { greeting } = this.#sink.behaviour;
    this.#listen(this.#socket);
    if (greeting !== '0') this.#say(`${greeting} sink.test ${this.#sink.options.protocol.toUpperCase()}`);
    this.#flush();
    if (greeting.startsWith('5') || greeting === '421') this.#over();
  }

  #listen(socket: Socket): void {
    socket.on('data', (chunk: Buffer) => {
      if (this.#mode === 'over') return;
      this.#input = this.#input.length === 0 ? chunk : Buffer.concat([this.#input, chunk]);
      this.#consume();
      this.#flush();
    });
  }

  #over(): void {
    this.#mode = 'over';
    this.#socket.end();
  }

  #cut(): void {
    this.#mode = 'over';
    this.#socket.destroy();
  }

  #say(line: string): void {
    this.#answers.push(line);
  }

  #flush(delayMs = this.#sink.behaviour.delayMs): void {
    if (this.#answers.length === 0) return;
    const text = this.#answers.map((line) => `${line}\r\n`).join('');
    this.#answers = [];
    if (delayMs === 0) this.#socket.write(text);
    else setTimeout(() => this.#socket.write(text), delayMs);
  }

  #consume(): void {
    while (this.#mode !== 'over') {
      if (this.#mode === 'data') {
        if (!this.#readData()) return;
        continue;
      }
      const end = this.#input.indexOf('\r\n');
      if (end < 0) return;
      const line = this.#input.toString('latin1', 0, end);
      this.#input = this.#input.subarray(end + 2);
      if (this.#sink.options.memory === 'keep') this.#sink.commands.push(line);
      this.#command(line);
    }
  }

  #command(line: string): void {
    const verb = line.split(' ', 1)[0]!.toUpperCase();
    const acts: Record<string, () => void> = {
      EHLO: () => this.#hello(verb),
      LHLO: () => this.#hello(verb),
      HELO: () => this.#say('250 sink.test'),
      STARTTLS: () => this.#startTls(),
      MAIL: () => this.#mail(line),
      RCPT: () => this.#rcpt(line),
      DATA: () => this.#startData(),
      RSET: () => {
        this.#reset();
        this.#say('250 2.0.0 reset');
      },
      NOOP: () => this.#say('250 2.0.0 still here'),
      QUIT: () => {
        this.#say('221 2.0.0 bye');
        this.#flush(0);
        this.#over();
      },
    };
    const act = acts[verb] ?? (() => this.#say('500 5.5.2 what?'));
    act();
  }

  #hello(verb: string): void {
    const { protocol, extensions, pipelining, tls } = this.#sink.options;
    const wanted = protocol === 'lmtp' ? 'LHLO' : 'EHLO';
    if (verb !== wanted || extensions === 'ehlo-refused') {
      this.#say('502 5.5.1 not here');
      return;
    }
    this.#reset();
    const lines = ['sink.test', 'ENHANCEDSTATUSCODES', '8BITMIME', 'SIZE 104857600'];
    if (pipelining === 'on') lines.push('PIPELINING');
    if (tls !== 'off' && !this.#secured) lines.push('STARTTLS');
    for (const [i, words] of lines.entries()) this.#say(`250${i + 1 < lines.length ? '-' : ' '}${words}`);
  }

  get #secured(): boolean {
    return this.#socket instanceof TLSSocket;
  }

  #startTls(): void {
    const { tls } = this.#sink.options;
    if (tls === 'off' || this.#secured) {
      this.#say('502 5.5.1 no TLS here');
      return;
    }
    this.#say('220 2.0.0 go ahead');
    this.#flush();
    if (tls === 'broken') {
      this.#socket.write('this is no handshake');
      this.#over();
      return;
    }
    this.#socket.removeAllListeners('data');
    this.#input = Buffer.alloc(0);
    const secure = new TLSSocket(this.#socket, { isServer: true, key: testKey, cert: testCertificate });
    secure.on('error', () => secure.destroy());
    this.#socket = secure;
    this.#reset();
    this.#listen(secure);
  }

  #mail(line: string): void {
    const path = /^MAIL FROM:<([^>]*)>\s*(.*)$/i.exec(line);
    if (path === null) {
      this.#say('501 5.5.4 syntax');
      return;
    }
    const local = path[1]!.split('@', 1)[0]!;
    if (/^[45]\d\d$/.test(local)) {
      this.#say(replyOf(local));
      return;
    }
    this.#reset();
    this.#reversePath = path[1]!;
    this.#parameters = path[2]!;
    this.#say('250 2.1.0 ok');
  }

  #rcpt(line: string): void {
    const path = /^RCPT TO:<([^>]+)>/i.exec(line)?.[1];
    if (path === undefined || this.#reversePath === undefined) {
      this.#say('503 5.5.1 not now');
      return;
    }
    const script = scriptOf({
      reversePath: this.#reversePath,
      forwardPath: path,
      secured: this.#secured,
      timesBefore: (key) => {
        const times = this.#sink.seen.get(key) ?? 0;
        this.#sink.seen.set(key, times + 1);
        return times;
      },
    });
    if (script === undefined) {
      this.#cut();
      return;
    }
    this.#say(script.reply);
    if (script.reply.startsWith('250')) this.#recipients.push({ path, afterData: script.afterData });
  }

  #startData(): void {
    if (this.#recipients.length === 0) {
      this.#say('554 5.5.1 no valid recipients');
      return;
    }
    const refused = this.#recipients.find((one) => one.afterData.kind === 'refuse-start')?.afterData;
    if (refused?.kind === 'refuse-start') {
      this.#say(refused.reply);
      return;
    }
    this.#mode = 'data';
    this.#data = new DotReader();
    this.#say('354 go ahead');
  }

  #readData(): boolean {
    const input = this.#input;
    this.#input = Buffer.alloc(0);
    if (this.#has('drop-in-data') && input.length > 0) {
      this.#cut();
      return false;
    }
    const ended = this.#data.add(input);
    if (ended === undefined) return false;
    this.#input = ended.rest;
    this.#mode = 'commands';
    this.#takeMail(ended.stuffed);
    return true;
  }

  #has(kind: AfterData['kind']): boolean {
    return this.#recipients.some((one) => one.afterData.kind === kind);
  }

  #takeMail(stuffed: Buffer): void {
    const replies = this.#recipients.map(({ afterData }) =>
      'reply' in afterData ? afterData.reply : '250 2.0.0 taken',
    );
    const accepted = this.#recipients.filter((_, i) => replies[i]!.startsWith('2'));
    const isLmtp = this.#sink.options.protocol === 'lmtp';
    const refused = replies.find((reply) => !reply.startsWith('2'));
    const [drop, hang, slow] = [this.#has('drop-after-dot'), this.#has('hang'), this.#has('slow')];
    if (accepted.length > 0 && (isLmtp || refused === undefined)) this.#remember(stuffed, accepted);
    this.#reset();
    if (drop) this.#cut();
    if (hang) this.#mode = 'over';
    if (drop || hang) return;
    const answers = isLmtp ? replies : [refused ?? replies[0]!];
    for (const answer of answers) this.#say(answer);
    if (slow) this.#flush(this.#sink.behaviour.slowMs);
  }

  #remember(stuffed: Buffer, accepted: { path: string }[]): void {
    const head = stuffed.toString('latin1', 0, 4096);
    const queueId = /\bid ([0-9a-z]{20})\b/.exec(head)?.[1] ?? /^X-Queue-Id: (\S+)/im.exec(head)?.[1] ?? '';
    const keep = this.#sink.options.memory === 'keep';
    this.#sink.took({
      reversePath: this.#reversePath!,
      forwardPaths: accepted.map((one) => one.path),
      data: keep ? unstuffed(stuffed) : Buffer.alloc(0),
      queueId,
      connection: this.#connection,
      tls: this.#socket instanceof TLSSocket ? (this.#socket.getProtocol() ?? '') : '',
      parameters: this.#parameters,
    });
  }

  #reset(): void {
    this.#reversePath = undefined;
    this.#parameters = '';
    this.#recipients = [];
  }
}

/** Finds the end of mail data, wherever the pieces are cut. */
class DotReader {
  // So that an empty mail's end is found like any other.
  readonly #pieces: Buffer[] = [Buffer.from('\r\n')];
  #octets = 2;
  #tail: Buffer = Buffer.from('\r\n');

  add(piece: Buffer): { stuffed: Buffer; rest: Buffer } | undefined {
    const window = Buffer.concat([this.#tail, piece]);
    const end = window.indexOf(END);
    this.#pieces.push(piece);
    if (end >= 0) {
      const octets = this.#octets - this.#tail.length + end + 2;
      return {
        stuffed: Buffer.concat(this.#pieces).subarray(2, octets),
        rest: window.subarray(end + END.length),
      };
    }
    this.#octets += piece.length;
    this.#tail = Buffer.from(window.subarray(-4));
    return undefined;
  }
}

function unstuffed(stuffed: Buffer): Buffer {
  const text = stuffed.toString('latin1').replace(/^\./, '').replaceAll('\r\n.', '\r\n');
  return Buffer.from(text, 'latin1');
}
