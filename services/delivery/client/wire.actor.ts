// One socket to a mail server: connects, turns to TLS, writes, and tells what comes. It knows nothing of SMTP but QUIT.
//
// Fails: whatever ends the socket is told once, as `lost` with the system's words.
import { connect, isIP, Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { Target } from '../route-order.ts';

export interface WireListener {
  connected(): void;
  secured(): void;
  /** `piece` is overwritten after the call. */
  arrived(piece: Buffer): void;
  /** All that was written has gone to the system; told after a `write` that was `full`. */
  drained(): void;
  /** Nothing comes any more. */
  lost(why: string): void;
}

/** How long a goodbye may take. */
const LEAVE_WITHIN_MS = 2000;

/**
 * All sockets are read into this one buffer: who listens has read a piece when it returns. Only what comes through TLS has
 * buffers of its own.
 */
const READ = Buffer.allocUnsafeSlow(16 * 1024);

export class Wire {
  readonly #target: Target;
  /** Undefined when nobody listens any more. */
  #listener: WireListener | undefined;
  #socket: Socket;
  #leaving: Socket | undefined;
  #onGone: (() => void) | undefined;
  #tls = '';
  #trouble = '';

  /** Begins to connect; tells nothing before it is returned. */
  constructor(target: Target, listener: WireListener) {
    this.#target = target;
    this.#listener = listener;
    this.#socket = socketTo(target, (octets) => this.#arrived(READ.subarray(0, octets)));
    this.#socket.setNoDelay(true);
    this.#socket.once('connect', () => this.#listener?.connected());
    this.#listen(this.#socket);
  }

  /** "", or protocol and cipher: "TLSv1.3 TLS_AES_256_GCM_SHA384". */
  get tls(): string {
    return this.#tls;
  }

  /** `text` is ASCII. */
  say(text: string): void {
    if (this.#listener !== undefined) this.#socket.write(text);
  }

  /** Writes pieces and what follows them in one go, without a copy; `full` when it is time to wait for `drained`. */
  write(pieces: readonly Uint8Array[], last: string): 'flows' | 'full' {
    if (this.#listener === undefined) return 'full';
    const socket = this.#socket;
    socket.cork();
    for (const piece of pieces) if (piece.length > 0) socket.write(piece);
    if (last !== '') socket.write(last);
    socket.uncork();
    return socket.writableNeedDrain ? 'full' : 'flows';
  }

  /** Begins the handshake. The certificate is not checked: encryption to an unknown host is better than none. */
  startTls(): void {
    const plain = this.#socket;
    for (const event of ['data', 'drain', 'close']) plain.removeAllListeners(event);
    const { name } = this.#target.host;
    const servername = isIP(name) === 0 && name.includes('.') ? { servername: name } : {};
    const secure = connectTls({ socket: plain, rejectUnauthorized: false, ...servername });
    secure.once('secureConnect', () => {
      this.#tls = `${secure.getProtocol() ?? ''} ${secure.getCipher()?.standardName ?? ''}`.trim();
      this.#listener?.secured();
    });
    this.#socket = secure;
    this.#listen(secure);
  }

  /** Says QUIT and ends when it is answered (RFC 5321 §4.1.1.10), or soon. Tells nothing more. */
  leave(): void {
    this.#listener = undefined;
    const socket = this.#socket;
    socket.write('QUIT\r\n');
    this.#leaving = socket;
    // Not the socket's own timeout: who goes on talking must not keep the connection.
    const timer = setTimeout(() => socket.destroy(), LEAVE_WITHIN_MS);
    socket.once('close', () => clearTimeout(timer));
  }

  /** `onGone` is called once, in a later turn, when the socket is closed. */
  whenGone(onGone: () => void): void {
    if (this.#socket.closed) setImmediate(onGone);
    else this.#onGone = onGone;
  }

  /** Drops the connection. Tells nothing more. */
  destroy(): void {
    this.#listener = undefined;
    this.#socket.destroy();
  }

  #arrived(piece: Buffer): void {
    this.#listener?.arrived(piece);
    // The goodbye is answered.
    this.#leaving?.end();
  }

  #listen(socket: Socket): void {
    socket.on('data', (piece: Buffer) => this.#arrived(piece));
    socket.on('drain', () => this.#listener?.drained());
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.#trouble = error.code ?? error.message;
    });
    socket.once('close', () => {
      const listener = this.#listener;
      this.#listener = undefined;
      listener?.lost(this.#trouble);
      this.#onGone?.();
    });
  }
}

/** A port or path that the system does not take at all fails like an address that does not answer. */
function socketTo({ host, address }: Target, onOctets: (octets: number) => void): Socket {
  const callback = (octets: number) => {
    onOctets(octets);
    return true;
  };
  const onread = { buffer: READ, callback };
  try {
    const place = host.unixPath === '' ? { host: address, port: host.port } : { path: host.unixPath };
    return connect({ ...place, onread });
  } catch (error) {
    return new Socket().destroy(error as Error);
  }
}
