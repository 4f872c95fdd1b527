// Mails whose content somebody did not find: looked for again, over some seconds, before it is believed.
//
// A record that is missing may only be late (a leader that has just been elected, a copy that was made a moment ago), and
// giving a mail up cannot be undone. Nobody waits for these mails meanwhile.
//
// Fails: what cannot be read for want of an answer proves nothing and is asked again.
import type { DirectGet } from '#libs/nats/direct-get.ts';
import type { Chunk } from '#proto/postrider/v1/mail.ts';
import type { Custody } from './custody.ts';
import { FrameReader } from './frames.ts';
import { positionsIn } from './recipient-steps.ts';

/**
 * there: all of it can be read. damaged: its envelope can, its data cannot. gone: nobody knows whose it was.
 */
export type ContentVerdict = 'there' | 'damaged' | 'gone';

/** So often in a row, and so far apart, the leader must say that it has nothing. */
const MISSES = 3;
const LOOK_AGAIN_MS = 3000;
const LOOKS_AT_A_TIME = 8;

export interface ContentDoubtsOptions {
  direct: Pick<DirectGet, 'bySequence'>;
  now: () => number;
  /** A worker that has not been heard may have it. */
  mayBeOut: (custody: Custody) => boolean;
  onVerdict: (custody: Custody, verdict: ContentVerdict) => void;
}

interface Doubt {
  misses: number;
  /** What was found last. */
  verdict: ContentVerdict;
  dueAtMs: number;
}

type Looked = ContentVerdict | 'unavailable';

export class ContentDoubts {
  readonly #options: ContentDoubtsOptions;
  readonly #doubts = new Map<Custody, Doubt>();
  #looking = false;

  constructor(options: ContentDoubtsOptions) {
    this.#options = options;
  }

  get waiting(): number {
    return this.#doubts.size;
  }

  /** Somebody did not find what the mail refers to: a worker perhaps, that does not have it any more. */
  add(custody: Custody): void {
    const doubt = this.#doubts.get(custody);
    if (doubt !== undefined) this.#judge(custody, doubt);
    else this.#doubts.set(custody, { misses: 0, verdict: 'there', dueAtMs: this.#options.now() });
  }

  /** Looks for those that are due. Called once a second; one at a time. */
  async sweep(nowMs: number): Promise<void> {
    if (this.#looking) return;
    this.#looking = true;
    try {
      const due: Custody[] = [];
      for (const [custody, { dueAtMs }] of this.#doubts) {
        if (custody.message.phase === 'settled') this.#doubts.delete(custody);
        else if (dueAtMs <= nowMs && due.length < LOOKS_AT_A_TIME) due.push(custody);
      }
      await Promise.all(due.map((custody) => this.#look(custody)));
    } finally {
      this.#looking = false;
    }
  }

  async #look(custody: Custody): Promise<void> {
    const looked = await this.#lookAt(custody);
    const doubt = this.#doubts.get(custody)!;
    doubt.dueAtMs = this.#options.now() + LOOK_AGAIN_MS;
    if (looked === 'unavailable') return;
    doubt.misses += 1;
    doubt.verdict = looked;
    if (looked !== 'there') return this.#judge(custody, doubt);
    this.#doubts.delete(custody);
    this.#options.onVerdict(custody, looked);
  }

  #judge(custody: Custody, { misses, verdict }: Doubt): void {
    // A worker that has begun may have read it while it was there: it knows better.
    const isOut = positionsIn(custody.message, 'attempting').length > 0 || this.#options.mayBeOut(custody);
    if (misses < MISSES || isOut) return;
    this.#doubts.delete(custody);
    this.#options.onVerdict(custody, verdict);
  }

  async #lookAt({ message }: Custody): Promise<Looked> {
    const { direct } = this.#options;
    const read = await new FrameReader(direct).read(message.ref);
    if (read.kind === 'unavailable') return 'unavailable';
    if (read.kind === 'missing') return 'gone';
    const { queueId, forwardPaths, chunks } = read.frame.envelope;
    const recipients = message.recipients.length || forwardPaths.length;
    if (queueId !== message.queueId || forwardPaths.length !== recipients || recipients === 0) return 'gone';
    for (const chunk of chunks) {
      const found = await lookAtChunk(direct, chunk);
      if (found !== 'there') return found;
    }
    return 'there';
  }
}

async function lookAtChunk(direct: Pick<DirectGet, 'bySequence'>, chunk: Chunk): Promise<Looked> {
  const got = await direct.bySequence(chunk.stream, chunk.sequence);
  if (got.kind === 'unavailable') return 'unavailable';
  return got.kind === 'found' && got.record.data.length === chunk.length ? 'there' : 'damaged';
}
