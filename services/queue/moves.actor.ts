// Copies mails out of their packs into records of their own in STORE. What a worker waits for is copied at once; what only has
// to leave its pack goes through the gate of the stream, so that a dead host with 200,000 mails leaves room for the others.
//
// Fails: a full, refusing or silent store leaves the mail in its pack, and the round is repeated after a pause that all
// partitions of the stream share. A pack that is gone is told to `onMissing`, and that mail is not tried again by itself. A mail
// that is too big for the stream is put aside.
import type { DirectGet } from '#libs/nats/direct-get.ts';
import { type Layout, storeStream, subjects } from '#libs/nats/layout.ts';
import { type Draft, type RecordWriter, type Stored, troubleText } from '#libs/nats/records.ts';
import { Aside } from './aside.ts';
import type { Custody } from './custody.ts';
import { readFrames } from './frames.ts';
import type { Ended } from './gate.ts';
import type { Rounds, StreamRounds } from './rounds.ts';
import { storeDrafts } from './store-drafts.ts';

/** A round is short: what it makes JetStream sync, other mail waits for. */
const ROUND_MAILS = 100;
const ROUND_OCTETS = 512 * 1024;
const READ_WITHIN_MS = 5000;
const STORE_WAIT_MS = 10_000;

export type Urgency = 'urgent' | 'patient';

export interface MovesOptions {
  partition: number;
  epoch: number;
  layout: Pick<Layout, 'spoolStreams' | 'replicas'>;
  writer: Pick<RecordWriter, 'store' | 'storeAtomically'>;
  direct: Pick<DirectGet, 'bySequence'>;
  rounds: Rounds;
  now: () => number;
  /** It has a copy now. */
  onCopied: (custody: Custody) => void;
  /** Its pack does not have it any more. */
  onMissing: (custody: Custody) => void;
  /** Stores what follows from the copies; a round is over only then. */
  afterRound: () => Promise<void>;
  onTrouble: (reason: string) => void;
}

/** Mails that wait to be copied, one round in flight. */
interface Lane {
  readonly waiting: Set<Custody>;
  round: Promise<void> | undefined;
}

export class Moves {
  readonly #options: MovesOptions;
  readonly #lanes: Record<Urgency, Lane> = {
    urgent: { waiting: new Set(), round: undefined },
    patient: { waiting: new Set(), round: undefined },
  };
  readonly #aside = new Aside<Custody>();
  readonly #stream: string;
  readonly #rounds: StreamRounds;

  constructor(options: MovesOptions) {
    this.#options = options;
    this.#stream = storeStream(options.partition, options.layout);
    this.#rounds = options.rounds.of(this.#stream);
  }

  add(custody: Custody, urgency: Urgency): void {
    const { urgent, patient } = this.#lanes;
    if (urgency === 'urgent') patient.waiting.delete(custody);
    if (urgency === 'urgent' || !urgent.waiting.has(custody)) this.#lanes[urgency].waiting.add(custody);
  }

  /** It has no need of a copy any more. */
  remove(custody: Custody): void {
    for (const lane of Object.values(this.#lanes)) lane.waiting.delete(custody);
    this.#aside.delete(custody);
  }

  get waiting(): number {
    return this.#lanes.urgent.waiting.size + this.#lanes.patient.waiting.size + this.#aside.size;
  }

  get idle(): boolean {
    return this.waiting === 0 && Object.values(this.#lanes).every(({ round }) => round === undefined);
  }

  /** Runs a round of each kind that has something and none under way, unless the stream failed a moment ago. */
  async flush(): Promise<void> {
    const { urgent, patient } = this.#lanes;
    for (const custody of this.#aside.takeBack(this.#options.now())) this.add(custody, 'urgent');
    this.#begin(urgent, () => this.#runWhole('urgent'));
    this.#begin(patient, () => this.#rounds.patiently(() => this.#runWhole('patient')));
    await Promise.all([urgent.round, patient.round]);
  }

  #begin(lane: Lane, run: () => Promise<Ended>): void {
    if (lane.round !== undefined || lane.waiting.size === 0 || !this.#rounds.isOpen) return;
    lane.round = run()
      .then(() => {})
      .finally(() => {
        lane.round = undefined;
      });
  }

  async #runWhole(urgency: Urgency): Promise<Ended> {
    // It may have begun to fail while this round waited for its place.
    if (!this.#rounds.isOpen) return 'failed';
    const ended = await this.#run(urgency);
    await this.#options.afterRound();
    return ended;
  }

  #take({ waiting }: Lane): Custody[] {
    const taken: Custody[] = [];
    let octets = 0;
    for (const custody of waiting) {
      if (taken.length >= ROUND_MAILS || octets >= ROUND_OCTETS) break;
      waiting.delete(custody);
      octets += custody.message.ref.length;
      taken.push(custody);
    }
    return taken;
  }

  async #run(urgency: Urgency): Promise<Ended> {
    const custodies = this.#take(this.#lanes[urgency]);
    if (custodies.length === 0) return 'failed';
    const { direct, partition, epoch } = this.#options;
    const refs = custodies.map(({ message }) => message.ref);
    const frames = await readFrames(direct, refs, READ_WITHIN_MS);
    const owners: Custody[] = [];
    const drafts: Draft[] = [];
    const back: Custody[] = [];
    frames.forEach((frame, i) => {
      const custody = custodies[i]!;
      if (frame.kind === 'missing') this.#options.onMissing(custody);
      else if (frame.kind === 'unavailable') back.push(custody);
      else {
        owners.push(custody);
        // Sent again it is no second copy, of which nobody would know. Of another owner it is another one: that one removes its own.
        const id = `copy.${custody.message.queueId}.${epoch}`;
        drafts.push({ subject: subjects.store(partition), payload: frame.bytes, id });
      }
    });
    const unread = back.length === 0 ? '' : `${back.length} mails cannot be read from their packs yet`;
    const unstored = await this.#store(drafts, owners, back);
    return this.#ended(back, unstored ?? unread, urgency);
  }

  /** Why some of them are not stored, which are to be tried again: they are in `back` then. */
  async #store(drafts: Draft[], owners: Custody[], back: Custody[]): Promise<string | undefined> {
    if (drafts.length === 0) return undefined;
    const { writer, layout, now, onTrouble } = this.#options;
    const stores = { writer, replicas: layout.replicas, giveUpAfterMs: STORE_WAIT_MS };
    let failure: Exclude<Stored, { kind: 'stored' }> | undefined;
    for (const [i, stored] of (await storeDrafts(drafts, stores)).entries()) {
      const custody = owners[i]!;
      if (stored.kind === 'stored') this.#copied(custody, stored.sequence, drafts[i]!.payload.length);
      else if (stored.kind === 'too-big') {
        onTrouble(`${this.#stream}: ${custody.message.queueId} is too big and stays in its pack`);
        this.#aside.add(custody, now());
      } else {
        failure = stored;
        back.push(custody);
      }
    }
    if (failure === undefined) return undefined;
    return `${this.#stream}: ${troubleText(failure)}; ${back.length} mails stay in their packs`;
  }

  #copied(custody: Custody, sequence: number, length: number): void {
    custody.copy = { stream: this.#stream, sequence, offset: 0, length };
    this.#options.onCopied(custody);
  }

  #ended(back: readonly Custody[], trouble: string, urgency: Urgency): Ended {
    for (const custody of back) this.add(custody, urgency);
    if (trouble === '') {
      this.#rounds.succeeded();
      return 'done';
    }
    this.#options.onTrouble(trouble);
    this.#rounds.failed();
    return 'failed';
  }
}
