// The octets of packs: frames of mails one after the other, and the index that travels in the record's header. Pure.
import { domainOf } from '#libs/mail/address.ts';
import { isQueueId } from '#libs/mail/queue-id.ts';
import { type DomainRun, Envelope, type PackEntry, PackIndex } from '#proto/postrider/v1/mail.ts';

/** One mail: a frame is `uint32 big endian length of Envelope | Envelope | prepended | data`. */
export interface Frame {
  envelope: Envelope;
  /** Trace fields that stand before the mail data. */
  prepended: Uint8Array;
  /** Mail data; empty when it is in chunks. */
  data: Uint8Array;
}

/** The pieces of a frame; the lengths of its parts are written into `envelope`. */
export function encodeFrame(mail: {
  envelope: Envelope;
  prepended: Uint8Array;
  data: readonly Uint8Array[];
}): Uint8Array[] {
  const { envelope, prepended, data } = mail;
  envelope.prependedLength = prepended.length;
  envelope.dataLength = 0;
  for (const piece of data) envelope.dataLength += piece.length;
  const encoded = Envelope.encode(envelope).finish();
  const head = Buffer.allocUnsafe(4 + encoded.length);
  head.writeUInt32BE(encoded.length);
  head.set(encoded, 4);
  return [head, prepended, ...data];
}

/** The frame at `offset` of a record, as views of it. Throws a RangeError when there is none of that length. */
export function decodeFrame(record: Uint8Array, offset: number, length: number): Frame {
  if (length < 4 || offset + length > record.length) throw new RangeError('no frame there');
  const start = offset + 4;
  const envelopeLength = new DataView(record.buffer, record.byteOffset + offset).getUint32(0);
  if (4 + envelopeLength > length) throw new RangeError('the envelope is longer than its frame');
  const envelope = Envelope.decode(record.subarray(start, start + envelopeLength));
  const prependedAt = start + envelopeLength;
  const dataAt = prependedAt + envelope.prependedLength;
  const end = dataAt + envelope.dataLength;
  if (end !== offset + length) throw new RangeError('the lengths in the envelope are not those of its frame');
  return { envelope, prepended: record.subarray(prependedAt, dataAt), data: record.subarray(dataAt, end) };
}

/** The recipients' domains, lower case, in the order of the envelope, equal neighbours counted together. */
export function domainRuns(forwardPaths: readonly string[]): DomainRun[] {
  const runs: DomainRun[] = [];
  let last: DomainRun | undefined;
  for (const path of forwardPaths) {
    const domain = domainOf(path);
    if (last?.domain === domain) last.count += 1;
    else {
      last = { domain, count: 1 };
      runs.push(last);
    }
  }
  return runs;
}

/** The index as the text of a header. */
export function encodeIndex(index: PackIndex): string {
  const octets = PackIndex.encode(index).finish();
  return Buffer.from(octets.buffer, octets.byteOffset, octets.length).toString('base64');
}

/** More recipients than a mail, or all mails of a pack, can have: each costs memory as soon as the index is read. */
export const RECIPIENTS_MAX = 100_000;
const PACK_RECIPIENTS_MAX = 1_000_000;

/** The index in the text of a header. Throws on nonsense, and on what no mail can be. */
export function decodeIndex(header: string): PackIndex {
  const index = PackIndex.decode(Buffer.from(header, 'base64'));
  let all = 0;
  for (const entry of index.entries) all += recipientsIn(entry);
  if (all > PACK_RECIPIENTS_MAX) throw new RangeError(`${all} recipients in one pack`);
  return index;
}

/** Throws a RangeError for what cannot be: an id becomes a part of subjects, and so many recipients are made as are counted. */
function recipientsIn({ queueId, domains }: PackEntry): number {
  if (!isQueueId(queueId)) throw new RangeError('a mail without a queue id');
  let recipients = 0;
  for (const { count } of domains) recipients += count;
  if (recipients > RECIPIENTS_MAX) throw new RangeError(`${recipients} recipients of one mail`);
  return recipients;
}
