// One UDP socket towards one server, with many questions out at a time. The system chooses its source port; it takes
// datagrams from that server only, and an answer counts only for the question that it repeats (RFC 5452 §9).
//
// Fails: silence ends as `silent`, a port that the system says nobody listens on as `unreachable`. Datagrams that
// answer nothing that was asked are dropped and counted.
import { randomInt } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import type { DnsQuestion } from './answer.ts';
import { answersQuestion, encodeQuestion, idOf } from './message.ts';
import type { ServerAddress } from './server-address.ts';

export type Exchange =
  | { kind: 'message'; message: Buffer }
  | { kind: 'silent' }
  /** Nobody listens there. */
  | { kind: 'unreachable' };

interface Pending {
  asked: Buffer;
  timer: NodeJS.Timeout;
  onEnd: (exchange: Exchange) => void;
}

/** After so many questions a port is left, so that its number is not worth guessing. */
const QUESTIONS_PER_PORT = 200;
const IDS = 0x1_0000;

export class UdpPort {
  readonly #socket: Socket;
  readonly #pending = new Map<number, Pending>();
  readonly #onStray: () => void;
  #phase: 'connecting' | 'connected' | 'closed' = 'connecting';
  /** Spent: asks nothing more, and closes when the last answer is here. */
  #questionsLeft = QUESTIONS_PER_PORT;

  constructor(server: ServerAddress, onStray: () => void) {
    this.#onStray = onStray;
    this.#socket = createSocket(isIPv6(server.address) ? 'udp6' : 'udp4');
    this.#socket.on('message', (message) => this.#onMessage(message));
    this.#socket.on('error', () => this.#onError());
    this.#socket.on('connect', () => this.#onConnect());
    this.#socket.connect(server.port, server.address);
  }

  get isSpent(): boolean {
    return this.#questionsLeft <= 0;
  }

  ask(question: DnsQuestion, timeoutMs: number): Promise<Exchange> {
    const id = this.#freeId();
    this.#questionsLeft -= 1;
    return new Promise((onEnd) => {
      const asked = encodeQuestion(question, id);
      const timer = setTimeout(() => this.#onSilence(id), timeoutMs);
      this.#pending.set(id, { asked, timer, onEnd });
      if (this.#phase === 'connected') this.#socket.send(asked);
    });
  }

  /** Takes no more questions; those that are out may still be answered. */
  retire(): void {
    this.#questionsLeft = 0;
    this.#closeWhenDone();
  }

  /** Ends all questions as unreachable. */
  close(): void {
    this.#questionsLeft = 0;
    for (const id of [...this.#pending.keys()]) this.#end(id, { kind: 'unreachable' });
    this.#closeWhenDone();
  }

  #freeId(): number {
    let id = randomInt(IDS);
    while (this.#pending.has(id)) id = randomInt(IDS);
    return id;
  }

  #onConnect(): void {
    if (this.#phase === 'closed') return;
    this.#phase = 'connected';
    for (const { asked } of this.#pending.values()) this.#socket.send(asked);
  }

  #onMessage(message: Buffer): void {
    const pending = this.#pending.get(idOf(message));
    if (pending !== undefined && answersQuestion(message, pending.asked)) {
      this.#end(idOf(message), { kind: 'message', message });
    } else this.#onStray();
  }

  /** A port that was silent once is left: the network below it may have changed. */
  #onSilence(id: number): void {
    this.#questionsLeft = 0;
    this.#end(id, { kind: 'silent' });
  }

  #onError(): void {
    this.close();
  }

  #end(id: number, exchange: Exchange): void {
    const pending = this.#pending.get(id)!;
    this.#pending.delete(id);
    clearTimeout(pending.timer);
    this.#closeWhenDone();
    pending.onEnd(exchange);
  }

  #closeWhenDone(): void {
    if (!this.isSpent || this.#pending.size > 0 || this.#phase === 'closed') return;
    this.#phase = 'closed';
    this.#socket.close();
  }
}
