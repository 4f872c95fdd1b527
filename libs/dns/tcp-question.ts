// One question over TCP, for answers that UDP cannot carry (RFC 7766): a connection of its own, closed after the answer.
//
// Fails: as udp-port.ts; an answer to something else, or a stream that ends early, is `silent`.
import { randomInt } from 'node:crypto';
import { connect } from 'node:net';
import type { DnsQuestion } from './answer.ts';
import { answersQuestion, encodeQuestion } from './message.ts';
import type { ServerAddress } from './server-address.ts';
import type { Exchange } from './udp-port.ts';

/** Ends within `timeoutMs`, or at once when `cut` says so. */
export function askOverTcp(
  server: ServerAddress,
  question: DnsQuestion,
  options: { timeoutMs: number; cut: AbortSignal },
): Promise<Exchange> {
  const asked = encodeQuestion(question, randomInt(0x1_0000));
  return new Promise((onEnd) => {
    const socket = connect({ host: server.address, port: server.port, signal: options.cut });
    const reader = new LengthPrefixed();
    const end = (exchange: Exchange) => {
      clearTimeout(timer);
      socket.destroy();
      onEnd(exchange);
    };
    const timer = setTimeout(() => end({ kind: 'silent' }), options.timeoutMs);
    socket.on('error', () => end({ kind: 'unreachable' }));
    socket.on('close', () => end({ kind: 'silent' }));
    socket.on('connect', () => socket.write(Buffer.concat([lengthOf(asked), asked])));
    socket.on('data', (piece) => {
      const message = reader.add(piece);
      if (message === undefined) return;
      end(answersQuestion(message, asked) ? { kind: 'message', message } : { kind: 'silent' });
    });
  });
}

function lengthOf(message: Buffer): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(message.length);
  return length;
}

/** Puts the first message of a stream together: two octets of length, then so many octets. At most 64 KiB are kept. */
export class LengthPrefixed {
  #pieces: Buffer[] = [];
  #octets = 0;

  /** The message when it is whole. */
  add(piece: Buffer): Buffer | undefined {
    this.#pieces.push(piece);
    this.#octets += piece.length;
    if (this.#octets < 2) return undefined;
    const stream = this.#pieces.length === 1 ? piece : Buffer.concat(this.#pieces);
    this.#pieces = [stream];
    const end = 2 + stream.readUInt16BE(0);
    return stream.length < end ? undefined : stream.subarray(2, end);
  }
}
