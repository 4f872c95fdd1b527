// Which streams of one kind (SPOOL or STORE) take records of ingress, and which is next. Pure: no clock, no I/O; octets are
// what JetStream said last and what was sent since.
//
//   open --over the soft mark--> marked --below it by HYSTERESIS--> open
//   open --full, refused, silent--> out --pause over--> probed --stored--> open
//                                     ^------full, refused, silent-------+   the pause doubles
//
// Invariants:
//  V1  Records go to the open streams in turn, each in proportion to its room below the mark.
//  V2  Above its mark a stream is closed for ingress: the rest belongs to what makes room (reports, states, moves).
//  V3  A stream that is out gets one record when its pause is over, and no other until that one has landed.
//  V4  A SPOOL stream whose STORE stream has no room gets next to nothing while others are free: what is deferred there stays in its
//      pack. When there is no other it takes mail up to its own mark: most mail never moves.
//  V5  Silence of the server closes nothing: a stream is silent only when JetStream answers for it and stores nothing.

/** Why a stream takes nothing. */
export type Closed = 'mark' | 'full' | 'refused' | 'silent';
/** What clients can be told: mail is taken; there is no room; there may be, and nothing is stored. */
export type Standing = 'open' | 'full' | 'stuck';
/** What became of a record. `unknown`: nothing that says anything of the stream. */
export type Landing = 'stored' | 'full' | 'refused' | 'silent' | 'unknown';

export interface Reading {
  octets: number;
  /** 0 or less: without a limit. */
  octetsMax: number;
  lastSequence: number;
}

export interface StreamsOptions {
  count: number;
  /** Share of max_bytes from which a stream is closed, in (0, 1). */
  softMark: number;
  /** Records of one stream that may be in flight. */
  flyingMax: number;
  /** The STORE streams of these SPOOL streams. */
  beside?: Streams;
}

/** A stream at its mark is open again when so much of its max_bytes is free below it: else it would flutter. */
const HYSTERESIS = 0.03;
/** Even a stream near its mark has its turn. */
const WEIGHT_MIN = 0.01;
const PAUSE_MS = 1000;
const PAUSE_MS_MAX = 30_000;
/** Readings, a second apart, in which nothing was stored though something was on its way. */
const STILL_READINGS = 5;

interface Out {
  reason: 'full' | 'refused' | 'silent';
  untilMs: number;
  /** The next pause. */
  pauseMs: number;
  /** What it held then. */
  octets: number;
}

interface Stream {
  reading: Reading;
  sentOctets: number;
  /** Those of `sentOctets` that the answer to the open question knows of. */
  askedOctets: number;
  flying: number;
  stillReadings: number;
  isMarked: boolean;
  out: Out | undefined;
  credit: number;
}

const newStream = (): Stream => ({
  reading: { octets: 0, octetsMax: 0, lastSequence: 0 },
  sentOctets: 0,
  askedOctets: 0,
  flying: 0,
  stillReadings: 0,
  isMarked: false,
  out: undefined,
  credit: 0,
});

export class Streams {
  readonly #options: StreamsOptions;
  readonly #streams: Stream[];

  constructor(options: StreamsOptions) {
    this.#options = options;
    this.#streams = Array.from({ length: options.count }, newStream);
  }

  get count(): number {
    return this.#streams.length;
  }

  /** True when each has as much in flight as it may. */
  get areBusy(): boolean {
    return this.#streams.every(({ flying }) => flying >= this.#options.flyingMax);
  }

  get flying(): number {
    return this.#streams.reduce((sum, { flying }) => sum + flying, 0);
  }

  /** JetStream is asked for a reading. */
  asked(k: number): void {
    const stream = this.#streams[k]!;
    stream.askedOctets = stream.sentOctets;
  }

  /** Its answer. */
  measured(k: number, reading: Reading, nowMs: number): void {
    const stream = this.#streams[k]!;
    const { out } = stream;
    const isStill = stream.flying > 0 && reading.lastSequence === stream.reading.lastSequence;
    stream.stillReadings = isStill ? stream.stillReadings + 1 : 0;
    stream.reading = reading;
    stream.sentOctets -= stream.askedOctets;
    stream.askedOctets = 0;
    this.#mark(stream);
    // Somebody has made room: no need to wait for the end of the pause.
    if (out?.reason === 'full' && reading.octets < out.octets) out.untilMs = Math.min(out.untilMs, nowMs);
    if (stream.stillReadings >= STILL_READINGS) this.#putOut(stream, 'silent', nowMs);
  }

