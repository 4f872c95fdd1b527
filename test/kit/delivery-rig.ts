// One carrier of the delivery service on a bench: mails are given to it one after the other, and its events come back as
// promises. The records that JetStream would hold are in memory; sockets and everything else are real.
import { setTimeout as pause } from 'node:timers/promises';
import type { Got } from '#libs/nats/direct-get.ts';
import { encodeFrame } from '#libs/pack/pack.ts';
import type { Job } from '#proto/postrider/v1/job.ts';
import { BodyType, type Chunk, type Envelope } from '#proto/postrider/v1/mail.ts';
import { type Site, Transport } from '#proto/postrider/v1/route.ts';
import { type Attempt, newAttempt } from '../../services/delivery/attempt.ts';
import type { Carrier, CarrierEvent } from '../../services/delivery/carrier.ts';
import type { RefusalCause } from '../../services/delivery/checkpoint.machine.ts';
import type { PassageListener } from '../../services/delivery/checkpoints.actor.ts';
import { MaildirGateway } from '../../services/delivery/gateways/maildir.ts';
import { openCarrier } from '../../services/delivery/open-carrier.ts';
import { PackCache } from '../../services/delivery/pack-cache.actor.ts';
import { DeadAddresses } from '../../services/delivery/route-order.ts';
import { type SinkOptions, type SmtpSink, startSmtpSink } from './smtp-sink.ts';

export interface RigMail {
  from?: string;
  to?: string[];
  prepended?: string;
  data?: string | Uint8Array;
  /** Stored in chunks of this many octets. */
  chunkSize?: number;
  body?: '7bit' | '8bitmime';
  /** Positions that the job is for; empty means all. */
  recipients?: number[];
}

export interface RigOptions {
  tls?: 'opportunistic' | 'never';
  timeoutScale?: number;
  packCacheMax?: number;
}

const STREAM = 'SPOOL_0';

/** A carrier that is connected to a sink. */
export interface Connected {
  sink: SmtpSink;
  carrier: Carrier;
  /** Gives a mail and waits for what becomes of it. */
  carry(mail: RigMail): Promise<CarrierEvent>;
}

export class DeliveryRig {
  readonly cache: PackCache;
  readonly dead = new DeadAddresses();
  /** Attempts whose checkpoint was passed, in order. */
  readonly passed: string[] = [];
  /** Sequences of records that JetStream has lost. */
  readonly lost = new Set<number>();
  /** Checkpoints wait while this is closed. */
  gate: 'open' | 'closed' = 'open';
  /** What every checkpoint is refused for; none when undefined. */
  refusal: RefusalCause | undefined;
  /** Without it no final dot may leave. */
  lease: 'held' | 'ended' = 'held';
  /** Carriers that said goodbye and are gone. */
  left = 0;
  readonly #options: RigOptions;
  readonly #records = new Map<number, Uint8Array>();
  readonly #gateway = new MaildirGateway();
  readonly #carriers = new Set<Carrier>();
  readonly #events: CarrierEvent[] = [];
  readonly #timer: NodeJS.Timeout;
  readonly #sinks: SmtpSink[] = [];
  #waiting: (() => void)[] = [];
  #behindGate: (() => void)[] = [];
  #sequence = 0;

