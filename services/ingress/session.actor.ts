// One client's connection: bytes in, replies out, as server.machine.ts decides (server-session.ts tells how it is driven).
// Replies of one turn are written at once. What a client can make us hold is bounded: commands that wait, replies that it
// does not read, and (in the mail) data that has no room yet; the socket is paused until it is less.
//
// Fails: the connection ends -> the machine hears `disconnected`; silence -> `timeout`, by the one timer of all sessions.
import { FieldScanner } from '#libs/header/field-scanner.ts';
import { CommandSplitter } from '#libs/smtp/command-splitter.ts';
import { DataReader } from '#libs/smtp/data-reader.ts';
import {
  awaitsClient,
  openSession,
  receive,
  type ServerPolicy,
  takesCommands,
} from '#libs/smtp/server.machine.ts';
import type {
  ClientGreeting,
  CommitTrouble,
  RecipientVerdict,
  ServerEffect,
  ServerInput,
  ServerSession,
  Transaction,
} from '#libs/smtp/server-session.ts';
import type { ArrivingMail, MailOwner } from './arriving-mail.actor.ts';
import { READ_OCTETS } from './arriving-mail.actor.ts';
import type { ClientWire, WireListener } from './client-wire.actor.ts';
import type { VerdictListener } from './recipients.actor.ts';
import type { SessionContext } from './session-context.ts';

/** What a session is told of its listener and client. */
export interface SessionOrigin {
  policy: ServerPolicy;
  tls: 'none' | 'starttls' | 'implicit';
  role: 'mx' | 'relay';
  /** A balancer that names no client: a health check, mostly; it counts nowhere. */
  peer: 'client' | 'balancer';
  /** Normalized; '' for a Unix socket. A balancer's own when it names no client. */
  clientAddress: string;
}

/** Octets of commands that wait while the session waits; more pauses the socket. */
const COMMANDS_WAITING_MAX = READ_OCTETS;
/** Octets of replies that are gathered before they are written. */
const REPLIES_GATHERED_MAX = 16 * 1024;
/** Octets of replies that the client has not read; more pauses its commands. */
const REPLIES_UNREAD_MAX = 64 * 1024;
/** RFC 5321 §4.5.3.1.6 asks for 1000 at least; what senders produce in practice is longer, and harms nobody here. */
const LINE_OCTETS_MAX = 64 * 1024;
const HANDSHAKE_WAIT_MS = 30_000;
/** How long a client may take to read the last reply. */
const FAREWELL_WAIT_MS = 10_000;
/** Octets of forward-paths of a transaction that no budget counts. */
const PATHS_FREE_OCTETS = 4096;
/** Octets that a forward-path takes beside its own. */
const PATH_OCTETS = 64;
/** The same where it is stored: `recipientRoom` counts it so. */
const STORED_PATH_OCTETS = 4;

export class Session implements WireListener, MailOwner, VerdictListener {
  readonly #context: SessionContext;
  readonly #origin: SessionOrigin;
  readonly #wire: ClientWire;
  readonly #machine: ServerSession;
  readonly #splitter = new CommandSplitter();
  readonly #scanner = new FieldScanner();
  readonly #reader: DataReader;
  #mail: ArrivingMail | undefined;
  #mailIsFull = false;
  /** Replies of this turn. */
  #replies = '';
  /** What is done with the wire once they are written. */
  #then: 'nothing' | 'startTls' | 'end' = 'nothing';
  #hasSpoken = false;
  #hasEnded = false;
  #tlsVersion = '';
  #sinceMs: number;
  /** Octets of forward-paths, and those of them that the budget counts. */
  #pathOctets = 0;
  #pathOctetsReserved = 0;
  /** Forward-paths of the transaction, those that were refused included. */
  #paths = 0;

