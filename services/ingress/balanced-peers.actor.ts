// Connections that come through a load balancer, until its PROXY header has told who the client is. Nothing is said to them
// before, so that no client sees a greeting that another one is due.
//
// Fails: a peer that is no load balancer of ours -> 421, or closed where TLS comes first; no header in time, or one that
// is none -> closed. A connection that ends without an octet is a health check, and no trouble.
import type { Socket } from 'node:net';
import { ProxyHeaderReader } from '#libs/proxy/proxy-header.ts';
import { replyText } from '#libs/smtp/server-replies.ts';
import { type Networks, normalizedAddress } from './client-address.ts';
import type { Instruments } from './instruments.ts';
import type { TurningAway, UnwantedPeer } from './turning-away.actor.ts';

/** Why a connection was not let through. */
export type HeaderTrouble = 'untrusted' | 'invalid' | 'timeout' | 'too-many';

/** What the configuration of a listener says. */
export interface ProxyRules {
  trusted: Networks;
  headerWaitMaxMs: number;
}

export interface BalancedPeer extends UnwantedPeer {
  /** Normalized address of the balancer. */
  address: string;
}

/** The normalized address of the client; `undefined` when the header names nobody. */
export type OnClient = (clientAddress: string | undefined) => void;

export interface BalancedPeersOptions {
  /** Connections whose header is awaited. */
  waitingMax: number;
  turningAway: TurningAway;
  instruments: Pick<Instruments, 'headerRefused'>;
  /** `detail` is not what makes a trouble a new one. */
  onTrouble: (reason: string, detail: string) => void;
}

/** How a wait ended without a client. `silent`: without an octet, as health checks do. */
type Failure = { trouble: Exclude<HeaderTrouble, 'untrusted' | 'too-many'>; reason: string } | 'silent';

interface WaitEnd {
  found: OnClient;
  failed: (failure: Failure) => void;
}

/** One connection whose header is awaited. Ends once. */
class HeaderWait {
  readonly #socket: Socket;
  readonly #end: WaitEnd;
  readonly #reader = new ProxyHeaderReader();
  readonly #timer: NodeJS.Timeout;
  readonly #onData = (octets: Buffer) => this.#arrived(octets);
  readonly #onGone = () => this.#gone();

  constructor(socket: Socket, waitMaxMs: number, end: WaitEnd) {
    this.#socket = socket;
    this.#end = end;
    this.#timer = setTimeout(
      () => this.#fail({ trouble: 'timeout', reason: 'no header in time' }),
      waitMaxMs,
    );
    socket.on('data', this.#onData).on('end', this.#onGone).on('close', this.#onGone);
  }

  /** Ends it; nothing is told. */
  forget(): void {
    clearTimeout(this.#timer);
    this.#socket.off('data', this.#onData).off('end', this.#onGone).off('close', this.#onGone);
  }

  #arrived(octets: Buffer): void {
    const header = this.#reader.push(octets);
    switch (header.kind) {
      case 'incomplete':
        return;
      case 'refused':
        this.#fail({ trouble: 'invalid', reason: header.reason });
        return;
      case 'unnamed':
        this.#letThrough(header.octets, undefined);
        return;
      case 'proxied':
        this.#letThrough(header.octets, normalizedAddress(header.source.address));
        return;
    }
  }

  #letThrough(headerOctets: number, clientAddress: string | undefined): void {
    this.forget();
    this.#socket.pause();
    const rest = this.#reader.rest(headerOctets);
    // Back into the socket: whoever reads it next, a TLS handshake too, finds it there.
    if (rest.length > 0) this.#socket.unshift(rest);
    this.#end.found(clientAddress);
  }

  #gone(): void {
    const isSilent = this.#reader.isEmpty;
    this.#fail(isSilent ? 'silent' : { trouble: 'invalid', reason: 'it ended within its header' });
  }

  #fail(failure: Failure): void {
    this.forget();
    this.#end.failed(failure);
  }
}

export class BalancedPeers {
  readonly #options: BalancedPeersOptions;
  readonly #waits = new Map<BalancedPeer, HeaderWait>();

  constructor(options: BalancedPeersOptions) {
    this.#options = options;
  }

  /** Calls `onClient` once the header is there; the socket is paused then, and has all that came behind it. */
  accept(peer: BalancedPeer, { trusted, headerWaitMaxMs }: ProxyRules, onClient: OnClient): void {
    const { socket, address } = peer;
    const { turningAway, waitingMax } = this.#options;
    socket.on('error', () => {});
    if (!trusted.holds(address)) {
      this.#say('untrusted', 'it does not come from a trusted network', peer);
      turningAway.say(replyText('notTrusted'), peer);
      return;
    }
    if (this.#waits.size >= waitingMax) {
      this.#say('too-many', 'too many wait for theirs', peer);
      socket.destroy();
      return;
    }
    const wait = new HeaderWait(socket, headerWaitMaxMs, {
      found: (clientAddress) => {
        this.#waits.delete(peer);
        onClient(clientAddress);
      },
      failed: (failure) => {
        this.#waits.delete(peer);
        if (failure !== 'silent') this.#say(failure.trouble, failure.reason, peer);
        socket.destroy();
      },
    });
    this.#waits.set(peer, wait);
  }

  /** Says goodbye to those whose header has not come. */
  stop(): void {
    for (const [peer, wait] of this.#waits) {
      wait.forget();
      this.#options.turningAway.say(replyText('shuttingDown'), peer);
    }
    this.#waits.clear();
  }

  #say(trouble: HeaderTrouble, reason: string, { address }: BalancedPeer): void {
    this.#options.instruments.headerRefused(trouble);
    this.#options.onTrouble(`a connection is closed for its PROXY header: ${reason}`, ` (from ${address})`);
  }
}
