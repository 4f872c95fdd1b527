// Puts the octets of one mail on a wire: all at once, or piece by piece as fast as the server takes them and never more
// than one piece ahead of it. It stuffs dots where the mail has lines that start with one.
//
// Fails: `missing` or `unavailable` when a piece cannot be had.
import type { Frame } from '#libs/pack/pack.ts';
import { Stuffer } from '#libs/smtp/stuffing.ts';
import { MailData, type MailDataRead } from '../mail-data.ts';
import type { PackCache } from '../pack-cache.actor.ts';
import type { Wire } from './wire.actor.ts';

export type StreamEnd = 'sent' | 'missing' | 'unavailable';

const LF = 10;

export class MailWriter {
  readonly #cache: PackCache;
  readonly #frame: Frame;
  readonly #stuffer: Stuffer | undefined;
  #stream: { wire: Pick<Wire, 'write'>; data: MailData; onEnd: (end: StreamEnd) => void } | undefined;
  #waitsFor: 'nothing' | 'the wire' | 'the mail' = 'nothing';
  #lastOctet = LF;

  constructor(cache: PackCache, frame: Frame) {
    this.#cache = cache;
    this.#frame = frame;
    this.#stuffer = frame.envelope.hasDotLines ? new Stuffer() : undefined;
  }

  /** What a stream waits for at the moment. */
  get waitsFor(): 'nothing' | 'the wire' | 'the mail' {
    return this.#waitsFor;
  }

  /** Writes the mail that is whole in its frame, and the final dot. */
  sendWhole(wire: Pick<Wire, 'write'>): void {
    const { prepended, data } = this.#frame;
    const pieces = this.#prepare([prepended, data]);
    wire.write(pieces, this.#dot());
  }

  /** Begins to write piece by piece; `onEnd` is called once, maybe at once, never after `stop`. */
  stream(wire: Pick<Wire, 'write'>, onEnd: (end: StreamEnd) => void): void {
    this.#stream = { wire, data: new MailData(this.#cache, this.#frame), onEnd };
    this.#next();
  }

  /** The wire takes more. */
  drained(): void {
    if (this.#waitsFor === 'the wire') this.#next();
  }

  /** Writes the final dot of a mail that was streamed. */
  sendDot(wire: Pick<Wire, 'write'>): void {
    wire.write([], this.#dot());
  }

  #next(): void {
    this.#waitsFor = 'the mail';
    this.#stream!.data.read((read) => this.#write(read));
  }

  #write(read: MailDataRead): void {
    const { wire, onEnd } = this.#stream!;
    if (read.kind !== 'pieces') {
      this.#waitsFor = 'nothing';
      onEnd(read.kind === 'end' ? 'sent' : read.kind);
      return;
    }
    const flow = wire.write(this.#prepare(read.pieces), '');
    if (flow === 'flows') this.#next();
    else this.#waitsFor = 'the wire';
  }

  #prepare(pieces: readonly Uint8Array[]): readonly Uint8Array[] {
    for (const piece of pieces) this.#lastOctet = piece.at(-1) ?? this.#lastOctet;
    return this.#stuffer === undefined ? pieces : this.#stuffer.stuff(pieces);
  }

  /** A last line without its end gets one: its dot must stand on a line of its own (RFC 5321 §4.1.1.4). */
  #dot(): string {
    return this.#lastOctet === LF ? '.\r\n' : '\r\n.\r\n';
  }
}
