// One DNS server as seen from here: a few UDP ports towards it, and TCP for what UDP cannot carry.
//
// Fails: every end of an exchange that is no readable answer is trouble with its reason; nothing throws.
import { randomInt } from 'node:crypto';
import { type DnsAnswer, type DnsQuestion, type RecordOf, type RecordType, trouble } from './answer.ts';
import { readAnswer, type Truncated } from './message.ts';
import type { ServerAddress } from './server-address.ts';
import { askOverTcp } from './tcp-question.ts';
import { Turnstile } from './turnstile.ts';
import { type Exchange, UdpPort } from './udp-port.ts';

/** Each question takes one of so many ports at random: a guess must hit the port as well as the id. */
const PORTS_MAX = 8;

/**
 * Questions sent in the last moments, without an answer yet: what the server has not taken from its socket is among
 * them, and a socket's usual buffer (208 KiB) holds some 270 datagrams. Measured: of 500 at once it loses half.
 */
const FRESH_MAX = 150;
const FRESH_MS = 500;

/** What a peer tells of its work. */
export interface PeerObserver {
  asked(transport: 'udp' | 'tcp'): void;
  /** A datagram that answers nothing that was asked: late, doubled or forged. */
  stray(): void;
}

export class DnsServerPeer {
  readonly #server: ServerAddress;
  readonly #observer: PeerObserver;
  readonly #cut = new AbortController();
  readonly #fresh = new Turnstile(FRESH_MAX);
  #ports: UdpPort[] = [];

  constructor(server: ServerAddress, observer: PeerObserver) {
    this.#server = server;
    this.#observer = observer;
  }

  /** Answers within `timeoutMs` of its turn, twice that when the answer is long. */
  async ask<T extends RecordType>(
    question: { name: string; type: T },
    timeoutMs: number,
  ): Promise<DnsAnswer<RecordOf[T]>> {
    const answer = read(await this.#askOverUdp(question, timeoutMs), question);
    if (answer.kind !== 'truncated') return answer;
    this.#observer.asked('tcp');
    const whole = read(
      await askOverTcp(this.#server, question, { timeoutMs, cut: this.#cut.signal }),
      question,
    );
    return whole.kind === 'truncated' ? trouble('malformed') : whole;
  }

  /** Ends all questions. */
  close(): void {
    this.#cut.abort();
    for (const port of this.#ports) port.close();
    this.#ports = [];
  }

  async #askOverUdp(question: DnsQuestion, timeoutMs: number): Promise<Exchange> {
    const place = await this.#fresh.entered();
    if (this.#cut.signal.aborted) {
      place.leave();
      return { kind: 'unreachable' };
    }
    const timer = setTimeout(() => place.leave(), FRESH_MS);
    this.#observer.asked('udp');
    const exchange = await this.#port().ask(question, timeoutMs);
    clearTimeout(timer);
    place.leave();
    return exchange;
  }

  #port(): UdpPort {
    this.#ports = this.#ports.filter((port) => !port.isSpent);
    if (this.#ports.length === PORTS_MAX) return this.#ports[randomInt(PORTS_MAX)]!;
    const port = new UdpPort(this.#server, () => this.#observer.stray());
    this.#ports.push(port);
    return port;
  }
}

function read<T extends RecordType>(
  exchange: Exchange,
  question: { name: string; type: T },
): DnsAnswer<RecordOf[T]> | Truncated {
  switch (exchange.kind) {
    case 'message':
      return readAnswer(exchange.message, question);
    case 'silent':
      return trouble('timeout');
    case 'unreachable':
      return trouble('unreachable');
  }
}
