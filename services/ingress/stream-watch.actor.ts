// Looks once a second at the SPOOL and STORE streams as JetStream describes them, so that ingress knows which of them take mail
// (streams.machine.ts decides), and says what changes.
//
// Fails: no answer -> nothing is known, and what was known stays. How full a disk is cannot be asked over NATS: a stream whose disk
// is full answers questions and acknowledges nothing (nats-server 2.15.1), also when there is room again, until its server is
// started again; that is told in the log and by a gauge.
import { callApi } from '#libs/nats/api.ts';
import type { Layout } from '#libs/nats/layout.ts';
import type { Link } from '#libs/nats/link.ts';
import type { Stored } from '#libs/nats/records.ts';
import type { Metrics } from '#libs/telemetry/metrics.ts';
import { type Closed, type Landing, type Standing, Streams } from './streams.machine.ts';

/** The link, as far as it is needed. */
type WatchedLink = Pick<Link, 'request' | 'onReconnected' | 'connected'>;

export interface StreamWatchOptions {
  link: WatchedLink;
  layout: Pick<Layout, 'spoolStreams'>;
  softMark: number;
  /** Milliseconds that only grow. */
  ticks: () => number;
  onChange: (words: string) => void;
}

const ANSWER_WAIT_MS = 2000;
/** Chunks of all streams: the link holds copies of them that no budget counts. */
const CHUNKS_FLYING_MAX = 16;
const CHUNKS_FLYING_MIN = 2;

interface StreamInfo {
  config: { max_bytes?: number };
  state: { bytes: number; last_seq: number };
}

const WORDS: Readonly<Record<Closed, string>> = {
  mark: 'is above limits.spoolSoftMark: the rest is for what makes room',
  full: 'is full',
  refused: 'refuses what is sent',
  silent:
    'answers but stores nothing: the disk of its nats-server may be full or broken; once there is room, that server must be restarted',
};

/** The streams of one kind, with the clock and the link that tell what landings mean. */
export class WatchedStreams {
  readonly #streams: Streams;
  readonly #link: WatchedLink;
  readonly #ticks: () => number;

  constructor(streams: Streams, { link, ticks }: Pick<StreamWatchOptions, 'link' | 'ticks'>) {
    this.#streams = streams;
    this.#link = link;
    this.#ticks = ticks;
  }

  get areBusy(): boolean {
    return this.#streams.areBusy;
  }

  get flying(): number {
    return this.#streams.flying;
  }

  get standing(): Standing {
    return this.#streams.standing(this.#ticks());
  }

  next(): number | 'busy' | 'closed' {
    return this.#streams.next(this.#ticks());
  }

  isOpen(k: number): boolean {
    return this.#streams.closed(k, this.#ticks()) === undefined;
  }

  isBusy(k: number): boolean {
    return this.#streams.isBusy(k);
  }

  /** True when the next record finds out whether it may be stored at all. */
  isProbed(k: number): boolean {
    const reason = this.#streams.outFor(k);
    return reason === 'silent' || reason === 'refused';
  }

  /** True when it is known to answer and to store nothing. */
  isSilent(k: number): boolean {
    return this.#streams.outFor(k) === 'silent';
  }

  sent(k: number, octets: number): void {
    this.#streams.sent(k, octets);
  }

  landed(k: number, kind: Stored['kind']): void {
    this.#streams.landed(k, this.#landing(kind), this.#ticks());
  }

  #landing(kind: Stored['kind']): Landing {
    if (kind === 'unavailable') return this.#link.connected ? 'silent' : 'unknown';
    return kind === 'too-big' || kind === 'conflict' ? 'unknown' : kind;
  }
}

export class StreamWatch {
  readonly #options: StreamWatchOptions;
  readonly #kinds: { prefix: 'SPOOL' | 'STORE'; streams: Streams }[];
  readonly #said = new Map<string, Closed>();
  readonly #endListening: () => void;
  readonly spool: WatchedStreams;
  readonly store: WatchedStreams;
  #isAsking = false;

