// All sessions of this process: at most so many, one timer for their silences, and their goodbyes when it stops.
//
// Fails: a connection over the limit is answered 421 and closed.
import type { Socket } from 'node:net';
import { replyText } from '#libs/smtp/server-replies.ts';
import { ClientWire } from './client-wire.actor.ts';
import { Session, type SessionOrigin } from './session.actor.ts';
import type { SessionContext } from './session-context.ts';
import type { TurningAway } from './turning-away.actor.ts';

export interface SessionsOptions {
  sessionsMax: number;
  idleMaxMs: number;
  /** The context of the sessions, but for `left` and `now`, which are ours. */
  context: Omit<SessionContext, 'left' | 'now'>;
  /** Of a clock that nobody sets. */
  now: () => number;
  /** For connections over the limit. */
  turningAway: TurningAway;
}

/** While memory is short, who is silent for so long makes room (RFC 5321 §4.5.3.2 would give it minutes). */
const IDLE_SHORT_MS = 60_000;
/** Share of the budget in use from which memory is short. */
const SHORT_SHARE = 7 / 8;

export class Sessions {
  readonly #options: SessionsOptions;
  readonly #context: SessionContext;
  readonly #sessions = new Set<Session>();
  readonly #onEmpty: (() => void)[] = [];
  #nowMs: number;
  #isStopping = false;

  constructor(options: SessionsOptions) {
    this.#options = options;
    this.#nowMs = options.now();
    this.#context = {
      ...options.context,
      now: () => this.#nowMs,
      left: (session) => this.#left(session),
    };
  }

  get size(): number {
    return this.#sessions.size;
  }

  /** A client has connected. */
  accept(socket: Socket, origin: SessionOrigin): void {
    if (this.#sessions.size >= this.#options.sessionsMax || this.#isStopping) {
      this.#turnAway(socket, origin);
      return;
    }
    const session = new Session(this.#context, new ClientWire(socket), origin);
    this.#sessions.add(session);
    session.start();
  }

  /** Called about once a second. */
  sweep(): void {
    this.#nowMs = this.#options.now();
    const { budget } = this.#context;
    const isShort = budget.used > budget.octetsMax * SHORT_SHARE;
    const { idleMaxMs } = this.#options;
    const patienceMs = isShort ? Math.min(idleMaxMs, IDLE_SHORT_MS) : idleMaxMs;
    for (const session of this.#sessions) session.sweep(this.#nowMs, patienceMs);
  }

  /**
   * Says goodbye to all and resolves when they are gone: first those that may leave, mail data and commits under way
   * finish; after `cutAfterMs` mail data is cut short; after `giveUpAfterMs` connections are dropped.
   */
  async stop({ cutAfterMs, giveUpAfterMs }: { cutAfterMs: number; giveUpAfterMs: number }): Promise<void> {
    this.#isStopping = true;
    this.#shutdown();
    await this.#empty(cutAfterMs);
    this.#shutdown();
    await this.#empty(giveUpAfterMs - cutAfterMs);
    for (const session of this.#sessions) session.destroy();
    await this.#empty(1000);
  }

  #shutdown(): void {
    for (const session of this.#sessions) session.shutdown();
  }

  /** Resolves when there is no session, or after `waitMs`. */
  #empty(waitMs: number): Promise<void> {
    if (this.#sessions.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, waitMs);
      this.#onEmpty.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  #left(session: Session): void {
    this.#sessions.delete(session);
    if (this.#sessions.size > 0) return;
    for (const hear of this.#onEmpty.splice(0)) hear();
  }

  #turnAway(socket: Socket, { tls }: SessionOrigin): void {
    this.#context.instruments.turnedAway++;
    const reply = replyText(this.#isStopping ? 'shuttingDown' : 'overloaded');
    this.#options.turningAway.say(reply, { socket, tls });
  }
}
