// A link to NATS as heartbeats see it, which can be cut while everything else goes on: the process then only seems dead.
import { subjects } from '#libs/nats/layout.ts';
import type { Incoming, Link, LinkSubscription } from '#libs/nats/link.ts';
import { Presence } from '#proto/postrider/v1/job.ts';

/** What heartbeats see of a link; when it is cut, the others have heard a goodbye. */
export class CutLink {
  readonly instance: string;
  readonly #link: Link;
  #isCut = false;

  constructor(link: Link) {
    this.#link = link;
    this.instance = link.instance;
  }

  get connected(): boolean {
    return this.#link.connected && !this.#isCut;
  }

  publish(subject: string, payload: Uint8Array): boolean {
    return !this.#isCut && this.#link.publish(subject, payload);
  }

  subscribe(subject: string, onMessage: (message: Incoming) => void): LinkSubscription {
    return this.#link.subscribe(subject, (message) => {
      if (!this.#isCut) onMessage(message);
    });
  }

  onReconnected(hear: () => void): () => void {
    return this.#link.onReconnected(hear);
  }

  async confirm(): Promise<boolean> {
    const isConfirmed = await this.#link.confirm();
    return isConfirmed && !this.#isCut;
  }

  flush(): Promise<void> {
    return this.#link.flush();
  }

  cut(): void {
    const { instance } = this;
    const goodbye = {
      service: 'queue',
      instance,
      startedAtMs: 0,
      leaving: true,
      passive: false,
      holds: Buffer.alloc(0),
      clockMs: 0,
      wallClockMs: 0,
    };
    this.publish(subjects.presence('queue'), Presence.encode(goodbye).finish());
    this.#isCut = true;
  }
}
