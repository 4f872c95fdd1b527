// The one place where what comes in over NATS is read. Whoever may publish can send anything, and another version may send what
// we do not know: what cannot be read, or says what cannot be, is dropped; its sender repeats what matters.
//
// Fails: never; each message that cannot be read is told to whoever watches (`onUnreadable`), and everything else goes on.
import type { Incoming, Link, LinkSubscription } from './link.ts';

/** What messages of a kind look like. */
export interface Wire<T> {
  /** Throws when the octets are none. */
  decode(data: Uint8Array): T;
  /** What is wrong with one that can be read; absent when nothing can be. Octets of nothing are a message of defaults. */
  flawOf?(message: T): string | undefined;
}

/** A message that was dropped. */
export interface Unreadable {
  /** What its subject begins with: "outcome", "presence". */
  kind: string;
  octets: number;
  reason: string;
}

let watch: (message: Unreadable) => void = () => {};

/** `hear` is called for each message that cannot be read, of all links of the process; one at a time may watch. */
export function onUnreadable(hear: (message: Unreadable) => void): void {
  watch = hear;
}

/** The message; undefined, and a word to who watches, when it cannot be read. `subject`: where it came, or what was asked. */
export function readMessage<T>(wire: Wire<T>, data: Uint8Array, subject: string): T | undefined {
  let reason: string | undefined;
  try {
    const message = wire.decode(data);
    reason = wire.flawOf?.(message);
    if (reason === undefined) return message;
  } catch (error) {
    reason = String(error);
  }
  watch({ kind: subject.split('.', 1)[0]!, octets: data.length, reason });
  return undefined;
}

/** Those of a message's parts that have no flaw; a word to who watches about the others, as about a message of its own. */
export function readParts<T>(
  parts: readonly T[],
  flawOf: (part: T) => string | undefined,
  { data, subject }: Pick<Incoming, 'data' | 'subject'>,
): readonly T[] {
  const flawed = parts.find((part) => flawOf(part) !== undefined);
  if (flawed === undefined) return parts;
  const whole = parts.filter((part) => flawOf(part) === undefined);
  const reason = `${parts.length - whole.length} of ${parts.length} parts: ${flawOf(flawed)}`;
  watch({ kind: subject.split('.', 1)[0]!, octets: data.length, reason });
  return whole;
}

export interface Listening<T> {
  subject: string;
  wire: Wire<T>;
  onMessage: (message: T, incoming: Incoming) => void;
  /** Each message goes to one of the group only. */
  workerGroup?: string;
}

/** Subscribes; what cannot be read is not heard. */
export function listen<T>(
  link: Pick<Link, 'subscribe'>,
  { subject, wire, onMessage, workerGroup }: Listening<T>,
): LinkSubscription {
  const hear = (incoming: Incoming) => {
    const message = readMessage(wire, incoming.data, incoming.subject);
    if (message !== undefined) onMessage(message, incoming);
  };
  return link.subscribe(subject, hear, workerGroup === undefined ? {} : { workerGroup });
}
