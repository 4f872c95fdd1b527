// The mails of one partition in its owner's memory: by queue id, by their next wake-up, and those that are young. Pure.
import type { SteadyClock } from '#libs/shell/steady-clock.ts';
import type { MailState, PackEntry } from '#proto/postrider/v1/mail.ts';
import { believedAcceptance } from './acceptance.ts';
import { type Custody, newCustody } from './custody.ts';
import type { Interned } from './interned.ts';
import { KnownReports } from './known-reports.ts';
import { domainsOf, type Message, meet, messageFromPack, messageFromState } from './message.ts';
import { YOUNG_MS } from './message-reviews.ts';
import type { PackLedger } from './pack-ledger.ts';
import { TimerHeap } from './timers.ts';

export interface MailsOptions {
  ledger: PackLedger;
  interned: Interned;
  /** Stream of the partition's packs. */
  stream: string;
  /** What is stored has times of wall clocks. */
  clock: Pick<SteadyClock, 'toWall' | 'fromWall'>;
  /** The longest time before the attempt that follows so many deferrals. */
  waitMsMax: (deferrals: number) => number;
}

/** A pack as it is found, or comes. */
export interface ArrivedPack {
  sequence: number;
  entries: readonly PackEntry[];
  /** Entries that have a line. */
  settled: ReadonlySet<number>;
  /** By the clock of JetStream, milliseconds since 1970; undefined when that is not known. */
  storedAtMs: number | undefined;
  /** It was stored just now, by the clock of whoever: we were following. */
  isFresh: boolean;
}

export class Mails {
  readonly #options: MailsOptions;
  readonly #byId = new Map<string, Custody>();
  readonly #timers = new TimerHeap<Custody>();
  /** Mails with a null reverse-path, which reports have. */
  readonly #reports = new KnownReports();
  /** In the order in which they were started; the first `#youngHead` are not young any more. */
  #young: (Custody | undefined)[] = [];
  #youngHead = 0;

  constructor(options: MailsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#byId.size;
  }

  get(queueId: string): Custody | undefined {
    return this.#byId.get(queueId);
  }

  /** Of a report that is here, or was: its pack, 0 when it has a record of its own; undefined when it is not known. */
  packOfReport(queueId: string): number | undefined {
    return this.#byId.get(queueId)?.packSequence ?? this.#reports.packOf(queueId);
  }

  all(): IterableIterator<Custody> {
    return this.#byId.values();
  }

  /** A mail that an earlier owner remembered. */
  addState(state: MailState, nowMs: number): void {
    if (state.nullReversePath) this.#reports.load(state.queueId, 0);
    const message = messageFromState(state, this.#options.interned);
    this.#meet(message, nowMs);
    const custody = newCustody(message, { sequence: 0, entry: 0 }, nowMs);
    custody.isStored = true;
    custody.line = 'stored';
    this.#add(custody);
  }

  /** Takes over the mails of a pack that have no line; returns those that are new. */
  addPack(pack: ArrivedPack, nowMs: number): Custody[] {
    const { ledger, interned, stream, clock } = this.#options;
    const { sequence, entries, settled, storedAtMs } = pack;
    ledger.add(sequence, entries.length, [...settled]);
    const wall = { storedAtMs, nowMs: clock.toWall(nowMs) };
    const fresh: Custody[] = [];
    entries.forEach((entry, position) => {
      const isCopy = entry.nullReversePath && this.#isCopy(entry.queueId, pack, nowMs);
      if (settled.has(position)) return;
      const known = this.#byId.get(entry.queueId);
      if (known !== undefined) {
        this.#metAgain(known, sequence, position);
        return;
      }
      if (isCopy) {
        ledger.settle(sequence, position);
        return;
      }
      const ref = { stream, sequence, offset: entry.offset, length: entry.length };
      const acceptedAtMs = believedAcceptance(entry.acceptedAtMs, wall);
      const message = messageFromPack(entry, ref, domainsOf(entry, interned), acceptedAtMs);
      if (pack.isFresh) message.ageFromMs = nowMs;
      else this.#meet(message, nowMs);
      const custody = newCustody(message, { sequence, entry: position }, nowMs);
      this.#add(custody);
      fresh.push(custody);
    });
    return fresh;
  }

  /** Another pack had it before, and it may be settled long ago. */
  #isCopy(queueId: string, { sequence, isFresh }: ArrivedPack, nowMs: number): boolean {
    const first = this.#reports.packOf(queueId);
    if (isFresh) this.#reports.add(queueId, sequence, nowMs);
    else this.#reports.load(queueId, sequence);
    return first !== undefined && first !== sequence;
  }

  #meet(message: Message, nowMs: number): void {
    const { clock, waitMsMax } = this.#options;
    meet(message, { nowMs, waitMsMax, fromWall: clock.fromWall });
  }

  #metAgain(known: Custody, sequence: number, entry: number): void {
    if (known.isStored && known.packSequence === 0) {
      // It has a record of its own: only the line in its pack was missing.
      known.packSequence = sequence;
      known.packEntry = entry;
      known.line = 'needed';
      return;
    }
    // The same pack was published twice and its id was forgotten: one copy is enough.
    this.#options.ledger.settle(sequence, entry);
  }

  #add(custody: Custody): void {
    this.#byId.set(custody.message.queueId, custody);
    this.#young.push(custody);
  }

  /** The mail is settled. */
  remove(custody: Custody): void {
    this.#byId.delete(custody.message.queueId);
    this.#timers.delete(custody);
  }

  wakeAt(custody: Custody, atMs: number): void {
    if (this.#byId.get(custody.message.queueId) === custody) this.#timers.set(custody, atMs);
  }

  /** When the mail is woken; undefined when it is not going to be. */
  wakeUpOf(custody: Custody): number | undefined {
    return this.#timers.wakeUpOf(custody);
  }

  /** At most `limit` mails whose wake-up has come, earliest first. */
  takeDue(nowMs: number, limit: number): Custody[] {
    return this.#timers.takeDue(nowMs, limit);
  }

  /** At most `limit` mails that are still here and not young any more; each is told once. */
  takeStaying(nowMs: number, limit: number): Custody[] {
    const staying: Custody[] = [];
    while (this.#youngHead < this.#young.length && staying.length < limit) {
      const custody = this.#young[this.#youngHead]!;
      if (custody.startedAtMs + YOUNG_MS > nowMs) break;
      this.#young[this.#youngHead] = undefined;
      this.#youngHead += 1;
      if (this.#byId.get(custody.message.queueId) === custody) staying.push(custody);
    }
    if (this.#youngHead > 4096 && this.#youngHead * 2 > this.#young.length) {
      this.#young = this.#young.slice(this.#youngHead);
      this.#youngHead = 0;
    }
    return staying;
  }
}
