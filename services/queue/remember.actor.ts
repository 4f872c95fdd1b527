// Stores what must be remembered of mails: data moves from the pack to a record of its own in STORE (moves.actor.ts), state goes
// to QUEUE under the fence of the ownership, and both go away when the mail is settled. One round of states in flight. Workers
// wait for it, so it stands behind no gate; those that nobody waits for have their share of every round.
//
// Fails: a refused fence means that the partition has another owner: `onFenced`, nothing is retried. A full, refusing or silent
// QUEUE leaves everything as it is and the round is repeated after a pause. A state that cannot be made or is too big costs
// its own mail: it is put aside.

import type { DirectGet } from '#libs/nats/direct-get.ts';
import { type Layout, subjects } from '#libs/nats/layout.ts';
import type { Link } from '#libs/nats/link.ts';
import { recordMax } from '#libs/nats/payload.ts';
import { type Draft, type RecordWriter, type Stored, troubleText } from '#libs/nats/records.ts';
import type { SteadyClock } from '#libs/shell/steady-clock.ts';
import { Aside } from './aside.ts';
import { type Custody, type PendingAck, takeAcks, takeReportPacks, UNSURE } from './custody.ts';
import { namedAsEnded } from './ended-attempts.ts';
import type { Erasure } from './erasure.actor.ts';
import { dropData } from './large-mail.ts';
import { stateOf } from './message.ts';
import { Moves } from './moves.actor.ts';
import type { Rounds, StreamRounds } from './rounds.ts';
import { encodeState } from './state-record.ts';
import { storeDrafts } from './store-drafts.ts';

const ROUND_MAILS = 100;
/** So many of a round are left to those that nobody waits for, when there are any. */
const ROUND_PATIENT = 25;
/** So many begin a round at once; fewer wait for more, for so long: a batch is cheaper than its records one by one. */
const GATHERED = 25;
const GATHER_MS = 300;
const STORE_WAIT_MS = 10_000;
const STREAM = 'QUEUE';
/** A state that says: the mail is settled. It overrules all before it until they are gone. */
const SETTLED = new Uint8Array(0);

export interface RememberOptions {
  partition: number;
  epoch: number;
  link: Pick<Link, 'payloadMax'>;
  layout: Pick<Layout, 'spoolStreams' | 'replicas'>;
  writer: Pick<RecordWriter, 'store' | 'storeAtomically'>;
  direct: Pick<DirectGet, 'bySequence'>;
  erasure: Pick<Erasure, 'add' | 'remove'>;
  now: () => number;
  clock: Pick<SteadyClock, 'toWall'>;
  /** Shared by all partitions of the instance. */
  rounds: Rounds;
  /** Attempts of the mail whose end is not stored with its checkpoint yet. */
  endingOf: (queueId: string) => readonly string[];
  onStored: (custody: Custody, done: Done) => void;
  onForgotten: (custody: Custody, done: Done) => void;
  /** What it has to remember cannot be copied: its pack is gone. */
  onMissing: (custody: Custody) => void;
  onFenced: () => void;
  onTrouble: (reason: string) => void;
}

/** What the stored state knows of: outcomes that it contains, packs of reports that it says were made. */
export interface Done {
  acks: readonly PendingAck[];
  reportPacks: readonly number[];
}

/** A mail whose state is being stored, with what was true when the state was taken. */
interface Writing extends Done {
  custody: Custody;
  /** settled: the record goes away. */
  as: 'state' | 'settled';
}