  constructor(options: RigOptions = {}) {
    this.#options = options;
    const bySequence = async (_: string, sequence: number): Promise<Got> => this.#get(sequence);
    this.cache = new PackCache({ bySequence }, options.packCacheMax ?? 1024 ** 2);
    this.#timer = setInterval(() => {
      for (const carrier of this.#carriers) carrier.sweep(Date.now());
    }, 10);
  }

  /** A carrier that has begun to connect; its first event is yet to come. */
  open(site: Partial<Site>): Carrier {
    const { tls = 'opportunistic', timeoutScale = 1 } = this.#options;
    const context = {
      config: { delivery: { tls, timeoutScale } },
      hostname: 'client.test',
      cache: this.cache,
      checkpoints: {
        pass: (attempt: Attempt, listener: PassageListener) => this.#pass(attempt, listener),
      },
      gateway: this.#gateway,
      now: Date.now,
      mayEnd: () => this.lease === 'held',
    };
    const whole = { key: 'site', transport: Transport.SMTP, hosts: [], maildir: '', ...site };
    const carrier = openCarrier(context, { site: whole, dead: this.dead }, (event) => {
      if (event.kind === 'left') {
        this.left += 1;
        return;
      }
      this.#events.push(event);
      this.#waiting.shift()?.();
    });
    this.#carriers.add(carrier);
    return carrier;
  }

  /** A carrier that is ready. */
  async openReady(site: Partial<Site>): Promise<Carrier> {
    const carrier = this.open(site);
    const event = await this.event();
    if (event.kind !== 'ready') throw new Error(`not ready: ${JSON.stringify(event)}`);
    return carrier;
  }

  /** A sink that ends with the rig. */
  async sink(options: SinkOptions = {}): Promise<SmtpSink> {
    const sink = await startSmtpSink(options);
    this.#sinks.push(sink);
    return sink;
  }

  /** A sink, and a carrier to it that is ready. */
  async connected(options: SinkOptions = {}, more: Partial<Site> = {}): Promise<Connected> {
    const sink = await this.sink(options);
    const carrier = await this.openReady(siteAt(sink.port, more));
    return { sink, carrier, carry: (mail) => this.carry(carrier, mail) };
  }

  /** The next event. */
  async event(): Promise<CarrierEvent> {
    if (this.#events.length === 0) await new Promise<void>((told) => this.#waiting.push(told));
    return this.#events.shift()!;
  }

  /** Events that nobody has read. */
  get unread(): number {
    return this.#events.length;
  }

  /** Gives the mail to the carrier and waits for what becomes of it. */
  carry(carrier: Carrier, mail: RigMail): Promise<CarrierEvent> {
    carrier.carry(this.attempt(mail));
    return this.event();
  }

  /** An attempt for a mail that is stored. */
  attempt(mail: RigMail): Attempt {
    const { from = 's@x.test', to = ['r@y.test'], prepended = 'X-Trace: 1\r\n', recipients = [] } = mail;
    const data = typeof mail.data === 'string' ? Buffer.from(mail.data, 'latin1') : mail.data;
    const octets = data ?? Buffer.from('Subject: x\r\n\r\nhello\r\n');
    const chunks = mail.chunkSize === undefined ? [] : this.#storeChunks(octets, mail.chunkSize);
    const queueId = `q${this.#sequence}`;
    const envelope: Envelope = {
      queueId,
      reversePath: from,
      forwardPaths: to,
      acceptedAtMs: 1_700_000_000_000,
      bodyType: mail.body === '8bitmime' ? BodyType.BODY_TYPE_8BITMIME : BodyType.BODY_TYPE_7BIT,
      trace: undefined,
      clientAddress: '',
      clientName: '',
      protocol: 'ESMTP',
      prependedLength: 0,
      dataLength: 0,
      hasDotLines: /^\./m.test(Buffer.from(octets).toString('latin1')),
      chunks,
    };
    const pieces = chunks.length > 0 ? [] : [octets];
    const frame = Buffer.concat(encodeFrame({ envelope, prepended: Buffer.from(prepended), data: pieces }));
    const sequence = this.store(frame);
    const job: Job = {
      attemptId: `${queueId}.1.1`,
      queueId,
      partition: 0,
      epoch: 1,
      ref: { stream: STREAM, sequence, offset: 0, length: frame.length },
      recipients,
      startByMs: Date.now() + 60_000,
      trace: undefined,
      attempts: 0,
      ownTrace: false,
    };
    return newAttempt(job, Date.now());
  }

  /** Stores a record; returns its sequence. */
  store(record: Uint8Array): number {
    this.#sequence += 1;
    this.#records.set(this.#sequence, record);
    return this.#sequence;
  }

  /** Lets checkpoints pass that waited. */
  openGate(): void {
    this.gate = 'open';
    for (const goOn of this.#behindGate.splice(0)) goOn();
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    for (const carrier of this.#carriers) carrier.destroy();
    await Promise.all(this.#sinks.map((sink) => sink.close()));
    await this.#gateway.close();
    await pause(0);
  }

  #pass(attempt: Attempt, listener: PassageListener): void {
    this.passed.push(attempt.job.attemptId);
    const answer = () => {
      if (this.refusal === undefined) listener.passed(attempt);
      else listener.refused(attempt, this.refusal);
    };
    if (this.gate === 'open') setImmediate(answer);
    else this.#behindGate.push(answer);
  }

  #get(sequence: number): Got {
    const data = this.lost.has(sequence) ? undefined : this.#records.get(sequence);
    if (data === undefined) return { kind: 'missing' };
    return { kind: 'found', record: { sequence, subject: 'spool.0', data, header: () => undefined } };
  }

  #storeChunks(data: Uint8Array, chunkSize: number): Chunk[] {
    const chunks: Chunk[] = [];
    for (let at = 0; at < data.length; at += chunkSize) {
      const piece = data.subarray(at, at + chunkSize);
      chunks.push({ stream: STREAM, sequence: this.store(piece), length: piece.length });
    }
    return chunks;
  }
}

/** A site at one port of this machine. */
export function siteAt(port: number, more: Partial<Site> = {}): Partial<Site> {
  return { hosts: [{ name: 'mx.test', port, addresses: ['127.0.0.1'], unixPath: '' }], ...more };
}

/** What happened to the carrier, and what became of the recipients: shared [kind, code], or each [position, kind, code]. */
export function told(event: CarrierEvent) {
  const outcome = 'outcome' in event ? event.outcome : undefined;
  return {
    event: event.kind === 'finished' ? event.connectionIs : event.kind,
    fate: outcome === undefined ? undefined : [outcome.kind, outcome.reply?.code],
    each: outcome?.recipients.map(({ recipient, kind, reply }) => [recipient, kind, reply?.code]) ?? [],
  };
}
