// The queue on a bench: real Queue instances on a real nats-server, between a fake ingress and resolver (here) and fake
// workers (queue-worker.ts).
import { DirectGet } from '#libs/nats/direct-get.ts';
import { type Layout, spoolStream, storeStream, subjects } from '#libs/nats/layout.ts';
import { connectLink, type Link } from '#libs/nats/link.ts';
import { Presence } from '#libs/nats/presence.ts';
import { provision } from '#libs/nats/provision.ts';
import { readAll, type StoredRecord } from '#libs/nats/reading.ts';
import { RecordWriter } from '#libs/nats/records.ts';
import {
  decodeFrame,
  decodeIndex,
  domainRuns,
  encodeFrame,
  encodeIndex,
  type Frame,
} from '#libs/pack/pack.ts';
import { steadyClock } from '#libs/shell/steady-clock.ts';
import { Tally } from '#libs/telemetry/tally.ts';
import { Tracing } from '#libs/telemetry/tracing.ts';
import {
  BodyType,
  type Chunk,
  type Envelope,
  type MailState,
  type PackEntry,
  type Reply,
} from '#proto/postrider/v1/mail.ts';
import { RouteAnswer, RouteRequest, type Site, Transport } from '#proto/postrider/v1/route.ts';
import { CheckpointRoom } from '../../services/queue/checkpoint-room.actor.ts';
import { Erasure } from '../../services/queue/erasure.actor.ts';
import { Gate, restAsLong } from '../../services/queue/gate.ts';
import { Interned } from '../../services/queue/interned.ts';
import type { MessagePolicy } from '../../services/queue/message-reviews.ts';
import { Queue, type SharedContext } from '../../services/queue/queue.actor.ts';
import { Rounds } from '../../services/queue/rounds.ts';
import { Routes } from '../../services/queue/routes.actor.ts';
import { SiteDesk } from '../../services/queue/site-desk.actor.ts';
import { decodeState } from '../../services/queue/state-record.ts';
import { CutLink } from './cut-link.ts';
import { type NatsServer, startNats } from './nats-server.ts';
import { FakeWorker } from './queue-worker.ts';
import { waitUntil } from './wait-until.ts';

export const SHARDS = 4;
const monotonic = () => performance.now();

export interface RigOptions {
  partitions?: number;
  /** Streams for packs, and for mails that are remembered. */
  spoolStreams?: number;
  policy?: Partial<MessagePolicy>;
  /** Octets of the server's max_payload; 8 MB when absent. */
  payloadMax?: number;
  /** The clock of the machine that queues run on; that of this one when absent. */
  wall?: () => number;
}

export interface SentMail {
  to: string[];
  from?: string;
  text?: string;
  acceptedAtMs?: number;
  chunks?: Chunk[];
  /** Recipients are not in the index. */
  unlisted?: true;
}

export interface RunningQueue {
  queue: Queue;
  link: Link;
  desk: SiteDesk;
  context: SharedContext;
  troubles: string[];
  /** Attempts that were found in doubt. */
  inDoubt: string[];
  /** Mails whose content is gone. */
  contentLost: string[];
  /** Records that were put aside, in words. */
  quarantined: string[];
  /** Partitions lost against its will. */
  lost: number[];
  /** For the others it is gone from now on, and it hears nothing of them; but it goes on. */
  seemDead(): void;
  stop(): Promise<void>;
  /** As kill -9 would. */
  kill(): Promise<void>;
}

export type RouteOf = Site | { failed: Reply } | { deferred: Reply };

export function siteOf(name: string): Site {
  return { key: `smtp:${name}:25`, transport: Transport.SMTP, hosts: [], maildir: '' };
}

/** Waits until it is true. Throws when that takes too long. */
export function until(isTrue: () => boolean | Promise<boolean>, timeoutMs = 15_000): Promise<void> {
  return waitUntil(isTrue, timeoutMs);
}

export class QueueRig {
  readonly nats: NatsServer;
  readonly link: Link;
  readonly layout: Layout;
  readonly routes = new Map<string, RouteOf>();
  /** Domains that the resolver was asked for, in order. */
  readonly asked: string[] = [];
  readonly #policy: MessagePolicy;
  readonly #wall: () => number;
  readonly #writer: RecordWriter;
  readonly #queues: RunningQueue[] = [];
  readonly #workers: FakeWorker[] = [];
  #mails = 0;

  constructor(nats: NatsServer, link: Link, options: RigOptions) {
    this.nats = nats;
    this.link = link;
    this.layout = layoutOf(options);
    this.#wall = options.wall ?? Date.now;
    this.#writer = new RecordWriter(link);
    this.#policy = {
      scheduleMs: [1500, 60_000],
      expireAfterMs: 600_000,
      delayWarningAfterMs: 300_000,
      inDoubt: 'redeliver',
      ...options.policy,
    };
    link.subscribe(
      subjects.resolveRoute,
      ({ data, reply }) => link.publish(reply, this.#resolve(RouteRequest.decode(data))),
      { workerGroup: 'resolver' },
    );
  }

