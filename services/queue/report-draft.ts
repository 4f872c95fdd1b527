// Makes delivery status notifications of requests: the mail data, the envelope, the frame. A report's queue id follows
// from the mail and its recipients, so that an owner that takes over knows whether it is stored already.
//
// Fails: the original header section is left out when it cannot be read in time.
import { createHash } from 'node:crypto';
import { buildDsn, type DsnRecipient } from '#libs/dsn/report.ts';
import type { DirectGet } from '#libs/nats/direct-get.ts';
import { recordMax } from '#libs/nats/payload.ts';
import { domainRuns, encodeFrame, type Frame } from '#libs/pack/pack.ts';
import type { SteadyClock } from '#libs/shell/steady-clock.ts';
import { BodyType, type Envelope, type PackEntry } from '#proto/postrider/v1/mail.ts';
import type { Custody } from './custody.ts';
import { headerSectionOf } from './header-section.ts';
import { isHeard, type Message, type Recipient } from './message.ts';
import { unpackTrace } from './trace-text.ts';

/** More recipients than this get several reports: each must fit in one record. */
const RECIPIENTS_MAX = 500;

export interface ReportRequest {
  custody: Custody;
  report: 'failure' | 'delay';
  positions: number[];
}

/** The part of a request that one report tells. */
export interface ReportPart {
  request: ReportRequest;
  positions: number[];
  dsnQueueId: string;
}

export interface Draft {
  part: ReportPart;
  frame: Uint8Array[];
  frameLength: number;
  envelope: Envelope;
}

export interface DraftSurroundings {
  direct: Pick<DirectGet, 'bySequence'>;
  readWithinMs: number;
  hostname: string;
  expireAfterMs: number;
  payloadMax: () => number;
  /** What is told has times of the wall clock. */
  clock: Pick<SteadyClock, 'now' | 'toWall'>;
}

/** The queue id of the DSN for these recipients of a mail: same partition, the rest from a hash. */
export function dsnQueueId(queueId: string, report: string, positions: readonly number[]): string {
  const digest = createHash('sha256')
    .update(`${queueId} ${report} ${positions.join()}`)
    .digest('hex')
    .slice(0, 24);
  return queueId.slice(0, 2) + BigInt(`0x${digest}`).toString(36).padStart(18, '0').slice(-18);
}

/** The reports that tell the whole request, in order. */
export function partsOf(request: ReportRequest): ReportPart[] {
  const { custody, report, positions } = request;
  const parts: ReportPart[] = [];
  for (let from = 0; from < positions.length; from += RECIPIENTS_MAX) {
    const some = positions.slice(from, from + RECIPIENTS_MAX);
    parts.push({
      request,
      positions: some,
      dsnQueueId: dsnQueueId(custody.message.queueId, report, some),
    });
  }
  return parts;
}

/** How many characters of a reply are told: all, fewer when the report has no room in a message, at last none. */
const TEXTS_TOLD = [Number.POSITIVE_INFINITY, 100, 0];

/** The report of a mail whose frame this is. */
export async function draftOf(
  part: ReportPart,
  frame: Frame,
  surroundings: DraftSurroundings,
): Promise<Draft> {
  const { direct, payloadMax, readWithinMs } = surroundings;
  const headerSection = await headerSectionOf(frame, direct, readWithinMs);
  const source = { envelope: frame.envelope, headerSection };
  const octetsMax = recordMax(payloadMax());
  let draft: Draft | undefined;
  for (const textMax of TEXTS_TOLD) {
    draft = draftWith(part, source, { ...surroundings, textMax });
    if (draft.frameLength <= octetsMax) break;
  }
  return draft!;
}

function draftWith(
  part: ReportPart,
  { envelope, headerSection }: { envelope: Envelope; headerSection: Uint8Array },
  surroundings: DraftSurroundings & { textMax: number },
): Draft {
  const { request, positions, dsnQueueId: id } = part;
  const { message } = request.custody;
  const { hostname, expireAfterMs, clock, textMax } = surroundings;
  const nowMs = clock.toWall(clock.now());
  const tellsOf = { textMax, toWall: clock.toWall };
  const mailData = buildDsn({
    kind: request.report,
    hostname,
    queueId: message.queueId,
    dsnQueueId: id,
    reversePath: envelope.reversePath,
    arrivedAtMs: message.acceptedAtMs,
    nowMs,
    willRetryUntilMs: clock.toWall(message.ageFromMs + expireAfterMs),
    recipients: positions.map((position) =>
      recipientOf(message.recipients[position]!, envelope.forwardPaths[position]!, tellsOf),
    ),
    originalHeaderSection: headerSection,
  });
  const ours = envelopeOf(message, {
    queueId: id,
    to: envelope.reversePath,
    hostname,
    nowMs,
    mailData,
  });
  const frame = encodeFrame({ envelope: ours, prepended: new Uint8Array(0), data: [mailData] });
  const frameLength = frame.reduce((sum, piece) => sum + piece.length, 0);
  return { part, frame, frameLength, envelope: ours };
}

function recipientOf(
  recipient: Recipient,
  forwardPath: string,
  { textMax, toWall }: { textMax: number; toWall: (atMs: number) => number },
): DsnRecipient {
  const { lastAttemptAtMs } = recipient;
  const lastReply = { ...recipient.lastReply, text: recipient.lastReply.text.slice(0, textMax) };
  return {
    forwardPath,
    ...explain({ ...recipient, lastReply }),
    ...(isHeard(lastReply) && { diagnostic: lastReply }),
    ...(lastAttemptAtMs > 0 && { lastAttemptMs: toWall(lastAttemptAtMs) }),
  };
}

function explain({ lastReply, fate }: Recipient): { status: string; reason: string } {
  if (fate === 'expired') return { status: '4.4.7', reason: 'It could not be delivered in time.' };
  const fallback = lastReply.code >= 500 ? '5.0.0' : '4.0.0';
  return { status: lastReply.enhanced || fallback, reason: lastReply.text };
}

function envelopeOf(
  message: Message,
  dsn: { queueId: string; to: string; hostname: string; nowMs: number; mailData: Buffer },
): Envelope {
  const { queueId, to, hostname, nowMs, mailData } = dsn;
  return {
    queueId,
    reversePath: '',
    forwardPaths: [to],
    acceptedAtMs: nowMs,
    bodyType: BodyType.BODY_TYPE_7BIT,
    trace: unpackTrace(message.trace),
    clientAddress: '',
    clientName: hostname,
    protocol: 'local',
    prependedLength: 0,
    dataLength: 0,
    hasDotLines: mailData.includes('\r\n.') || mailData[0] === 0x2e,
    chunks: [],
  };
}

/** The pack's index entries for drafts that stand in it in this order. */
export function entriesOf(drafts: readonly Draft[]): PackEntry[] {
  let offset = 0;
  return drafts.map(({ envelope, frameLength }) => {
    const entry = {
      queueId: envelope.queueId,
      offset,
      length: frameLength,
      acceptedAtMs: envelope.acceptedAtMs,
      domains: domainRuns(envelope.forwardPaths),
      nullReversePath: true,
      size: frameLength,
      trace: envelope.trace,
    };
    offset += frameLength;
    return entry;
  });
}
