// One pack while it is put together: which mails still fit, and the record that they become. Pure: partition and time
// arrive as arguments. Mail data is not copied here; the record's pieces are the client's own buffers.
import { type Arrival, receivedField } from '#libs/header/received.ts';
import { newQueueId } from '#libs/mail/queue-id.ts';
import { recordMax } from '#libs/nats/payload.ts';
import { domainRuns, encodeFrame, encodeIndex } from '#libs/pack/pack.ts';
import type { ClientGreeting, Transaction } from '#libs/smtp/server-session.ts';
import { BodyType, type Chunk, type PackEntry, type TraceContext } from '#proto/postrider/v1/mail.ts';

/** A mail whose data is whole: in its pieces, or in chunks that are stored already. */
export interface WholeMail {
  readonly client: ClientGreeting;
  readonly transaction: Transaction;
  /** IPv4 or IPv6 text, '' for a Unix socket. */
  readonly clientAddress: string;
  readonly pieces: readonly Buffer[];
  /** Octets in `pieces`. */
  readonly frameOctets: number;
  /** Octets of mail data, in pieces or chunks. */
  readonly dataOctets: number;
  readonly hasDotLines: boolean;
  readonly chunks: Chunk[];
  /** Undefined when its trace is not kept. */
  readonly trace: TraceContext | undefined;
}

/** Octets of frames: more does not make an fsync cheaper. A larger frame is a pack by itself. */
const PACK_OCTETS_MAX = 512 * 1024;
/** Octets of the index before base64, which makes 48 KiB of them; NATS takes 64 KiB of headers. */
const INDEX_OCTETS_MAX = 36 * 1024;
/** Octets of one mail's domain list; a longer one is read from the envelope. */
const DOMAINS_OCTETS_MAX = 8 * 1024;

/** Octets of an index entry without its domains, and of a domain run without its name: at most. */
const ENTRY_OCTETS = 96;
const RUN_OCTETS = 8;
/** Octets of a frame without its paths, names and data: Envelope and Received field, at most. */
const FRAME_OCTETS = 640;
const PATH_OCTETS = 4;
const CHUNK_OCTETS = 32;

const BODY_TYPE = { '7BIT': BodyType.BODY_TYPE_7BIT, '8BITMIME': BodyType.BODY_TYPE_8BITMIME } as const;
const NONE: PackEntry['domains'] = [];

/** Where and when a pack is sealed. */
export interface Seal {
  partition: number;
  nowMs: number;
  /** From DateLine, for `nowMs`. */
  dateText: string;
  /** Our name in Received fields. */
  hostname: string;
}

export interface SealedPack {
  /** In the order of the mails. */
  queueIds: string[];
  payload: Uint8Array[];
  /** Octets of `payload`. */
  octets: number;
  /** Text of the header Postrider-Index. */
  index: string;
  /** Text of the header traceparent, of the first mail whose trace is kept; '' for none. */
  traceparent: string;
}

export class PackDraft<Mail extends WholeMail> {
  readonly mails: Mail[] = [];
  readonly #domains: PackEntry['domains'][] = [];
  readonly #octetsMax: number;
  #octets = 0;
  #indexOctets = 0;

  /** `payloadMax`: the most that the server takes in one message. */
  constructor(payloadMax: number) {
    this.#octetsMax = Math.min(PACK_OCTETS_MAX, recordMax(payloadMax));
  }

  /** Adds the mail; false when it belongs into the next pack. The first one always fits. */
  add(mail: Mail): boolean {
    const octets = this.#octets + frameEstimate(mail);
    const domains = domainsOf(mail.transaction);
    const indexOctets = this.#indexOctets + ENTRY_OCTETS + octetsOf(domains);
    const isFull = octets > this.#octetsMax || indexOctets > INDEX_OCTETS_MAX;
    if (isFull && this.mails.length > 0) return false;
    this.#octets = octets;
    this.#indexOctets = indexOctets;
    this.mails.push(mail);
    this.#domains.push(domains);
    return true;
  }

  /** The record. Names the mails: call it once. */
  seal(seal: Seal): SealedPack {
    const pack: SealedPack = { queueIds: [], payload: [], octets: 0, index: '', traceparent: '' };
    const entries: PackEntry[] = [];
    for (let i = 0; i < this.mails.length; i++) {
      entries.push(appendFrame(pack, this.mails[i]!, this.#domains[i]!, seal));
    }
    pack.index = encodeIndex({ entries });
    return pack;
  }
}

/** Appends the mail's frame to the pack; its entry in the index. */
function appendFrame(
  pack: SealedPack,
  mail: WholeMail,
  domains: PackEntry['domains'],
  seal: Seal,
): PackEntry {
  const { client, transaction, clientAddress, trace } = mail;
  const queueId = newQueueId(seal.partition, seal.nowMs);
  const arrival: Arrival = {
    clientName: client.name,
    clientAddress,
    hostname: seal.hostname,
    protocol: client.protocol,
    queueId,
    dateText: seal.dateText,
  };
  const prepended = Buffer.from(receivedField(arrival), 'latin1');
  const envelope = {
    queueId,
    reversePath: transaction.reversePath,
    forwardPaths: transaction.forwardPaths,
    acceptedAtMs: seal.nowMs,
    bodyType: BODY_TYPE[transaction.bodyType],
    trace,
    clientAddress,
    clientName: client.name,
    protocol: client.protocol,
    prependedLength: 0,
    dataLength: 0,
    hasDotLines: mail.hasDotLines,
    chunks: mail.chunks,
  };
  const offset = pack.octets;
  for (const piece of encodeFrame({ envelope, prepended, data: mail.pieces })) {
    pack.payload.push(piece);
    pack.octets += piece.length;
  }
  pack.queueIds.push(queueId);
  if (trace !== undefined && pack.traceparent === '') pack.traceparent = traceparentOf(trace);
  return {
    queueId,
    offset,
    length: pack.octets - offset,
    acceptedAtMs: seal.nowMs,
    domains,
    nullReversePath: transaction.reversePath === '',
    size: prepended.length + mail.dataOctets,
    trace,
  };
}

function frameEstimate(mail: WholeMail): number {
  return aroundData(mail) + mail.frameOctets;
}

/** Octets of the mail's frame without its data: at most. */
export function aroundData(mail: Pick<WholeMail, 'transaction' | 'client' | 'chunks'>): number {
  const { forwardPaths, reversePath } = mail.transaction;
  let octets = FRAME_OCTETS + reversePath.length + 2 * mail.client.name.length;
  for (const path of forwardPaths) octets += PATH_OCTETS + path.length;
  return octets + CHUNK_OCTETS * mail.chunks.length;
}

/** The recipients by domain; none when the list is too long for a header. */
function domainsOf({ forwardPaths }: Transaction): PackEntry['domains'] {
  const runs = domainRuns(forwardPaths);
  return octetsOf(runs) > DOMAINS_OCTETS_MAX ? NONE : runs;
}

function octetsOf(runs: PackEntry['domains']): number {
  let octets = 0;
  for (const { domain } of runs) octets += RUN_OCTETS + domain.length;
  return octets;
}

/** W3C Trace Context §3.2. */
function traceparentOf({ traceId, spanId, flags }: TraceContext): string {
  return `00-${traceId.toString('hex')}-${spanId.toString('hex')}-${flags.toString(16).padStart(2, '0')}`;
}