export class Remember {
  readonly #options: RememberOptions;
  /** Their states can be stored; workers wait for them, or a record can go. */
  readonly #urgent = new Set<Custody>();
  /** Nobody waits for these. */
  readonly #patient = new Set<Custody>();
  readonly #aside = new Aside<Custody>();
  /** Of the round: a state of theirs is on its way. */
  readonly #writing = new Set<Custody>();
  readonly #moves: Moves;
  readonly #rounds: StreamRounds;
  #round: Promise<void> | undefined;
  #flushedAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: RememberOptions) {
    this.#options = options;
    this.#rounds = options.rounds.of(STREAM);
    this.#moves = new Moves({
      ...options,
      onCopied: (custody) => this.add(custody),
      afterRound: () => this.#flushStates(),
    });
  }

  /** The mail has something to store, or (settled) something stored to remove. */
  add(custody: Custody): void {
    const isSettled = custody.message.phase === 'settled';
    const isUrgent = custody.acks.length > 0 || isSettled;
    this.#aside.delete(custody);
    if (!isSettled && !custody.isStored && custody.copy === undefined) {
      this.#moves.add(custody, isUrgent ? 'urgent' : 'patient');
      return;
    }
    this.#moves.remove(custody);
    if (isUrgent) this.#patient.delete(custody);
    if (isUrgent || !this.#urgent.has(custody)) (isUrgent ? this.#urgent : this.#patient).add(custody);
  }

  /** True when a state of it is stored, may be, or soon will: it is over only when that is overruled. */
  mayHaveState(custody: Custody): boolean {
    return this.#writing.has(custody) || mayHaveState(custody);
  }

  get idle(): boolean {
    return this.waiting === 0 && this.#round === undefined && this.#moves.idle;
  }

  get waiting(): number {
    return this.#urgent.size + this.#patient.size + this.#aside.size + this.#moves.waiting;
  }

  /** Runs one round of each kind, unless one is still under way, the last one failed a moment ago, or few wait since then. */
  async flush(): Promise<void> {
    const sinceMs = this.#options.now() - this.#flushedAtMs;
    // A clock that was set back is no reason to wait.
    if (this.waiting < GATHERED && sinceMs >= 0 && sinceMs < GATHER_MS) return this.#round;
    this.#flushedAtMs = this.#options.now();
    for (const custody of this.#aside.takeBack(this.#options.now())) this.add(custody);
    await Promise.all([this.#moves.flush(), this.#flushStates()]);
  }

  #flushStates(): Promise<void> {
    const hasWork = this.#urgent.size + this.#patient.size > 0;
    if (this.#round === undefined && hasWork && this.#rounds.isOpen) {
      this.#round = this.#run().finally(() => {
        this.#writing.clear();
        this.#round = undefined;
      });
    }
    return this.#round ?? Promise.resolve();
  }

  async #run(): Promise<void> {
    const room = ROUND_MAILS - Math.min(ROUND_PATIENT, this.#patient.size);
    const round = this.#take(this.#urgent, room);
    round.push(...this.#take(this.#patient, ROUND_MAILS - round.length));
    if (round.length > 0) await this.#writeStates(round);
  }

  #take(dirty: Set<Custody>, limit: number): Custody[] {
    const taken: Custody[] = [];
    for (const custody of dirty) {
      if (taken.length >= limit) break;
      const isSettled = custody.message.phase === 'settled';
      // The settle line must be stored before the state that overrules the pack goes away.
      if (isSettled && custody.line !== 'stored') continue;
      dirty.delete(custody);
      if (isSettled && !mayHaveState(custody)) this.#dropCopy(custody);
      else taken.push(custody);
    }
    return taken;
  }

  /** It was copied, and its state was never stored. */
  #dropCopy({ copy }: Custody): void {
    if (copy !== undefined) this.#options.erasure.remove(copy.stream, copy.sequence);
  }

  async #writeStates(custodies: Custody[]): Promise<void> {
    const { writer, layout, onFenced, onTrouble } = this.#options;
    const writings: Writing[] = [];
    const drafts: Draft[] = [];
    for (const custody of custodies) {
      const draft = this.#draft(custody);
      if (draft === undefined) continue;
      const done = { acks: takeAcks(custody), reportPacks: takeReportPacks(custody) };
      this.#writing.add(custody);
      writings.push({ custody, ...done, as: draft.payload === SETTLED ? 'settled' : 'state' });
      drafts.push(draft);
    }
    if (drafts.length === 0) return;
    const stores = { writer, replicas: layout.replicas, giveUpAfterMs: STORE_WAIT_MS };
    const outcomes = await storeDrafts(drafts, stores);
    let isFenced = false;
    let failure: Exclude<Stored, { kind: 'stored' }> | undefined;
    for (const [i, outcome] of outcomes.entries()) {
      if (outcome.kind === 'stored') this.#finish(writings[i]!, outcome);
      else if (outcome.kind === 'conflict') {
        isFenced = true;
        // Nobody will ever refer to what was copied for it, unless an earlier try was stored.
        if (outcome.again !== true && !mayHaveState(writings[i]!.custody))
          this.#dropCopy(writings[i]!.custody);
      } else if (!this.#putBack(writings[i]!, outcome.kind)) failure = outcome;
    }
    if (isFenced) return onFenced();
    if (failure === undefined) return this.#rounds.succeeded();
    onTrouble(`${STREAM}: ${troubleText(failure)}; ${this.waiting} mails wait to be remembered`);
    this.#rounds.failed();
  }

  /** Nothing when it cannot be made: a bug, which costs this mail alone. */
  #draft(custody: Custody): Draft | undefined {
    const { partition, epoch, link, clock } = this.#options;
    const { message } = custody;
    const fence = { subject: subjects.owner(partition), sequence: epoch };
    const subject = subjects.mail(partition, message.queueId);
    if (message.phase === 'settled') return { subject, payload: SETTLED, id: '', fence };
    try {
      const endedAttempts = namedAsEnded(message, custody.acks, this.#options.endingOf(message.queueId));
      const ref = custody.copy ?? message.ref;
      const state = { ...stateOf(message, clock.toWall), ref, endedAttempts };
      const { payload, headers } = encodeState(state, recordMax(link.payloadMax));
      return { subject, payload, id: '', fence, ...(headers !== undefined && { headers }) };
    } catch (error) {
      this.#putAside(custody, `its state cannot be made: ${(error as Error).message}`);
      return undefined;
    }
  }

  #putAside(custody: Custody, why: string): void {
    const { now, onTrouble } = this.#options;
    onTrouble(`${custody.message.queueId} cannot be remembered: ${why}`);
    this.#aside.add(custody, now());
  }

  /** It is not stored, or nobody knows; true when that is the fault of its own state and not of the stream. */
  #putBack({ custody, acks, reportPacks }: Writing, why: Exclude<Stored['kind'], 'stored'>): boolean {
    this.#writing.delete(custody);
    custody.acks = [...acks, ...custody.acks];
    custody.reportPacks = [...reportPacks, ...custody.reportPacks];
    custody.stateSequence = UNSURE;
    if (why === 'too-big') {
      this.#putAside(custody, 'its state is too big');
      return true;
    }
    this.add(custody);
    return false;
  }

  #finish({ custody, as, ...done }: Writing, { sequence, again }: Stored & { kind: 'stored' }): void {
    this.#writing.delete(custody);
    const { message } = custody;
    const { partition, erasure } = this.#options;
    const older = again === true ? UNSURE : custody.stateSequence;
    custody.stateSequence = again === true ? UNSURE : sequence;
    if (custody.isStored || older === UNSURE) {
      const subject = subjects.mail(partition, message.queueId);
      erasure.add({ subject, sequence, isSettled: as === 'settled', older });
    }
    if (as === 'settled') {
      const data = custody.isStored ? message.ref : custody.copy;
      if (data !== undefined) dropData(erasure, custody, data);
      this.#options.onForgotten(custody, done);
      return;
    }
    if (custody.copy !== undefined) message.ref = custody.copy;
    custody.copy = undefined;
    custody.isStored = true;
    // It was settled while it was being stored: the record must go again.
    if (message.phase === 'settled') this.add(custody);
    this.#options.onStored(custody, done);
  }
}

/** A state of it is stored, or was sent and nobody knows: it must be overruled before it may be forgotten. */
function mayHaveState({ isStored, stateSequence }: Custody): boolean {
  return isStored || stateSequence === UNSURE;
}