  constructor(options: StreamWatchOptions) {
    const { layout, softMark, link, ticks } = options;
    const count = layout.spoolStreams;
    const chunksMax = Math.max(CHUNKS_FLYING_MIN, Math.ceil(CHUNKS_FLYING_MAX / count));
    const store = new Streams({ count, softMark, flyingMax: chunksMax });
    const spool = new Streams({ count, softMark, flyingMax: 1, beside: store });
    this.#options = options;
    this.#kinds = [
      { prefix: 'SPOOL', streams: spool },
      { prefix: 'STORE', streams: store },
    ];
    this.spool = new WatchedStreams(spool, options);
    this.store = new WatchedStreams(store, options);
    this.#endListening = link.onReconnected(() => {
      for (const { streams } of this.#kinds) streams.reconnected(ticks());
    });
  }

  /** Asks JetStream, unless it still owes an answer, and says what has changed. Called about once a second. */
  async look(): Promise<void> {
    this.#sayChanges();
    if (this.#isAsking) return;
    this.#isAsking = true;
    const numbers = Array.from({ length: this.#options.layout.spoolStreams }, (_, k) => k);
    await Promise.all(
      this.#kinds.flatMap(({ prefix, streams }) => numbers.map((k) => this.#measure(prefix, streams, k))),
    );
    this.#isAsking = false;
    this.#sayChanges();
  }

  stop(): void {
    this.#endListening();
  }

  /** Adds the gauges. */
  show(metrics: Pick<Metrics, 'gauges'>): void {
    metrics.gauges(
      'postrider_ingress_stream_used_ratio',
      'Share of its max_bytes that a stream holds; at limits.spoolSoftMark ingress sends nothing more there, when all are there clients hear 452.',
      (observe) => this.#each((stream, streams, k) => observe(streams.share(k), { stream })),
    );
    metrics.gauges(
      'postrider_ingress_stream_closed',
      '1 for a stream that ingress sends nothing to, by reason; 0 (none) when healthy. silent: the nats-server must be restarted once its disk has room.',
      (observe) =>
        this.#eachStanding((stream, reason) =>
          observe(reason === undefined ? 0 : 1, { stream, reason: reason ?? 'none' }),
        ),
    );
  }

  async #measure(prefix: string, streams: Streams, k: number): Promise<void> {
    streams.asked(k);
    const { link, ticks } = this.#options;
    const answer = await callApi<StreamInfo>(link, `STREAM.INFO.${prefix}_${k}`, undefined, ANSWER_WAIT_MS);
    const { config, state } = answer.kind === 'ok' ? answer.value : { config: undefined, state: undefined };
    if (typeof state?.bytes !== 'number') {
      streams.unmeasured(k);
      return;
    }
    const reading = {
      octets: state.bytes,
      octetsMax: config?.max_bytes ?? 0,
      lastSequence: state.last_seq,
    };
    streams.measured(k, reading, ticks());
  }

  #each(hear: (stream: string, streams: Streams, k: number) => void): void {
    for (const { prefix, streams } of this.#kinds) {
      for (let k = 0; k < streams.count; k++) hear(`${prefix}_${k}`, streams, k);
    }
  }

  /** `reason` why it is closed; undefined when it is open. */
  #eachStanding(hear: (stream: string, reason: Closed | undefined) => void): void {
    const nowMs = this.#options.ticks();
    // One that is probed is closed until something was stored.
    this.#each((stream, streams, k) => hear(stream, streams.closed(k, nowMs) ?? streams.outFor(k)));
  }

  #sayChanges(): void {
    const { onChange } = this.#options;
    const closed = new Map<string, Closed>();
    this.#eachStanding((stream, reason) => {
      if (reason !== undefined) closed.set(stream, reason);
    });
    for (const [stream, reason] of closed) {
      if (this.#said.get(stream) !== reason) onChange(`${stream} ${WORDS[reason]}`);
    }
    for (const stream of this.#said.keys()) {
      if (!closed.has(stream)) onChange(`${stream} takes mail again`);
    }
    this.#said.clear();
    for (const [stream, reason] of closed) this.#said.set(stream, reason);
  }
}
