// Stores what must be remembered of mails: data moves from the pack to a record of its own in STORE, state goes to
// QUEUE under the fence of the ownership, and both go away when the mail is settled. One round in flight.
//
// Fails: a refused fence means that the partition has another owner: `onFenced`, nothing is retried. A full or silent
// store leaves everything as it is (the mail stays in its pack) and the round is repeated.
import type { DirectGet } from '#libs/nats/direct-get.ts';
import { type Layout, storeStream, subjects } from '#libs/nats/layout.ts';
import type { Link } from '#libs/nats/link.ts';
import type { RecordToStore, RecordWriter, Stored } from '#libs/nats/records.ts';
import { deleteRecord } from '#libs/nats/trimming.ts';
import { MailState, type SpoolRef } from '#proto/postrider/v1/mail.ts';
import type { Custody, PendingAck } from './custody.ts';
import { FrameReader } from './frames.ts';
import { stateOf } from './message.ts';

const ROUND_MAILS = 500;
const ROUND_OCTETS = 4 * 1024 * 1024;
/** Below this many records single publishes are quicker than an atomic batch (its fixed cost is about 3.5 ms). */
const BATCH_FROM = 12;
const STORE_WAIT_MS = 10_000;
const EMPTY = new Uint8Array(0);

export interface RememberOptions {
  partition: number;
  epoch: number;
  link: Link;
  layout: Layout;
  writer: RecordWriter;
  direct: DirectGet;
  onStored: (custody: Custody, acks: PendingAck[]) => void;
  onForgotten: (custody: Custody, acks: PendingAck[]) => void;
  onFenced: () => void;
  onTrouble: (reason: string) => void;
}

type Draft = Omit<RecordToStore, 'giveUpAfterMs'>;

export class Remember {
  readonly #options: RememberOptions;
  readonly #dirty = new Set<Custody>();
  #round: Promise<void> | undefined;

  constructor(options: RememberOptions) {
    this.#options = options;
  }

  /** The mail has something to store, or (settled) something stored to remove. */
  add(custody: Custody): void {
    custody.dirty = true;
    this.#dirty.add(custody);
  }

  get idle(): boolean {
    return this.#dirty.size === 0 && this.#round === undefined;
  }

  get waiting(): number {
    return this.#dirty.size;
  }

  /** Runs one round, unless one is still under way. */
  flush(): Promise<void> {
    if (this.#round === undefined && this.#dirty.size > 0) {
      this.#round = this.#run().finally(() => {
        this.#round = undefined;
      });
    }
    return this.#round ?? Promise.resolve();
  }

  #take(): Custody[] {
    const taken: Custody[] = [];
    let octets = 0;
    for (const custody of this.#dirty) {
      if (taken.length >= ROUND_MAILS || octets >= ROUND_OCTETS) break;
      const settled = custody.message.phase === 'settled';
      // The settle line must be stored before the state that overrules the pack goes away.
      if (settled && custody.packSequence !== 0) continue;
      this.#dirty.delete(custody);
      custody.dirty = false;
      if (settled && !custody.stored) continue;
      if (!custody.stored) octets += custody.message.ref.length;
      taken.push(custody);
    }
    return taken;
  }

  async #run(): Promise<void> {
    const round = this.#take();
    if (round.length === 0) return;
    const moving = round.filter((custody) => !custody.stored);
    const moved = await this.#move(moving);
    const ready = round.filter((custody) => custody.stored || moved.has(custody));
    for (const custody of round) if (!ready.includes(custody)) this.add(custody);
    if (ready.length > 0) await this.#writeStates(ready, moved);
  }

  /** Copies frames out of their packs; the result holds those that have a record of their own now. */
  async #move(custodies: Custody[]): Promise<Map<Custody, SpoolRef>> {
    const { partition, layout, direct, writer } = this.#options;
    const reader = new FrameReader(direct);
    const moved = new Map<Custody, SpoolRef>();
    const drafts: Draft[] = [];
    const owners: Custody[] = [];
    for (const custody of custodies) {
      const frame = await reader.read(custody.message.ref);
      if (frame.kind !== 'found') {
        this.#options.onTrouble(`cannot read ${custody.message.queueId} from its pack: ${frame.kind}`);
        continue;
      }
      drafts.push({ subject: subjects.store(partition), payload: frame.bytes, id: '' });
      owners.push(custody);
    }
    const sequences = await this.#storeAll(writer, drafts);
    if (typeof sequences === 'string') {
      if (drafts.length > 0) this.#options.onTrouble(`STORE: ${sequences}`);
      return moved;
    }
    owners.forEach((custody, i) => {
      const length = drafts[i]!.payload.length;
      moved.set(custody, {
        stream: storeStream(partition, layout),
        sequence: sequences[i]!,
        offset: 0,
        length,
      });
    });
    return moved;
  }

  async #writeStates(custodies: Custody[], moved: Map<Custody, SpoolRef>): Promise<void> {
    const { partition, epoch, writer } = this.#options;
    const fence = { subject: subjects.owner(partition), sequence: epoch };
    const acksOf = new Map<Custody, PendingAck[]>();
    const forgotten = new Set<Custody>();
    const drafts = custodies.map((custody): Draft => {
      acksOf.set(custody, custody.acks);
      custody.acks = [];
      const { message } = custody;
      const subject = subjects.mail(partition, message.queueId);
      if (message.phase === 'settled' && !moved.has(custody)) {
        forgotten.add(custody);
        return { subject, payload: EMPTY, id: '', fence, headers: { 'Nats-TTL': '1s' } };
      }
      const state = stateOf(message);
      state.ref = moved.get(custody) ?? message.ref;
      return { subject, payload: MailState.encode(state).finish(), id: '', fence };
    });
    const stored = await this.#storeAll(writer, drafts);
    if (stored === 'conflict') return this.#options.onFenced();
    if (typeof stored === 'string') {
      this.#options.onTrouble(`QUEUE: ${stored}`);
      for (const custody of custodies) {
        custody.acks.unshift(...acksOf.get(custody)!);
        this.add(custody);
      }
      return;
    }
    for (const custody of custodies)
      this.#finish(custody, acksOf.get(custody)!, forgotten, moved.get(custody));
  }

  #finish(custody: Custody, acks: PendingAck[], forgotten: Set<Custody>, ref: SpoolRef | undefined): void {
    if (forgotten.has(custody)) {
      const { stream, sequence } = custody.message.ref;
      void deleteRecord(this.#options.link, stream, sequence);
      this.#options.onForgotten(custody, acks);
      return;
    }
    if (ref !== undefined) custody.message.ref = ref;
    custody.stored = true;
    if (custody.message.phase === 'settled') this.add(custody);
    this.#options.onStored(custody, acks);
  }

  /** The stream sequences of the drafts in order, or why they are not stored. */
  async #storeAll(writer: RecordWriter, drafts: Draft[]): Promise<number[] | Stored['kind']> {
    if (drafts.length >= BATCH_FROM) {
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
