// Stores delivery status notifications: each is a new mail of the same partition, accepted by us from ourselves.
//
// Fails: what cannot be stored is tried again until it is, after a growing pause; the mail stays unsettled until then. A
// pack that may have been stored is stored again as it was, under the same id, never in another shape. An owner that may
// have been replaced stores none; what two owners store all the same is known for a copy (known-reports.ts). A mail that cannot
// be read now waits by itself; one whose content is gone is told to `onMissing`, and nobody waits for either. A report with no
// room in a message says less of each reply; a pack that is too big is stored report by report.
import type { DirectGet } from '#libs/nats/direct-get.ts';
import { subjects } from '#libs/nats/layout.ts';
import { gatheredMax } from '#libs/nats/payload.ts';
import { type RecordToStore, type RecordWriter, troubleText } from '#libs/nats/records.ts';
import { encodeIndex } from '#libs/pack/pack.ts';
import type { SteadyClock } from '#libs/shell/steady-clock.ts';
import type { Custody } from './custody.ts';
import { type FrameRead, readFrames } from './frames.ts';
import { GrowingPause } from './pause-growing.ts';
import {
  type Draft,
  draftOf,
  entriesOf,
  partsOf,
  type ReportPart,
  type ReportRequest,
} from './report-draft.ts';

const STORE_WAIT_MS = 10_000;
/** The index travels in a header of at most 64 KiB. */
const PACK_MAILS = 200;
/** Their records are in memory at a time. */
const ROUND_PARTS = 100;
const READ_WITHIN_MS = 5000;
/** Outcomes wait for their reports: once SPOOL is well again they are acted on within seconds. */
const PAUSE = { firstMs: 500, lastMs: 2500 };
const READ_AGAIN = { firstMs: 500, lastMs: 60_000 };

export interface ReportsOptions {
  partition: number;
  writer: Pick<RecordWriter, 'store'>;
  direct: Pick<DirectGet, 'bySequence'>;
  hostname: string;
  expireAfterMs: number;
  /** The most that the server takes in one message, octets. */
  payloadMax: () => number;
  now: () => number;
  clock: Pick<SteadyClock, 'now' | 'toWall'>;
  /** False while the partition may have another owner, which may report the same. */
  maySay: () => boolean;
  /** The sequence of the pack that has the report with this queue id, when the partition has it. */
  storedReport: (queueId: string) => number | undefined;
  /** All reports of the request are stored, in these packs. */
  onStored: (request: ReportRequest, packs: readonly number[]) => void;
  /** What its reports would be made of is not there. */
  onMissing: (custody: Custody) => void;
  onTrouble: (reason: string) => void;
}

/** A pack of reports that is being stored, or may have been. */
interface Pack {
  drafts: Draft[];
  record: RecordToStore;
}

export class Reports {
  readonly #options: ReportsOptions;
  readonly #pause = new GrowingPause(PAUSE);
  readonly #readAgain = new GrowingPause(READ_AGAIN);
  #waiting: ReportPart[] = [];
  /** Their mails cannot be read, or they are too big; the others do not wait for them. */
  #unreadable: ReportPart[] = [];
  /** Parts that are not stored yet, and packs of those that are, by request. */
  readonly #open = new Map<ReportRequest, { left: number; packs: number[] }>();
  /** Mails with a request that is not stored. */
  readonly #custodies = new Set<Custody>();
  #unsure: Pack | undefined;
  #round: Promise<void> | undefined;

  constructor(options: ReportsOptions) {
    this.#options = options;
  }

  add(request: ReportRequest): void {
    const parts = partsOf(request);
    this.#open.set(request, { left: parts.length, packs: [] });
    this.#custodies.add(request.custody);
    this.#waiting.push(...parts);
  }

  /** True while a report of this mail is not stored. */
  has(custody: Custody): boolean {
    return this.#custodies.has(custody);
  }

  /** The mail is settled without them. */
  forget(custody: Custody): void {
    this.#custodies.delete(custody);
    const isOther = ({ request }: ReportPart) => request.custody !== custody;
    this.#waiting = this.#waiting.filter(isOther);
    this.#unreadable = this.#unreadable.filter(isOther);
    for (const request of [...this.#open.keys()]) if (request.custody === custody) this.#open.delete(request);
  }

  /** Requests that are not stored. */
  get waiting(): number {
    return this.#open.size;
  }

  get idle(): boolean {
    return this.#open.size === 0 && this.#round === undefined;
  }

  /** Stores what gathered, unless a round is still under way or the last one failed a moment ago. */
  flush(): Promise<void> {
    const nowMs = this.#options.now();
    if (this.#unreadable.length > 0 && this.#readAgain.isOver(nowMs)) {
      this.#waiting.push(...this.#unreadable.splice(0));
    }
    const hasWork = this.#waiting.length > 0 || this.#unsure !== undefined;
    if (this.#round === undefined && hasWork && this.#pause.isOver(nowMs) && this.#options.maySay()) {
      this.#round = this.#run().finally(() => {
        this.#round = undefined;
      });
    }
    return this.#round ?? Promise.resolve();
  }