  constructor(context: SessionContext, wire: ClientWire, origin: SessionOrigin) {
    this.#context = context;
    this.#wire = wire;
    this.#origin = origin;
    this.#machine = openSession(origin.tls === 'implicit' ? 'on' : 'off');
    this.#reader = new DataReader({
      octetsMax: origin.policy.messageSizeMax,
      lineOctetsMax: LINE_OCTETS_MAX,
    });
    this.#sinceMs = context.now();
  }

  /** Greets the client, or begins the handshake before that. */
  start(): void {
    if (this.#origin.tls === 'implicit') {
      this.#wire.listenSecured(this, this.#context.tls!.context);
      return;
    }
    this.#wire.listen(this);
    this.#hear({ kind: 'connected' });
  }

  arrived(chunk: Buffer): void {
    const { name } = this.#machine.phase;
    if (name === 'closed') return;
    this.#sinceMs = this.#context.now();
    if (!this.#hasSpoken) this.#spoke();
    if (name === 'receiving') this.#takeData(chunk);
    else this.#splitter.push(chunk);
    this.#turn();
  }

  drained(): void {
    this.#sinceMs = this.#context.now();
    this.#turn();
  }

  ended(): void {
    this.#hasEnded = true;
    const { name } = this.#machine.phase;
    if (name === 'arriving' || name === 'securing')
      this.#wire.destroy(); // no handshake comes from it any more
    else this.#turn();
  }

  secured(): void {
    this.#tlsVersion = this.#wire.tlsVersion;
    this.#hear(this.#machine.phase.name === 'arriving' ? { kind: 'connected' } : { kind: 'tlsEstablished' });
  }

  gone(): void {
    this.#mail?.ownerGone();
    this.#mail = undefined;
    this.#feed({ kind: 'disconnected' });
    this.#givePathsBack();
    if (this.#hasSpoken && this.#isClient) this.#context.instruments.left(this.#tlsVersion);
    this.#context.left(this);
  }

  verdictFound(verdict: RecipientVerdict): void {
    this.#hear({ kind: 'recipientVerdict', verdict });
  }

  roomAgain(): void {
    this.#mailIsFull = false;
    this.#sinceMs = this.#context.now();
    this.#turn();
  }

  committed(queueId: string): void {
    this.#mail = undefined;
    this.#context.instruments.accepted++;
    this.#hear({ kind: 'committed', queueId });
  }

  commitFailed(trouble: CommitTrouble): void {
    this.#mail = undefined;
    this.#hear({ kind: 'commitFailed', trouble });
  }

  /** Says goodbye as soon as the machine may; the second time mail data is cut short. */
  shutdown(): void {
    if (this.#machine.phase.name === 'arriving') this.#wire.destroy();
    else this.#hear({ kind: 'shutdown' });
  }

  /** Drops the connection. */
  destroy(): void {
    this.#wire.destroy();
  }

  /** Time passes; called by the one timer of all sessions. */
  sweep(nowMs: number, idleMaxMs: number): void {
    const silentMs = nowMs - this.#sinceMs;
    const { name } = this.#machine.phase;
    if (name === 'closed' || name === 'arriving') {
      const patienceMs = name === 'closed' ? FAREWELL_WAIT_MS : HANDSHAKE_WAIT_MS;
      if (silentMs > patienceMs) this.#wire.destroy();
      return;
    }
    const patienceMs = name === 'securing' ? Math.min(idleMaxMs, HANDSHAKE_WAIT_MS) : idleMaxMs;
    if (silentMs > patienceMs && awaitsClient(this.#machine) && !this.#mailIsFull) {
      this.#hear({ kind: 'timeout' });
    }
  }

  get #isClient(): boolean {
    return this.#origin.peer === 'client';
  }

  #spoke(): void {
    this.#hasSpoken = true;
    if (this.#isClient) this.#context.instruments.spoke(this.#origin);
  }

  /** A fact that did not come from the client. */
  #hear(input: ServerInput): void {
    this.#sinceMs = this.#context.now();
    this.#feed(input);
    this.#turn();
  }

  #feed(input: ServerInput): void {
    const effects = receive(this.#machine, input, this.#origin.policy);
    for (let i = 0; i < effects.length; i++) this.#perform(effects[i]!);
  }

  /** Goes on with the commands that wait, as far as they may, and writes the replies. */
  #turn(): void {
    while (takesCommands(this.#machine)) {
      if (this.#replies.length > REPLIES_GATHERED_MAX) this.#write();
      if (this.#isUnread) break;
      const command = this.#splitter.next();
      if (command === undefined) break;
      if (command.verb === 'MAIL') this.#learnStorage();
      this.#feed(command);
    }
    if (this.#hasEnded && awaitsClient(this.#machine) && !this.#isUnread) this.#lastWord();
    if (this.#pathOctets > 0) this.#endTransaction();
    this.#write();
    // What comes after the last word is read and dropped: a connection closed with octets unread loses its replies.
    if (this.#machine.phase.name === 'closed') this.#splitter.clear();
    else if (this.#splitter.size > COMMANDS_WAITING_MAX || this.#mailIsFull || this.#isUnread)
      this.#wire.pause();
    else this.#wire.resume();
  }

  #learnStorage(): void {
    const storage = this.#context.storage();
    if (storage !== this.#machine.storage) this.#feed({ kind: 'storage', storage });
  }

  get #isUnread(): boolean {
    return this.#wire.unsent > REPLIES_UNREAD_MAX;
  }

  /** The client has ended and all that it said is answered. */
  #lastWord(): void {
    this.#feed({ kind: 'disconnected' });
    this.#then = 'end';
  }

  #write(): void {
    const text = this.#replies;
    const then = this.#then;
    this.#replies = '';
    this.#then = 'nothing';
    if (then === 'end') this.#wire.end(text);
    else if (then === 'startTls') this.#wire.startTls(this.#context.tls!.context, text);
    else if (text !== '') this.#wire.write(text);
  }

  #perform(effect: ServerEffect): void {
    switch (effect.do) {
      case 'reply':
        this.#replies += effect.text;
        this.#context.instruments.replied(effect.text);
        break;
      case 'verifyRecipient':
        this.#verify(effect.forwardPath, effect.domain);
        break;
      case 'openData':
        this.#openData(effect.transaction);
        break;
      case 'commit':
        this.#commit(effect.client);
        break;
      case 'abandonData':
        this.#mail?.abandon(effect.code);
        this.#mail = undefined;
        this.#mailIsFull = false;
        break;
      case 'startTls':
        this.#splitter.clear();
        this.#then = 'startTls';
        break;
      case 'close':
        this.#then = 'end';
        break;
    }
  }

  #verify(forwardPath: string, domain: string): void {
    const { recipients } = this.#context;
    if (!this.#reservePath(forwardPath.length + PATH_OCTETS)) {
      this.#feed({ kind: 'recipientVerdict', verdict: 'deferred' });
      return;
    }
    if (!this.#hasRoom) {
      this.#feed({ kind: 'recipientVerdict', verdict: 'no-room' });
      return;
    }
    const verdict = recipients.known(forwardPath, domain);
    if (verdict === undefined) recipients.ask(forwardPath, domain, this);
    else this.#feed({ kind: 'recipientVerdict', verdict });
  }

  /** An envelope with all recipients that were named so far can be stored. */
  get #hasRoom(): boolean {
    const { recipients, pathOctets } = this.#context.recipientRoom();
    const octets = this.#pathOctets - (PATH_OCTETS - STORED_PATH_OCTETS) * this.#paths;
    return this.#paths <= recipients && octets <= pathOctets;
  }

  #openData(transaction: Transaction): void {
    const mail = this.#context.openMail({
      owner: this,
      reader: this.#reader,
      scanner: this.#scanner,
      clientAddress: this.#origin.clientAddress,
      listenerRole: this.#origin.role,
      tlsVersion: this.#tlsVersion,
      transaction,
    });
    if (mail === undefined) {
      this.#feed({ kind: 'dataRefused' });
      return;
    }
    this.#mail = mail;
    this.#reader.reset();
    this.#scanner.reset();
    this.#feed({ kind: 'dataOpened' });
    if (this.#machine.phase.name !== 'receiving') return;
    const first = this.#splitter.takeRest();
    if (first.length > 0) this.#takeData(first);
  }

  #takeData(chunk: Buffer): void {
    const rest = this.#reader.push(chunk);
    if (rest === undefined) {
      this.#mailIsFull = this.#mail!.arrived() === 'full';
      return;
    }
    this.#mail!.ended();
    const { receivedFields } = this.#scanner;
    this.#feed({ kind: 'dataFinished', end: this.#reader.end, receivedFields });
    if (rest.length > 0) this.#splitter.push(rest);
  }

  #commit(client: ClientGreeting): void {
    const trouble = this.#mail!.finish(client);
    if (trouble === undefined) return;
    this.#mail = undefined;
    this.#feed({ kind: 'commitFailed', trouble });
  }

  /** False when a transaction with so many recipients has no room in memory. */
  #reservePath(octets: number): boolean {
    this.#pathOctets += octets;
    this.#paths += 1;
    if (this.#pathOctets <= PATHS_FREE_OCTETS) return true;
    if (!this.#context.budget.grow(octets)) return false;
    this.#pathOctetsReserved += octets;
    return true;
  }

  #endTransaction(): void {
    const { name } = this.#machine.phase;
    if (name === 'ready' || name === 'greeted' || name === 'closed') this.#givePathsBack();
  }

  #givePathsBack(): void {
    if (this.#pathOctetsReserved > 0) this.#context.budget.giveBack(this.#pathOctetsReserved);
    this.#pathOctets = 0;
    this.#paths = 0;
    this.#pathOctetsReserved = 0;
  }
}
