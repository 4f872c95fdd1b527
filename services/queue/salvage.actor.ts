// What becomes of records of one partition that cannot be read, and of mails whose content is lost: they are put aside, settled
// loudly, told of where somebody can be told, and hold nothing else.
//
// Fails: what cannot be put aside stays as it is and is tried again (quarantine.actor.ts); what was not found is looked for
// again before it is believed (content-doubts.actor.ts).
import type { StoredRecord } from '#libs/nats/reading.ts';
import type { PackIndex } from '#proto/postrider/v1/mail.ts';
import { ContentDoubts, type ContentVerdict } from './content-doubts.actor.ts';
import type { QueueContext } from './context.ts';
import type { Custody } from './custody.ts';
import type { MessageInput } from './message.machine.ts';
import type { PackLedger } from './pack-ledger.ts';
import { Quarantine, type Unreadable } from './quarantine.actor.ts';
import { indexOf } from './takeover.ts';

export interface SalvageOptions
  extends Pick<QueueContext, 'direct' | 'writer' | 'erasure' | 'now' | 'onTrouble'> {
  partition: number;
  /** Stream of the partition's packs. */
  stream: string;
  ledger: Pick<PackLedger, 'add' | 'settle'>;
  onQuarantined: (what: string) => void;
  onContentLost: (queueId: string, what: string) => void;
  mayBeOut: (custody: Custody) => boolean;
  /** False when the input changed nothing. */
  feed: (custody: Custody, input: MessageInput) => boolean;
  /** Its content is there after all. */
  onThere: (custody: Custody) => void;
  /** It is settled without them. */
  forgetReports: (custody: Custody) => void;
}

export class Salvage {
  readonly #options: SalvageOptions;
  readonly #quarantine: Quarantine;
  readonly #doubts: ContentDoubts;
  /** Nothing is left of them, and what there was is put aside. */
  readonly #gone = new Set<Custody>();

  constructor(options: SalvageOptions) {
    this.#options = options;
    this.#quarantine = new Quarantine(options);
    this.#doubts = new ContentDoubts({ ...options, onVerdict: (custody, is) => this.#judged(custody, is) });
  }

  /** The index of a pack that arrived; nothing when it cannot be read: then the pack is put aside. */
  indexOf(record: StoredRecord): PackIndex | undefined {
    try {
      return indexOf(record);
    } catch (error) {
      const { sequence } = record;
      this.#options.ledger.add(sequence, 1, []);
      this.unreadable({ stream: this.#options.stream, sequence, why: (error as Error).message });
      return undefined;
    }
  }

  /** Puts a record aside. A pack of them has one entry in the ledger. */
  unreadable(record: Unreadable): void {
    this.#quarantine.add({ ...record, onAside: () => this.#aside(record) });
  }

  #aside({ stream, sequence, record }: Unreadable): void {
    if (stream === this.#options.stream) this.#options.ledger.settle(sequence, 0);
    // Lines go in order, with those before them.
    if (stream === 'QUEUE' && record !== undefined) {
      this.#options.erasure.add({ subject: record.subject, sequence, isSettled: true });
    }
  }

  /** Somebody did not find what the mail refers to. */
  missing(custody: Custody): void {
    if (this.#gone.has(custody)) this.#settle(custody);
    else this.#doubts.add(custody);
  }

  #judged(custody: Custody, verdict: ContentVerdict): void {
    const { message } = custody;
    if (verdict === 'there') this.#options.onThere(custody);
    else if (verdict === 'damaged') this.#lost(custody, verdict, 'its data is not there: its sender is told');
    else {
      const { stream, sequence } = message.ref;
      const why = `there is no mail ${message.queueId} in it`;
      this.#quarantine.add({ stream, sequence, why, onAside: () => this.#settle(custody) });
    }
  }

  #settle(custody: Custody): void {
    const { stream, sequence } = custody.message.ref;
    this.#gone.add(custody);
    // A worker that has it just now says again that there is nothing.
    if (!this.#lost(custody, 'gone', `there is nothing in ${stream} ${sequence}`)) return;
    this.#gone.delete(custody);
    this.#options.forgetReports(custody);
  }

  #lost(custody: Custody, content: 'damaged' | 'gone', what: string): boolean {
    const { now, feed, onContentLost } = this.#options;
    if (!feed(custody, { kind: 'contentLost', nowMs: now(), content })) return false;
    onContentLost(custody.message.queueId, what);
    return true;
  }

  /** Called once a second. */
  async sweep(nowMs: number): Promise<void> {
    for (const custody of this.#gone) if (custody.message.phase === 'settled') this.#gone.delete(custody);
    await Promise.all([this.#quarantine.sweep(nowMs), this.#doubts.sweep(nowMs)]);
  }
}
