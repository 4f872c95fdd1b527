// The socket of one client: plain, then maybe TLS. It knows nothing of SMTP.
//
// Fails: whatever ends the socket is told once, as `gone`.
import type { Socket } from 'node:net';
import { type SecureContext, TLSSocket } from 'node:tls';

export interface WireListener {
  /** The chunk is the listener's to keep. */
  arrived(chunk: Buffer): void;
  /** All that was written has gone to the system; told after a write that did not go at once. */
  drained(): void;
  /** The client says nothing more; it may still read. */
  ended(): void;
  /** The handshake is done. */
  secured(): void;
  gone(): void;
}

export class ClientWire {
  #socket: Socket;
  /** Undefined when nobody listens any more. */
  #listener: WireListener | undefined;
  #isPaused = false;
  readonly #onData = (chunk: Buffer) => this.#listener?.arrived(chunk);
  readonly #onDrain = () => this.#listener?.drained();
  readonly #onEnd = () => this.#listener?.ended();
  readonly #onClose = () => this.#gone();

  constructor(socket: Socket) {
    this.#socket = socket;
    // Once for all: what an error ends is told by `close`.
    socket.on('error', () => {});
    socket.on('close', this.#onClose);
  }

  /** Begins to read; the socket may have been paused, with octets in it. */
  listen(listener: WireListener): void {
    this.#listener = listener;
    this.#hear(this.#socket);
    this.#socket.resume();
  }

  /** Begins with the handshake, as the server; what is in the socket already is part of it. */
  listenSecured(listener: WireListener, context: SecureContext): void {
    this.#listener = listener;
    this.#socket.pause();
    this.#handshake(this.#socket, context);
  }

  /** "TLSv1.3"; '' without TLS, and before the handshake is done. */
  get tlsVersion(): string {
    return this.#socket instanceof TLSSocket ? (this.#socket.getProtocol() ?? '') : '';
  }

  /** Octets that wait for the client to read. */
  get unsent(): number {
    return this.#socket.writableLength;
  }

  /** `text` is ASCII. */
  write(text: string): void {
    this.#socket.write(text, 'latin1');
  }

  pause(): void {
    if (this.#isPaused) return;
    this.#isPaused = true;
    this.#socket.pause();
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#socket.resume();
  }

  /**
   * Writes `text`, and then does the handshake as the server: `secured` or `gone` is told. Nothing that was received
   * before survives (RFC 3207 §4.2): what this end has not read yet is dropped, and the rest is no handshake.
   */
  startTls(context: SecureContext, text: string): void {
    const plain = this.#socket;
    plain.off('data', this.#onData).off('drain', this.#onDrain).off('end', this.#onEnd);
    plain.pause();
    while (plain.read() !== null);
    this.#isPaused = false;
    plain.write(text, 'latin1', () => this.#handshake(plain, context));
  }

  /** Writes `text` and ends; the client may still say what it likes. */
  end(text: string): void {
    this.#socket.end(text, 'latin1');
    this.resume();
  }

  /** Drops the connection; `gone` is told. */
  destroy(): void {
    this.#socket.destroy();
  }

  #handshake(plain: Socket, context: SecureContext): void {
    if (plain.destroyed || this.#listener === undefined) return;
    const secure = new TLSSocket(plain, { isServer: true, secureContext: context });
    this.#socket = secure;
    secure.once('secure', () => this.#listener?.secured());
    secure.on('error', () => {});
    secure.on('close', this.#onClose);
    this.#hear(secure);
  }

  #hear(socket: Socket): void {
    socket.on('data', this.#onData);
    socket.on('drain', this.#onDrain);
    socket.on('end', this.#onEnd);
  }

  #gone(): void {
    const listener = this.#listener;
    this.#listener = undefined;
    this.#socket.destroy();
    listener?.gone();
  }
}
