// Stores delivery status notifications: each is a new mail of the same partition, accepted by us from ourselves. Its
// queue id follows from the mail and the report, so that an owner that takes over knows whether it is stored already.
//
// Fails: what cannot be stored is tried again every second until it is; the mail stays unsettled until then. A mail
// whose content is gone is reported without its header section.
import { createHash } from 'node:crypto';
import { buildDsn } from '#libs/dsn/report.ts';
import type { DirectGet } from '#libs/nats/direct-get.ts';
import { type Layout, subjects } from '#libs/nats/layout.ts';
import type { RecordWriter } from '#libs/nats/records.ts';
import { domainRuns, encodeFrame, encodeIndex } from '#libs/pack/pack.ts';
import { BodyType, type Envelope } from '#proto/postrider/v1/mail.ts';
import type { Custody } from './custody.ts';
import { FrameReader } from './frames.ts';
import { fieldEnd } from './header-section.ts';
import type { Recipient } from './message.ts';

const STORE_WAIT_MS = 10_000;
const PACK_OCTETS = 256 * 1024;
const HEADER_OCTETS = 32 * 1024;

export interface ReportRequest {
  custody: Custody;
  report: 'failure' | 'delay';
  positions: number[];
}

export interface ReportsOptions {
  partition: number;
  layout: Layout;
  writer: RecordWriter;
  direct: DirectGet;
  hostname: string;
  expireAfterMs: number;
  now: () => number;
  /** True when a mail with this queue id is in the partition. */
  isKnown: (queueId: string) => boolean;
  onStored: (request: ReportRequest) => void;
  onTrouble: (reason: string) => void;
}

interface Draft {
  request: ReportRequest;
  dsnQueueId: string;
  frame: Uint8Array[];
  frameLength: number;
  envelope: Envelope;
}

/** The queue id of the DSN for these recipients of a mail: same partition, the rest from a hash. */
export function dsnQueueId(queueId: string, report: string, positions: number[]): string {
  const digest = createHash('sha256')
    .update(`${queueId} ${report} ${positions.join()}`)
    .digest('hex')
    .slice(0, 24);
  return queueId.slice(0, 2) + BigInt(`0x${digest}`).toString(36).padStart(18, '0').slice(-18);
}

function explain(recipient: Recipient): { status: string; reason: string } {
  const { lastReply, fate } = recipient;
  if (fate === 'expired') return { status: '4.4.7', reason: 'The message could not be delivered in time.' };
  const fallback = lastReply.code >= 500 ? '5.0.0' : '4.0.0';
  return { status: lastReply.enhanced || fallback, reason: lastReply.text };
}

export class Reports {
  readonly #options: ReportsOptions;
  #waiting: ReportRequest[] = [];
  #round: Promise<void> | undefined;

  constructor(options: ReportsOptions) {
    this.#options = options;
  }

  add(request: ReportRequest): void {
    this.#waiting.push(request);
  }

  get idle(): boolean {
    return this.#waiting.length === 0 && this.#round === undefined;
  }

  /** Stores what gathered, unless a round is still under way. */
  flush(): Promise<void> {
    if (this.#round === undefined && this.#waiting.length > 0) {
      this.#round = this.#run().finally(() => {
        this.#round = undefined;
      });
    }
    return this.#round ?? Promise.resolve();
  }

  async #run(): Promise<void> {
    const reader = new FrameReader(this.#options.direct);
    let pack: Draft[] = [];
    let octets = 0;
    for (const request of this.#waiting.splice(0, 1000)) {
      const id = dsnQueueId(request.custody.message.queueId, request.report, request.positions);
      if (this.#options.isKnown(id)) {
        this.#options.onStored(request);
        continue;
      }
      const draft = await this.#draft(reader, request, id);
      if (draft === undefined) {
        this.#waiting.push(request);
        continue;
      }
      pack.push(draft);
      octets += draft.frameLength;
      if (octets < PACK_OCTETS) continue;
      await this.#store(pack);
      pack = [];
      octets = 0;
    }
    if (pack.length > 0) await this.#store(pack);
  }

  async #draft(reader: FrameReader, request: ReportRequest, id: string): Promise<Draft | undefined> {
    const { message } = request.custody;
    const read = await reader.read(message.ref);
    if (read.kind === 'unavailable') return undefined;
    if (read.kind === 'missing') {
      this.#options.onTrouble(`the content of ${message.queueId} is gone; it cannot be reported`);
      return undefined;
    }
    const { envelope, prepended, data } = read.frame;
    const nowMs = this.#options.now();
    const header = Buffer.concat([prepended, data.subarray(0, fieldEnd(data, HEADER_OCTETS))]);
    const mailData = buildDsn({
      kind: request.report,
      hostname: this.#options.hostname,
      queueId: message.queueId,
      dsnQueueId: id,
      reversePath: envelope.reversePath,
      arrivedAtMs: message.acceptedAtMs,
      nowMs,
      willRetryUntilMs: message.acceptedAtMs + this.#options.expireAfterMs,
      recipients: request.positions.map((position) => {
        const recipient = message.recipients[position]!;
        const heard = recipient.lastReply.code !== 0;
        return {
          forwardPath: envelope.forwardPaths[position]!,
          ...explain(recipient),
          ...(heard && { diagnostic: recipient.lastReply }),
          ...(recipient.lastAttemptAtMs > 0 && { lastAttemptMs: recipient.lastAttemptAtMs }),
        };
      }),
      originalHeaderSection: header,
    });
    return this.#frame(request, id, envelope.reversePath, mailData);
  }

  #frame(request: ReportRequest, id: string, to: string, mailData: Buffer): Draft {
    const envelope: Envelope = {
      queueId: id,
      reversePath: '',
      forwardPaths: [to],
      acceptedAtMs: this.#options.now(),
      bodyType: BodyType.BODY_TYPE_7BIT,
      trace: request.custody.message.trace,
      clientAddress: '',
      clientName: this.#options.hostname,
      protocol: 'local',
      prependedLength: 0,
      dataLength: 0,
      hasDotLines: mailData.includes('\r\n.') || mailData[0] === 0x2e,
      chunks: [],
    };
    const frame = encodeFrame({ envelope, prepended: new Uint8Array(0), data: [mailData] });
    const frameLength = frame.reduce((sum, piece) => sum + piece.length, 0);
    return { request, dsnQueueId: id, frame, frameLength, envelope };
  }

  async #store(pack: Draft[]): Promise<void> {
    const { partition, writer, onStored, onTrouble } = this.#options;
    let offset = 0;
    const entries = pack.map((draft) => {
      const entry = {
        queueId: draft.dsnQueueId,
        offset,
        length: draft.frameLength,
        acceptedAtMs: draft.envelope.acceptedAtMs,
        domains: domainRuns(draft.envelope.forwardPaths),
        nullReversePath: true,
        size: draft.frameLength,
        trace: draft.envelope.trace,
      };
      offset += draft.frameLength;
      return entry;
    });
    const stored = await writer.store({
      subject: subjects.spool(partition),
      payload: pack.flatMap((draft) => draft.frame),
      id: `dsn-${pack[0]!.dsnQueueId}-${pack.length}`,
      headers: { 'Postrider-Index': encodeIndex({ entries }) },
      giveUpAfterMs: STORE_WAIT_MS,
    });
    if (stored.kind === 'stored') {
      for (const draft of pack) onStored(draft.request);
      return;
    }
    onTrouble(`SPOOL: cannot store a report: ${stored.kind}`);
    this.#waiting.unshift(...pack.map((draft) => draft.request));
  }
}