  static async start(options: RigOptions = {}): Promise<QueueRig> {
    const { payloadMax } = options;
    const nats = await startNats(payloadMax === undefined ? {} : { payloadMax });
    const link = await connectLink({ url: nats.url, service: 'rig' });
    await provision(link, layoutOf(options));
    return new QueueRig(nats, link, options);
  }

  async stop(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.die()));
    await Promise.all(this.#queues.map((queue) => queue.kill()));
    await this.link.close();
    await this.nats.stop();
  }

  /** A queue instance that begins to take partitions over. */
  async queue(policy: Partial<MessagePolicy> = {}): Promise<RunningQueue> {
    const link = await connectLink({ url: this.nats.url, service: 'queue' });
    const troubles: string[] = [];
    const inDoubt: string[] = [];
    const lost: number[] = [];
    const [contentLost, quarantined]: string[][] = [[], []];
    const clock = steadyClock(this.#wall);
    const desk = new SiteDesk({ link, shards: SHARDS, now: clock.now });
    const context: SharedContext = {
      link,
      desk,
      layout: this.layout,
      writer: new RecordWriter(link),
      direct: new DirectGet(link),
      erasure: new Erasure({ link, now: monotonic, onTrouble: (reason) => troubles.push(reason) }),
      routes: new Routes(link, clock.now),
      tracing: Tracing.off(),
      interned: new Interned(),
      rounds: roundsAsInService(),
      checkpointRoom: new CheckpointRoom(link),
      policy: { ...this.#policy, ...policy },
      hostname: 'queue.test',
      sameTraceWindowMs: 3_600_000,
      packKeptMs: 0,
      clock,
      now: clock.now,
      onInDoubt: (_, attemptId) => inDoubt.push(attemptId),
      onTrouble: (reason) => troubles.push(reason),
      onContentLost: (queueId) => contentLost!.push(queueId),
      onQuarantined: (what) => quarantined!.push(what),
      counters: uncounted(),
    };
    const queue = new Queue(context, (partition) => lost.push(partition));
    const heartbeats = new CutLink(link);
    const presence = new Presence(heartbeats as unknown as Link, {
      service: 'queue',
      watch: ['queue', 'delivery'],
      holds: () => queue.holds(),
      isPassive: () => queue.isPassive,
    });
    await presence.start();
    queue.start(presence);
    let isUp = true;
    const end = async (how: () => Promise<void>) => {
      if (!isUp) return;
      isUp = false;
      await how();
      context.routes.stop();
      await link.close();
      // Of one that was killed nobody hears this: its link is closed.
      await presence.leave();
    };
    const running: RunningQueue = {
      queue,
      link,
      desk,
      context,
      troubles,
      inDoubt,
      contentLost: contentLost!,
      quarantined: quarantined!,
      lost,
      seemDead: () => heartbeats.cut(),
      stop: () => end(() => queue.stop()),
      kill: () => end(async () => queue.abandon()),
    };
    this.#queues.push(running);
    return running;
  }

  /** A queue instance that has opened so many partitions. */
  async openQueue(partitions = this.layout.partitions): Promise<RunningQueue> {
    const running = await this.queue();
    await until(
      () => [...running.queue.partitions.values()].filter((one) => one.isOpen).length === partitions,
    );
    return running;
  }

  async worker(): Promise<FakeWorker> {
    const worker = await FakeWorker.start(this.nats.url, {
      shards: SHARDS,
      partitions: this.layout.partitions,
    });
    this.#workers.push(worker);
    return worker;
  }

  /** What ingress does: stores the mails in one pack; returns their queue ids. */
  async accept(mails: SentMail[], partition = 0): Promise<string[]> {
    const pieces: Uint8Array[] = [];
    const entries: PackEntry[] = [];
    let offset = 0;
    for (const mail of mails) {
      const place = partition.toString(36).padStart(2, '0');
      const queueId = `${place}mail${(this.#mails++).toString().padStart(14, '0')}`;
      const { frame, envelope } = frameOf(queueId, mail);
      pieces.push(...frame);
      const length = frame.reduce((sum, piece) => sum + piece.length, 0);
      entries.push(entryOf(mail, envelope, { offset, length }));
      offset += length;
    }
    const stored = await this.#writer.store({
      subject: subjects.spool(partition),
      payload: pieces,
      id: '',
      headers: { 'Postrider-Index': encodeIndex({ entries }) },
      giveUpAfterMs: 10_000,
    });
    if (stored.kind !== 'stored') throw new Error(`not stored: ${stored.kind}`);
    return entries.map(({ queueId }) => queueId);
  }

  /** Stores one chunk of a large mail. */
  async chunk(data: Uint8Array, partition = 0): Promise<Chunk> {
    const stream = storeStream(partition, this.layout);
    const stored = await this.#writer.store({
      subject: subjects.store(partition),
      payload: data,
      id: '',
      giveUpAfterMs: 10_000,
    });
    if (stored.kind !== 'stored') throw new Error(`not stored: ${stored.kind}`);
    return { stream, sequence: stored.sequence, length: data.length };
  }

  async records(stream: string, subject: string): Promise<StoredRecord[]> {
    const found: StoredRecord[] = [];
    await readAll(this.link, { stream, subject }, (record) => found.push(record));
    return found;
  }

  /** State records of the partition; those that were just removed count as gone. */
  async states(partition = 0): Promise<MailState[]> {
    const records = await this.records('QUEUE', subjects.mail(partition, '*'));
    return records.filter(({ data }) => data.length > 0).map((record) => decodeState(record));
  }

  packs(partition = 0): Promise<StoredRecord[]> {
    return this.records(spoolStream(partition, this.layout), subjects.spool(partition));
  }

  stored(partition = 0): Promise<StoredRecord[]> {
    return this.records(storeStream(partition, this.layout), subjects.store(partition));
  }

  /** Nothing of any mail is stored any more. */
  async isEmpty(): Promise<boolean> {
    for (let p = 0; p < this.layout.partitions; p++) {
      const left = [...(await this.packs(p)), ...(await this.stored(p)), ...(await this.states(p))];
      if (left.length > 0) return false;
    }
    return true;
  }

  #resolve(request: RouteRequest): Uint8Array {
    this.asked.push(...request.domains);
    const routes = request.domains.map((domain) => {
      const route = this.routes.get(domain) ?? siteOf(domain);
      if ('failed' in route) {
        return { domain, ttlMs: 60_000, result: { $case: 'failed', value: route.failed } as const };
      }
      if ('deferred' in route) {
        return { domain, ttlMs: 1000, result: { $case: 'deferred', value: route.deferred } as const };
      }
      return { domain, ttlMs: 60_000, result: { $case: 'site', value: route } as const };
    });
    return RouteAnswer.encode({ routes }).finish();
  }
}

