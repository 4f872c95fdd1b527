// Puts records aside that cannot be read: each is copied to the stream QUARANTINE first, and only then forgotten where it was,
// so that it holds nothing else and nothing that we accepted is lost without a trace.
//
// Fails: a copy that cannot be stored (the stream is full, JetStream does not answer) is tried again after a growing pause; until
// then the record stays where it is, and so do only it and what it says.
import type { DirectGet } from '#libs/nats/direct-get.ts';
import { subjects } from '#libs/nats/layout.ts';
import { type RecordWriter, troubleText } from '#libs/nats/records.ts';
import { GrowingPause } from './pause-growing.ts';

const STORE_WAIT_MS = 5000;
const PAUSE = { firstMs: 1000, lastMs: 60_000 };
const PER_SWEEP = 20;
const WHY_LENGTH_MAX = 200;

/** Headers of a copy: where the record was, and why it is here. */
export const ASIDE = {
  stream: 'Postrider-Was-Stream',
  sequence: 'Postrider-Was-Sequence',
  subject: 'Postrider-Was-Subject',
  why: 'Postrider-Why',
  atMs: 'Postrider-Aside-At-Ms',
} as const;
/** Its own headers that somebody needs who wants to read it after all. */
const KEPT_HEADERS = ['Postrider-Index', 'Postrider-Encoding'];

export interface AsideRecord {
  subject: string;
  data: Uint8Array;
  header(name: string): string | undefined;
}

/** A record that cannot be read. */
export interface Unreadable {
  stream: string;
  sequence: number;
  why: string;
  /** As it was read; without it it is read again. */
  record?: AsideRecord;
  /** It is copied, or there is nothing to copy any more. */
  onAside?: () => void;
}

export interface QuarantineOptions {
  partition: number;
  direct: Pick<DirectGet, 'bySequence'>;
  writer: Pick<RecordWriter, 'store'>;
  now: () => number;
  /** A copy is stored. */
  onQuarantined: (what: string) => void;
  onTrouble: (reason: string) => void;
}

export class Quarantine {
  readonly #options: QuarantineOptions;
  readonly #pause = new GrowingPause(PAUSE);
  /** At most what is stored of the partition. */
  #waiting: Unreadable[] = [];
  #running = false;

  constructor(options: QuarantineOptions) {
    this.#options = options;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  add(unreadable: Unreadable): void {
    this.#waiting.push(unreadable);
  }

  /** Called once a second; one at a time. */
  async sweep(nowMs: number): Promise<void> {
    if (this.#running || this.#waiting.length === 0 || !this.#pause.isOver(nowMs)) return;
    this.#running = true;
    try {
      for (let left = Math.min(PER_SWEEP, this.#waiting.length); left > 0; left--) {
        if (!(await this.#putAside(this.#waiting.shift()!))) return;
      }
    } finally {
      this.#running = false;
    }
  }

  async #putAside(unreadable: Unreadable): Promise<boolean> {
    const what = `record ${unreadable.sequence} of ${unreadable.stream}`;
    const failure = await this.#copy(unreadable, what);
    if (failure === undefined) {
      this.#pause.succeeded();
      unreadable.onAside?.();
      return true;
    }
    this.#options.onTrouble(`${what} cannot be read (${unreadable.why}) nor put aside: ${failure}`);
    this.#pause.failed(this.#options.now());
    this.#waiting.push(unreadable);
    return false;
  }

  /** Why it is not copied; nothing when it is. */
  async #copy(unreadable: Unreadable, what: string): Promise<string | undefined> {
    const { stream, sequence, why } = unreadable;
    const { direct, writer, partition, now, onQuarantined } = this.#options;
    const got =
      unreadable.record === undefined
        ? await direct.bySequence(stream, sequence)
        : ({ kind: 'found', record: unreadable.record } as const);
    // Whoever removed it has done what was to be done.
    if (got.kind === 'missing') return undefined;
    if (got.kind === 'unavailable') return 'it cannot be copied now';
    const { record } = got;
    const headers: Record<string, string> = {
      [ASIDE.stream]: stream,
      [ASIDE.sequence]: String(sequence),
      [ASIDE.subject]: record.subject,
      [ASIDE.why]: plain(why),
      [ASIDE.atMs]: String(now()),
    };
    for (const name of KEPT_HEADERS) {
      const value = record.header(name);
      if (value !== undefined) headers[name] = plain(value, value.length);
    }
    const stored = await writer.store({
      subject: subjects.quarantine(partition),
      payload: record.data,
      id: `aside-${stream}-${sequence}`,
      headers,
      giveUpAfterMs: STORE_WAIT_MS,
    });
    if (stored.kind !== 'stored') return troubleText(stored);
    if (!stored.duplicate) onQuarantined(`${what} cannot be read (${plain(why)}): it is in quarantine`);
    return undefined;
  }
}

/** As a header may have it. */
function plain(text: string, lengthMax = WHY_LENGTH_MAX): string {
  return text.replace(/[^ -~]/g, '?').slice(0, lengthMax);
}