  /** No answer: nothing is known (V5). */
  unmeasured(k: number): void {
    this.#streams[k]!.stillReadings = 0;
  }

  /** A record leaves. */
  sent(k: number, octets: number): void {
    const stream = this.#streams[k]!;
    if (stream.flying === 0) stream.stillReadings = 0;
    stream.flying++;
    stream.sentOctets += octets;
    this.#mark(stream);
  }

  landed(k: number, landing: Landing, nowMs: number): void {
    const stream = this.#streams[k]!;
    stream.flying--;
    switch (landing) {
      case 'stored':
        stream.out = undefined;
        stream.stillReadings = 0;
        return;
      case 'full':
      case 'refused':
      case 'silent':
        this.#putOut(stream, landing, nowMs);
        return;
      case 'unknown':
        return;
    }
  }

  /** Another server, or the same one started again: what was silent is tried at once. */
  reconnected(nowMs: number): void {
    for (const stream of this.#streams) {
      stream.stillReadings = 0;
      if (stream.out?.reason === 'silent') stream.out.untilMs = nowMs;
    }
  }

  /** Why ingress sends nothing there; undefined when it does. */
  closed(k: number, nowMs: number): Closed | undefined {
    const { out, isMarked, flying } = this.#streams[k]!;
    if (isMarked) return 'mark'; // V2
    return out !== undefined && (nowMs < out.untilMs || flying > 0) ? out.reason : undefined; // V3
  }

  /** Why it was out, until it has taken something again: the next record is there to find out. */
  outFor(k: number): Out['reason'] | undefined {
    return this.#streams[k]!.out?.reason;
  }

  /** True above the mark, or when JetStream said so and has not taken anything since. */
  hasNoRoom(k: number): boolean {
    const { isMarked, out } = this.#streams[k]!;
    return isMarked || out?.reason === 'full';
  }

  isBusy(k: number): boolean {
    return this.#streams[k]!.flying >= this.#options.flyingMax;
  }

  /** The stream for the next record (V1); `busy`: one will be free; `closed`: none takes any. */
  next(nowMs: number): number | 'busy' | 'closed' {
    let best: number | 'busy' | 'closed' = 'closed';
    let total = 0;
    for (let k = 0; k < this.#streams.length; k++) {
      if (this.closed(k, nowMs) !== undefined) continue;
      if (this.isBusy(k)) {
        if (best === 'closed') best = 'busy';
        continue;
      }
      const stream = this.#streams[k]!;
      const weight = this.#weight(k);
      total += weight;
      stream.credit += weight;
      if (typeof best === 'string' || stream.credit > this.#streams[best]!.credit) best = k;
    }
    if (typeof best === 'number') this.#streams[best]!.credit -= total;
    return best;
  }

  #weight(k: number): number {
    const { beside, softMark } = this.#options;
    return beside?.hasNoRoom(k) === true ? WEIGHT_MIN : Math.max(WEIGHT_MIN, softMark - this.share(k)); // V4
  }

  standing(nowMs: number): Standing {
    let standing: Standing = 'stuck';
    for (let k = 0; k < this.#streams.length; k++) {
      const closed = this.closed(k, nowMs);
      if (closed === undefined) return 'open';
      if (closed === 'mark' || closed === 'full') standing = 'full';
    }
    return standing;
  }

  /** Share of max_bytes that is used, as far as ingress knows; 0 without a limit. */
  share(k: number): number {
    return shareOf(this.#streams[k]!);
  }

  #mark(stream: Stream): void {
    const share = shareOf(stream);
    const { softMark } = this.#options;
    if (share >= softMark) stream.isMarked = true;
    else if (share < softMark - HYSTERESIS) stream.isMarked = false;
  }

  #putOut(stream: Stream, reason: Out['reason'], nowMs: number): void {
    const { out, reading } = stream;
    const { octets } = reading;
    if (out !== undefined && nowMs < out.untilMs) {
      out.reason = reason;
      return;
    }
    const pauseMs = out?.pauseMs ?? PAUSE_MS;
    const nextMs = Math.min(PAUSE_MS_MAX, pauseMs * 2);
    stream.out = { reason, untilMs: nowMs + pauseMs, pauseMs: nextMs, octets };
  }
}

function shareOf({ reading, sentOctets }: Stream): number {
  return reading.octetsMax <= 0 ? 0 : (reading.octets + sentOctets) / reading.octetsMax;
}
