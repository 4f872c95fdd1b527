// Messages of NATS as they come in.
import type { Msg } from '@nats-io/nats-core';

/** A message as a subscriber sees it; `reply` is '' when nobody waits for an answer. */
export interface Incoming {
  readonly subject: string;
  readonly data: Uint8Array;
  readonly reply: string;
}

/** A message with what JetStream adds: a status (404, 100, ...; 0 for none) and headers. */
export interface IncomingRecord extends Incoming {
  readonly status: number;
  header(name: string): string | undefined;
}

export class NatsRecord implements IncomingRecord {
  readonly #message: Msg;

  constructor(message: Msg) {
    this.#message = message;
  }

  get subject(): string {
    return this.#message.subject;
  }
  get data(): Uint8Array {
    return this.#message.data;
  }
  get reply(): string {
    return this.#message.reply ?? '';
  }
  get status(): number {
    return this.#message.headers?.code ?? 0;
  }
  header(name: string): string | undefined {
    const headers = this.#message.headers;
    return headers?.has(name) ? headers.get(name) : undefined;
  }
}