/** As services/queue/main.ts makes them. */
function roundsAsInService(): Rounds {
  return new Rounds({
    now: monotonic,
    gate: () => new Gate({ places: 1, rest: restAsLong, now: monotonic }),
    onFailed: () => {},
  });
}

function uncounted(): SharedContext['counters'] {
  const nobody = { add: () => {} };
  return {
    started: nobody,
    outcomes: new Tally(nobody, 'outcome'),
    reports: nobody,
    resent: nobody,
    untrimmed: nobody,
    overdue: nobody,
  };
}

function layoutOf({ partitions = 1, spoolStreams = 1 }: RigOptions): Layout {
  return {
    partitions,
    spoolStreams,
    replicas: 1,
    spoolSizeMax: 1024 ** 3,
  };
}

function frameOf(queueId: string, mail: SentMail): { frame: Uint8Array[]; envelope: Envelope } {
  const envelope: Envelope = {
    queueId,
    reversePath: mail.from ?? 'sender@rig.example',
    forwardPaths: mail.to,
    acceptedAtMs: mail.acceptedAtMs ?? Date.now(),
    bodyType: BodyType.BODY_TYPE_7BIT,
    trace: undefined,
    clientAddress: '127.0.0.1',
    clientName: 'rig',
    protocol: 'ESMTP',
    prependedLength: 0,
    dataLength: 0,
    hasDotLines: false,
    chunks: mail.chunks ?? [],
  };
  const text = mail.chunks === undefined ? (mail.text ?? 'Subject: hello\r\n\r\nhello\r\n') : '';
  const prepended = Buffer.from('Received: from rig\r\n');
  return { envelope, frame: encodeFrame({ envelope, prepended, data: [Buffer.from(text)] }) };
}

function entryOf(mail: SentMail, envelope: Envelope, place: { offset: number; length: number }): PackEntry {
  const { queueId, acceptedAtMs, forwardPaths, prependedLength, dataLength, chunks } = envelope;
  const inChunks = chunks.reduce((sum, { length }) => sum + length, 0);
  return {
    queueId,
    ...place,
    acceptedAtMs,
    domains: mail.unlisted ? [] : domainRuns(forwardPaths),
    nullReversePath: envelope.reversePath === '',
    size: prependedLength + dataLength + inChunks,
    trace: undefined,
  };
}

/** The frames of a pack. */
export function framesOf(pack: StoredRecord): Frame[] {
  const { entries } = decodeIndex(pack.header('Postrider-Index')!);
  return entries.map(({ offset, length }) => decodeFrame(pack.data, offset, length));
}
