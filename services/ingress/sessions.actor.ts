// All sessions of this process: at most so many, one timer for their silences, and their goodbyes when it stops.
//
// Fails: a connection over the limit is answered 421 and closed; over a second, small limit it is closed without a word.
import type { Socket } from 'node:net';
import { openSession, receive } from '#libs/smtp/server.machine.ts';
import { ClientWire } from './client-wire.actor.ts';
import { Session, type SessionOrigin } from './session.actor.ts';
import type { SessionContext } from './session-context.ts';

export interface SessionsOptions {
  sessionsMax: number;
  idleMaxMs: number;
  /** The context of the sessions, but for `left` and `now`, which are ours. */
  context: Omit<SessionContext, 'left' | 'now'>;
  now: () => number;
}

/** Connections that are being turned away at the same time. */
const TURNING_AWAY_MAX = 100;
const TURN_AWAY_WAIT_MS = 5000;
/** While memory is short, who is silent for so long makes room (RFC 5321 §4.5.3.2 would give it minutes). */
const IDLE_SHORT_MS = 60_000;
/** Share of the budget in use from which memory is short. */
const SHORT_SHARE = 7 / 8;

export class Sessions {
  readonly #options: SessionsOptions;
  readonly #context: SessionContext;
  readonly #sessions = new Set<Session>();
  readonly #turningAway = new Map<Socket, number>();
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
    for (const [socket, sinceMs] of this.#turningAway) {
      if (this.#nowMs - sinceMs > TURN_AWAY_WAIT_MS) socket.destroy();
    }
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
    for (const socket of this.#turningAway.keys()) socket.destroy();
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

  #turnAway(socket: Socket, origin: SessionOrigin): void {
    this.#context.instruments.turnedAway++;
    socket.on('error', () => {});
    if (this.#turningAway.size >= TURNING_AWAY_MAX || origin.tls === 'implicit') {
      socket.destroy();
      return;
    }
    this.#turningAway.set(socket, this.#nowMs);
    socket.once('close', () => this.#turningAway.delete(socket));
    const kind = this.#isStopping ? 'shutdown' : 'overload';
    for (const effect of receive(openSession('off'), { kind }, origin.policy)) {
      if (effect.do === 'reply') socket.write(effect.text, 'latin1');
    }
    socket.resume();
    socket.end();
  }
}
