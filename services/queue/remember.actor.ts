// Stores what must be remembered of mails: data moves from the pack to a record of its own in STORE, state goes to
// QUEUE under the fence of the ownership, and both go away when the mail is settled. One round in flight; of all
// partitions of an instance only a few at a time, so that a dead host with 200,000 mails leaves room for the others.
//
// Fails: a refused fence means that the partition has another owner: `onFenced`, nothing is retried. A full or silent
// store leaves everything as it is (the mail stays in its pack) and the round is repeated after a pause.
import type { DirectGet } from '#libs/nats/direct-get.ts';
import { type Layout, storeStream, subjects } from '#libs/nats/layout.ts';
import type { Link } from '#libs/nats/link.ts';
import type { RecordToStore, RecordWriter, Stored } from '#libs/nats/records.ts';
import { deleteRecord } from '#libs/nats/trimming.ts';
import { type Custody, type PendingAck, takeAcks, takeReportPacks } from './custody.ts';
import type { Erasure } from './erasure.actor.ts';
import { FrameReader } from './frames.ts';
import type { Gate } from './gate.ts';
import { stateOf } from './message.ts';
import { GrowingPause } from './pause-growing.ts';
import { encodeState } from './state-record.ts';

/** A round is short: what it makes JetStream sync, other mail waits for. */
const ROUND_MAILS = 100;
const ROUND_OCTETS = 512 * 1024;
/** Below this many records single publishes are quicker than an atomic batch (its fixed cost is about 3.5 ms). */
const BATCH_FROM = 12;
const STORE_WAIT_MS = 10_000;
const PAUSE = { firstMs: 500, lastMs: 10_000 };
/** A state that says: the mail is settled. It overrules all before it until they are gone. */
const SETTLED = new Uint8Array(0);

export interface RememberOptions {
  partition: number;
  epoch: number;
  link: Link;
  layout: Pick<Layout, 'spoolStreams' | 'replicas'>;
  writer: Pick<RecordWriter, 'store' | 'storeAtomically'>;
  direct: Pick<DirectGet, 'bySequence'>;
  erasure: Pick<Erasure, 'add'>;
  now: () => number;
  /** Shared by all partitions of the instance. */
  rounds: Gate;
  onStored: (custody: Custody, done: Done) => void;
  onForgotten: (custody: Custody, done: Done) => void;
  onFenced: () => void;
  onTrouble: (reason: string) => void;
}

