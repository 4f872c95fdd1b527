// Questions and answers on the wire. Pure: a message in, its meaning out.
//
// Fails: nothing throws. A message that cannot be read is trouble, and so is an answer that proves nothing: a referral
// or an alias whose end a server without recursion did not look up must not pass for "there is none".
import { isIPv4, isIPv6 } from 'node:net';
import { type Answer, type DecodedPacket, decode, encode, RECURSION_DESIRED } from 'dns-packet';
import {
  type DnsAnswer,
  type DnsQuestion,
  type MailExchanger,
  type RecordOf,
  type RecordType,
  trouble,
} from './answer.ts';
import { normalName } from './name.ts';

const HEADER_OCTETS = 12;
const RESPONSE = 0x80;
const OPCODE = 0x78;
const TRUNCATED = 0x02;
/** What passes everywhere without fragments (RFC 9715 §3, DNS flag day 2020). */
const UDP_OCTETS_MAX = 1232;
const ALIASES_MAX = 12;
/** A TTL with the highest bit set counts as 0 (RFC 2181 §8). */
const TTL_SECONDS_MAX = 0x7fff_ffff;

/** The answer was longer than UDP carries: ask again over TCP (RFC 7766 §5). */
export interface Truncated {
  kind: 'truncated';
}

export function encodeQuestion({ name, type }: DnsQuestion, id: number): Buffer {
  return encode({
    type: 'query',
    id,
    flags: RECURSION_DESIRED,
    questions: [{ name, type, class: 'IN' }],
    additionals: [
      {
        type: 'OPT',
        name: '.',
        udpPayloadSize: UDP_OCTETS_MAX,
        extendedRcode: 0,
        ednsVersion: 0,
        flags: 0,
        flag_do: false,
        options: [],
      },
    ],
  });
}

/** The id of a message; -1 when it is too short to be one. */
export function idOf(message: Buffer): number {
  return message.length < HEADER_OCTETS ? -1 : message.readUInt16BE(0);
}

/**
 * True when `message` is an answer to exactly the question that `asked` put: same id, and the same question section
 * without regard to case (RFC 5452 §4.2, §9.1).
 */
export function answersQuestion(message: Buffer, asked: Buffer): boolean {
  if (idOf(message) !== asked.readUInt16BE(0)) return false;
  const flags = message[2]!;
  if ((flags & RESPONSE) === 0 || (flags & OPCODE) !== 0) return false;
  if (message.readUInt16BE(4) !== 1) return false;
  const end = questionEnd(asked);
  if (message.length < end) return false;
  for (let at = HEADER_OCTETS; at < end; at++) {
    if (lower(message[at]!) !== lower(asked[at]!)) return false;
  }
  return true;
}

/** The lengths of labels are under 64 and types under 65, so only letters change. */
function lower(octet: number): number {
  return octet >= 0x41 && octet <= 0x5a ? octet + 0x20 : octet;
}

function questionEnd(asked: Buffer): number {
  let at = HEADER_OCTETS;
  while (asked[at] !== 0) at += asked[at]! + 1;
  return at + 5;
}

/** What a message says about the question that it answers. */
export function readAnswer<T extends RecordType>(
  message: Buffer,
  question: { name: string; type: T },
): DnsAnswer<RecordOf[T]> | Truncated {
  if ((message[2]! & TRUNCATED) !== 0) return { kind: 'truncated' };
  const packet = decodeSafely(message);
  if (packet === undefined) return trouble('malformed');
  switch (rcodeOf(packet)) {
    case 0:
      return readRecords(packet, question);
    case 1:
      return trouble('malformed');
    case 2:
      return trouble('servfail');
    case 3:
      return { kind: 'nxdomain', ttlMs: negativeTtlMs(packet) ?? 0 };
    default:
      return trouble('refused');
  }
}

function decodeSafely(message: Buffer): DecodedPacket | undefined {
  try {
    return decode(message);
  } catch {
    return undefined;
  }
}

/** The 12 bits of RFC 6891 §6.1.3: a header that says 0 can be BADVERS. */
function rcodeOf({ flags, additionals }: DecodedPacket): number {
  const options = additionals?.find((record) => record.type === 'OPT');
  const high = options?.type === 'OPT' ? options.extendedRcode : 0;
  return (high << 4) | (flags! & 0x0f);
}

function readRecords<T extends RecordType>(
  packet: DecodedPacket,
  question: { name: string; type: T },
): DnsAnswer<RecordOf[T]> {
  const answers = packet.answers!;
  let name = normalName(question.name);
  let ttlMs = Number.POSITIVE_INFINITY;
  for (let aliases = 0; aliases <= ALIASES_MAX; aliases++) {
    const here = answers.filter((record) => normalName(record.name) === name);
    const records = here.filter((record) => record.type === question.type);
    if (records.length > 0) return found(records, question.type, ttlMs);
    const alias = here.find((record) => record.type === 'CNAME');
    if (alias?.type !== 'CNAME') return noRecords(packet, aliases > 0 ? 'aliased' : 'direct');
    name = normalName(alias.data);
    ttlMs = Math.min(ttlMs, ttlMsOf(alias));
  }
  return trouble('malformed');
}

function found<T extends RecordType>(
  records: readonly Answer[],
  type: T,
  aliasTtlMs: number,
): DnsAnswer<RecordOf[T]> {
  const data = records.map(dataOf).filter((one) => one !== undefined);
  if (data.length === 0) return trouble('malformed');
  const ttlMs = Math.min(aliasTtlMs, ...records.map(ttlMsOf));
  const unique = type === 'MX' ? data : [...new Set(data)];
  // The records were chosen by their type.
  return { kind: 'found', records: unique as RecordOf[T][], ttlMs };
}

/** The data of one record; undefined when it cannot be what its type says. */
function dataOf(record: Answer): string | MailExchanger | undefined {
  switch (record.type) {
    case 'A':
      return isIPv4(record.data) ? record.data : undefined;
    case 'AAAA':
      return isIPv6(record.data) ? record.data : undefined;
    case 'MX':
      return { preference: record.data.preference ?? 0, exchanger: normalName(record.data.exchange) };
    default:
      return undefined;
  }
}

/** RFC 2308 §2.2: what proves that there is no record, and what is only a referral. */
function noRecords(packet: DecodedPacket, way: 'direct' | 'aliased'): DnsAnswer<never> {
  const ttlMs = negativeTtlMs(packet);
  if (ttlMs !== undefined) return { kind: 'nodata', ttlMs };
  const referral = packet.authorities!.some((record) => record.type === 'NS') && !packet.flag_aa;
  const proven = packet.flag_ra ? !referral : packet.flag_aa && way === 'direct';
  return proven ? { kind: 'nodata', ttlMs: 0 } : trouble('refused');
}

/** The lesser of the SOA's own TTL and its minimum (RFC 2308 §5); undefined without a SOA. */
function negativeTtlMs({ authorities }: DecodedPacket): number | undefined {
  const soa = authorities!.find((record) => record.type === 'SOA');
  if (soa?.type !== 'SOA') return undefined;
  return Math.min(ttlMsOf(soa), (soa.data.minimum ?? 0) * 1000);
}

function ttlMsOf(record: Answer): number {
  const seconds = 'ttl' in record ? (record.ttl ?? 0) : 0;
  return seconds > TTL_SECONDS_MAX ? 0 : seconds * 1000;
}
