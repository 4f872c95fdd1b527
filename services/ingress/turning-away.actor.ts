// Connections that hear one reply and are closed: those over a limit, those that come while the service stops, and peers
// that have no business here.
//
// Fails: over a limit of their own, and where TLS comes first, they are closed without a word.
import type { Socket } from 'node:net';

/** Connections that are being turned away at the same time. */
const TURNING_AWAY_MAX = 100;
const TURN_AWAY_WAIT_MS = 5000;
/** How long a stop waits for them to read their reply. */
const STOP_WAIT_MS = 1000;

export interface UnwantedPeer {
  socket: Socket;
  tls: 'none' | 'starttls' | 'implicit';
}

export class TurningAway {
  readonly #now: () => number;
  readonly #leaving = new Map<Socket, number>();
  #onEmpty: (() => void) | undefined;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Says `reply`, which ends with CRLF, and closes. */
  say(reply: string, { socket, tls }: UnwantedPeer): void {
    socket.on('error', () => {});
    if (this.#leaving.size >= TURNING_AWAY_MAX || tls === 'implicit') {
      socket.destroy();
      return;
    }
    this.#leaving.set(socket, this.#now());
    socket.once('close', () => this.#left(socket));
    // What it says is read and dropped: a connection that is closed with octets unread loses what was written to it.
    socket.resume();
    socket.end(reply, 'latin1');
  }

  /** Drops those that do not go. Called about once a second. */
  sweep(): void {
    const beforeMs = this.#now() - TURN_AWAY_WAIT_MS;
    for (const [socket, sinceMs] of this.#leaving) {
      if (sinceMs < beforeMs) socket.destroy();
    }
  }

  /** Resolves when all are gone, soon. */
  async stop(): Promise<void> {
    if (this.#leaving.size === 0) return;
    await new Promise<void>((done) => {
      const timer = setTimeout(done, STOP_WAIT_MS);
      this.#onEmpty = () => {
        clearTimeout(timer);
        done();
      };
    });
    for (const socket of this.#leaving.keys()) socket.destroy();
  }

  #left(socket: Socket): void {
    this.#leaving.delete(socket);
    if (this.#leaving.size === 0) this.#onEmpty?.();
  }
}