type Draft = Omit<RecordToStore, 'giveUpAfterMs'>;

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
  /** Workers wait for these, or a record can go. */
  readonly #urgent = new Set<Custody>();
  /** These only have to leave their packs. */
  readonly #patient = new Set<Custody>();
  readonly #pause = new GrowingPause(PAUSE);
  #round: Promise<void> | undefined;

  constructor(options: RememberOptions) {
    this.#options = options;
  }

  /** The mail has something to store, or (settled) something stored to remove. */
  add(custody: Custody): void {
    custody.isDirty = true;
    const isUrgent = custody.acks.length > 0 || custody.message.phase === 'settled';
    if (isUrgent) this.#patient.delete(custody);
    if (isUrgent || !this.#urgent.has(custody)) (isUrgent ? this.#urgent : this.#patient).add(custody);
  }

  get idle(): boolean {
    return this.waiting === 0 && this.#round === undefined;
  }

  get waiting(): number {
    return this.#urgent.size + this.#patient.size;
  }

  /** Runs one round, unless one is still under way or the last one failed a moment ago. */
  flush(): Promise<void> {
    const { now, rounds } = this.#options;
    if (this.#round === undefined && this.waiting > 0 && this.#pause.isOver(now())) {
      this.#round = rounds
        .run(() => this.#run())
        .finally(() => {
          this.#round = undefined;
        });
    }
    return this.#round ?? Promise.resolve();
  }

  #take(): Custody[] {
    const taken: Custody[] = [];
    let octets = 0;
    for (const dirty of [this.#urgent, this.#patient]) {
      for (const custody of dirty) {
        if (taken.length >= ROUND_MAILS || octets >= ROUND_OCTETS) return taken;
        const isSettled = custody.message.phase === 'settled';
        // The settle line must be stored before the state that overrules the pack goes away.
        if (isSettled && custody.line !== 'stored') continue;
        dirty.delete(custody);
        custody.isDirty = false;
        if (isSettled && !custody.isStored) {
          this.#dropCopy(custody);
          continue;
        }
        if (!custody.isStored) octets += custody.message.ref.length;
        taken.push(custody);
      }
    }
    return taken;
  }

  /** It was copied, and its state was never stored. */
  #dropCopy({ copy }: Custody): void {
    if (copy !== undefined) void deleteRecord(this.#options.link, copy.stream, copy.sequence);
  }

  async #run(): Promise<void> {
    const round = this.#take();
    if (round.length === 0) return;
    const isMoved = await this.#move(round.filter((custody) => !custody.isStored && !custody.copy));
    const ready: Custody[] = [];
    for (const custody of round) {
      if (custody.isStored || custody.copy !== undefined) ready.push(custody);
      else this.add(custody);
    }
    const isWritten = ready.length === 0 || (await this.#writeStates(ready));
    if (isMoved && isWritten) this.#pause.succeeded();
    else this.#pause.failed(this.#options.now());
  }

  /** Copies frames out of their packs; true when all of them have a copy now. */
  async #move(custodies: Custody[]): Promise<boolean> {
    const { partition, layout, direct } = this.#options;
    const reader = new FrameReader(direct);
    const drafts: Draft[] = [];
    const owners: Custody[] = [];
    let unread = '';
    for (const custody of custodies) {
      const frame = await reader.read(custody.message.ref);
      if (frame.kind === 'found') {
        drafts.push({ subject: subjects.store(partition), payload: frame.bytes, id: '' });
        owners.push(custody);
      } else unread = `${custody.message.queueId}: ${frame.kind}`;
    }
    if (unread !== '') this.#options.onTrouble(`cannot read from its pack: ${unread}`);
    const sequences = drafts.length === 0 ? [] : await this.#storeAll(drafts);
    if (typeof sequences === 'string') {
      this.#options.onTrouble(`STORE: ${sequences}; ${custodies.length} mails stay in their packs`);
      return false;
    }
    const stream = storeStream(partition, layout);
    owners.forEach((custody, i) => {
      const length = drafts[i]!.payload.length;
      custody.copy = { stream, sequence: sequences[i]!, offset: 0, length };
    });
    return unread === '';
  }

  async #writeStates(custodies: Custody[]): Promise<boolean> {
    const writings = custodies.map((custody): Writing => {
      const isOver = custody.message.phase === 'settled' && custody.isStored;
      const done = { acks: takeAcks(custody), reportPacks: takeReportPacks(custody) };
      return { custody, ...done, as: isOver ? 'settled' : 'state' };
    });
    const stored = await this.#storeAll(writings.map((writing) => this.#draft(writing)));
    if (stored === 'conflict') {
      // Nobody will ever refer to what was copied for these states.
      for (const { custody } of writings) this.#dropCopy(custody);
      this.#options.onFenced();
      return false;
    }
    if (typeof stored === 'string') {
      this.#options.onTrouble(`QUEUE: ${stored}; ${custodies.length} mails wait to be remembered`);
      for (const { custody, acks, reportPacks } of writings) {
        custody.acks = [...acks, ...custody.acks];
        custody.reportPacks = [...reportPacks, ...custody.reportPacks];
        this.add(custody);
      }
      return false;
    }
    writings.forEach((writing, i) => {
      this.#finish(writing, stored[i]!);
    });
    return true;
  }

  #draft({ custody, as }: Writing): Draft {
    const { partition, epoch } = this.#options;
    const { message } = custody;
    const fence = { subject: subjects.owner(partition), sequence: epoch };
    const subject = subjects.mail(partition, message.queueId);
    if (as === 'settled') return { subject, payload: SETTLED, id: '', fence };
    const { payload, headers } = encodeState({ ...stateOf(message), ref: custody.copy ?? message.ref });
    return { subject, payload, id: '', fence, ...(headers !== undefined && { headers }) };
  }

  #finish({ custody, as, ...done }: Writing, sequence: number): void {
    const { message } = custody;
    const { partition, erasure } = this.#options;
    if (custody.isStored) {
      erasure.add({
        subject: subjects.mail(partition, message.queueId),
        sequence,
        isSettled: as === 'settled',
      });
    }
    if (as === 'settled') {
      void deleteRecord(this.#options.link, message.ref.stream, message.ref.sequence);
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

  /** The stream sequences of the drafts in order, or why they are not stored. */
  async #storeAll(drafts: Draft[]): Promise<number[] | Exclude<Stored['kind'], 'stored'>> {
    const { writer, layout } = this.#options;
    // Of fenced publishes a replicated stream takes only one at a time.
    const batchFrom = layout.replicas > 1 ? 2 : BATCH_FROM;
    if (drafts.length >= batchFrom) {
      const last = await writer.storeAtomically(drafts, { giveUpAfterMs: STORE_WAIT_MS });
      if (last.kind !== 'stored') return last.kind;
      return drafts.map((_, i) => last.sequence - (drafts.length - 1 - i));
    }
    const all = await Promise.all(
      drafts.map((draft) => writer.store({ ...draft, giveUpAfterMs: STORE_WAIT_MS })),
    );
    const sequences: number[] = [];
    for (const stored of all) {
      if (stored.kind !== 'stored') return stored.kind;
      sequences.push(stored.sequence);
    }
    return sequences;
  }
}