  async #run(): Promise<void> {
    const isDone = await this.#makeSure();
    if (isDone && (await this.#storeWaiting())) this.#pause.succeeded();
    else this.#pause.failed(this.#options.now());
  }

  /** Ends the doubt about the last pack; true when there is none left. */
  async #makeSure(): Promise<boolean> {
    const pack = this.#unsure;
    if (pack === undefined) return true;
    const stored = pack.drafts.map(({ part }) => this.#options.storedReport(part.dsnQueueId));
    if (stored.some((sequence) => sequence === undefined)) return this.#store(pack);
    this.#unsure = undefined;
    for (const [i, { part }] of pack.drafts.entries()) this.#stored(part, stored[i]!);
    return true;
  }

  /** False when JetStream refuses reports; those that were not stored wait again. */
  async #storeWaiting(): Promise<boolean> {
    const wanted = await this.#drafts(this.#waiting.splice(0, ROUND_PARTS));
    const octetsMax = gatheredMax(this.#options.payloadMax());
    let drafts: Draft[] = [];
    let octets = 0;
    for (const [i, draft] of wanted.entries()) {
      drafts.push(draft);
      octets += draft.frameLength;
      if (octets < octetsMax && drafts.length < PACK_MAILS) continue;
      if (!(await this.#store(this.#packOf(drafts)))) {
        this.#waiting.unshift(...wanted.slice(i + 1).map(({ part }) => part));
        return false;
      }
      drafts = [];
      octets = 0;
    }
    if (this.#unreadable.length === 0) this.#readAgain.succeeded();
    return drafts.length === 0 || (await this.#store(this.#packOf(drafts)));
  }

  /** Those that can be made now, of what is not stored already. All of them together wait no longer than one read may take. */
  async #drafts(parts: readonly ReportPart[]): Promise<Draft[]> {
    const fresh = parts.filter((part) => {
      const sequence = this.#options.storedReport(part.dsnQueueId);
      if (sequence !== undefined) this.#stored(part, sequence);
      return sequence === undefined;
    });
    const refs = fresh.map(({ request }) => request.custody.message.ref);
    const frames = await readFrames(this.#options.direct, refs, READ_WITHIN_MS);
    const drafts = await Promise.all(fresh.map((part, i) => this.#draft(part, frames[i]!)));
    return drafts.filter((draft) => draft !== undefined);
  }

  /** Nothing when its mail cannot be read. */
  async #draft(part: ReportPart, read: FrameRead): Promise<Draft | undefined> {
    if (read.kind === 'found') {
      return await draftOf(part, read.frame, { ...this.#options, readWithinMs: READ_WITHIN_MS });
    }
    this.#later(part);
    const { custody } = part.request;
    if (read.kind === 'missing') this.#options.onMissing(custody);
    else this.#options.onTrouble(`cannot read ${custody.message.queueId} to report it`);
    return undefined;
  }

  #packOf(drafts: Draft[]): Pack {
    const { partition } = this.#options;
    const record = {
      subject: subjects.spool(partition),
      payload: drafts.flatMap((draft) => draft.frame),
      id: `dsn-${drafts[0]!.part.dsnQueueId}-${drafts.length}`,
      headers: { 'Postrider-Index': encodeIndex({ entries: entriesOf(drafts) }) },
      giveUpAfterMs: STORE_WAIT_MS,
    };
    return { drafts, record };
  }

  async #store(pack: Pack): Promise<boolean> {
    const { writer, onTrouble, maySay } = this.#options;
    // It took a while to make it.
    if (!maySay()) {
      this.#waiting.unshift(...pack.drafts.map((draft) => draft.part));
      return false;
    }
    const stored = await writer.store(pack.record);
    if (stored.kind === 'stored') {
      this.#unsure = undefined;
      for (const { part } of pack.drafts) this.#stored(part, stored.sequence);
      return true;
    }
    if (stored.kind === 'too-big') return this.#tooBig(pack);
    onTrouble(`SPOOL: ${troubleText(stored)}; ${pack.drafts.length} reports wait`);
    const mayBeStored = stored.kind === 'unavailable' || stored.kind === 'refused';
    this.#unsure = mayBeStored ? pack : undefined;
    if (!mayBeStored) this.#waiting.unshift(...pack.drafts.map((draft) => draft.part));
    return false;
  }

  /** What is too big together: each by itself. One that is too big alone waits as if it could not be read; the others go on. */
  async #tooBig({ drafts }: Pack): Promise<boolean> {
    this.#unsure = undefined;
    if (drafts.length === 1) {
      this.#later(drafts[0]!.part);
      this.#options.onTrouble(`SPOOL: a report of ${drafts[0]!.frameLength} octets is too big and waits`);
      return true;
    }
    for (const [i, draft] of drafts.entries()) {
      const sequence = this.#options.storedReport(draft.part.dsnQueueId);
      if (sequence !== undefined) this.#stored(draft.part, sequence);
      else if (!(await this.#store(this.#packOf([draft])))) {
        this.#waiting.unshift(...drafts.slice(i + 1).map(({ part }) => part));
        return false;
      }
    }
    return true;
  }

  #later(part: ReportPart): void {
    this.#unreadable.push(part);
    this.#readAgain.failed(this.#options.now());
  }

  #stored({ request }: ReportPart, sequence: number): void {
    const open = this.#open.get(request);
    if (open === undefined) return;
    open.left -= 1;
    open.packs.push(sequence);
    if (open.left > 0) return;
    this.#open.delete(request);
    this.#custodies.delete(request.custody);
    this.#options.onStored(request, open.packs);
  }
}
