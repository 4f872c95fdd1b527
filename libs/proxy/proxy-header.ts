// The header of the PROXY protocol, versions 1 and 2, with which a load balancer tells whom it connects (HAProxy's
// proxy-protocol.txt, its sections cited here). Pure: octets in, what they say out; it never guesses. As many octets as
// are there are looked at, so that a peer that does not speak it is found out at its first ones.
import { isIPv4, isIPv6 } from 'node:net';
import ipaddr from 'ipaddr.js';

export interface Endpoint {
  /** IPv4 or IPv6 text in its canonical form, as it was sent: not unmapped. */
  address: string;
  /** 0 to 65535. */
  port: number;
}

/** `octets` is the length of the header; what stands behind it is the client's. */
export type ProxyHeader =
  /** So far it is one, and it goes on. */
  | { kind: 'incomplete' }
  | { kind: 'proxied'; source: Endpoint; destination: Endpoint; octets: number }
  /** Nobody is named: a health check of the balancer (LOCAL, UNKNOWN), or a client without an IP address. */
  | { kind: 'unnamed'; octets: number }
  | { kind: 'refused'; reason: string };

/** Octets of a version 1 header with its CR LF (§2.1). */
export const V1_OCTETS_MAX = 107;
/** Octets of a version 2 header with its TLVs, which could have 64 KiB (§2.2): a certificate of the client fits. */
export const V2_OCTETS_MAX = 4096;

const V1_START = Buffer.from('PROXY ');
/** CR LF CR LF NUL CR LF "QUIT" LF: what no other protocol begins with. */
const V2_START = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
const V2_FIXED_OCTETS = 16;
const VERSION_AT = 12;
const FAMILY_AT = 13;
const LENGTH_AT = 14;

const INCOMPLETE: ProxyHeader = { kind: 'incomplete' };

/** What the octets say that have come so far. */
export function readProxyHeader(octets: Buffer): ProxyHeader {
  if (startsAs(octets, V1_START)) return octets.length < V1_START.length ? INCOMPLETE : readV1(octets);
  if (startsAs(octets, V2_START)) return octets.length < V2_FIXED_OCTETS ? INCOMPLETE : readV2(octets);
  return refused('no PROXY header');
}

/** True when `octets` begin with `start`, or are the beginning of it. */
function startsAs(octets: Buffer, start: Buffer): boolean {
  const length = Math.min(octets.length, start.length);
  return octets.compare(start, 0, length, 0, length) === 0;
}

function refused(reason: string): ProxyHeader {
  return { kind: 'refused', reason };
}

/** §2.1: "PROXY" TCP4|TCP6 source destination port port, one space each; or "PROXY UNKNOWN" and anything. */
function readV1(octets: Buffer): ProxyHeader {
  const line = octets.toString('latin1', 0, V1_OCTETS_MAX);
  const end = line.indexOf('\r\n');
  if (end < 0)
    return octets.length < V1_OCTETS_MAX ? INCOMPLETE : refused('a version 1 header without an end');
  const length = end + 2;
  const words = line.slice(0, end).split(' ');
  const [, family] = words;
  if (family === 'UNKNOWN') return { kind: 'unnamed', octets: length };
  if (family !== 'TCP4' && family !== 'TCP6') return refused('a version 1 header of no known family');
  const isAddress = family === 'TCP4' ? isIPv4 : isPlainIPv6;
  const [, , sourceAddress = '', destinationAddress = '', sourcePort = '', destinationPort = ''] = words;
  const isWell = isAddress(sourceAddress) && isAddress(destinationAddress) && words.length === 6;
  if (!isWell || !isPort(sourcePort) || !isPort(destinationPort)) {
    return refused('a version 1 header with no valid addresses and ports');
  }
  return {
    kind: 'proxied',
    source: { address: canonical(sourceAddress), port: Number(sourcePort) },
    destination: { address: canonical(destinationAddress), port: Number(destinationPort) },
    octets: length,
  };
}

/** Without a zone, which `isIPv6` would take. */
function isPlainIPv6(text: string): boolean {
  return isIPv6(text) && !text.includes('%');
}

/** Decimal without leading zeros, up to 65535. */
function isPort(text: string): boolean {
  return /^(0|[1-9]\d{0,4})$/.test(text) && Number(text) <= 65_535;
}

function canonical(address: string): string {
  return ipaddr.parse(address).toString();
}

/** Octets of one address, by the family of §2.2. */
const ADDRESS_OCTETS = { 1: 4, 2: 16 } as const;
const FAMILY_UNIX = 3;
const UNIX_OCTETS = 2 * 108;
const TRANSPORT_STREAM = 1;
const TRANSPORT_DGRAM = 2;

/** §2.2: version and command, family and transport, length; addresses; TLVs, which are skipped. */
function readV2(octets: Buffer): ProxyHeader {
  const version = octets[VERSION_AT]! >> 4;
  const command = octets[VERSION_AT]! & 0xf;
  const length = V2_FIXED_OCTETS + octets.readUInt16BE(LENGTH_AT);
  if (version !== 2) return refused(`version ${version} in a header of version 2`);
  if (command > 1) return refused(`no known command in a version 2 header: ${command}`);
  if (length > V2_OCTETS_MAX) return refused('a version 2 header that is too long');
  const family = octets[FAMILY_AT]! >> 4;
  const transport = octets[FAMILY_AT]! & 0xf;
  // LOCAL: the rest is to be discarded, whatever family it claims.
  const reason = command === 0 ? undefined : v2Trouble(family, transport, length - V2_FIXED_OCTETS);
  if (reason !== undefined) return refused(reason);
  if (octets.length < length) return INCOMPLETE;
  if (command === 0) return { kind: 'unnamed', octets: length };
  if (transport !== TRANSPORT_STREAM || (family !== 1 && family !== 2)) {
    return { kind: 'unnamed', octets: length };
  }
  return readV2Addresses(octets, ADDRESS_OCTETS[family], length);
}

/** What is wrong with the family, the transport, or the room for its addresses. */
function v2Trouble(family: number, transport: number, room: number): string | undefined {
  if (family > FAMILY_UNIX) return `no known family in a version 2 header: ${family}`;
  if (transport > TRANSPORT_DGRAM) return `no known transport in a version 2 header: ${transport}`;
  if (transport === TRANSPORT_DGRAM) return 'datagrams in a version 2 header: this is a stream';
  const needed = family === FAMILY_UNIX ? UNIX_OCTETS : family === 0 ? 0 : addressesOctets(family);
  return room < needed ? 'a version 2 header that is too short for its addresses' : undefined;
}

function addressesOctets(family: number): number {
  return 2 * (family === 1 ? ADDRESS_OCTETS[1] : ADDRESS_OCTETS[2]) + 4;
}

function readV2Addresses(octets: Buffer, size: 4 | 16, length: number): ProxyHeader {
  const from = V2_FIXED_OCTETS;
  const ports = from + 2 * size;
  return {
    kind: 'proxied',
    source: { address: addressAt(octets, from, size), port: octets.readUInt16BE(ports) },
    destination: { address: addressAt(octets, from + size, size), port: octets.readUInt16BE(ports + 2) },
    octets: length,
  };
}

function addressAt(octets: Buffer, at: number, size: 4 | 16): string {
  return ipaddr.fromByteArray([...octets.subarray(at, at + size)]).toString();
}

/** Gathers a header that comes in pieces: feed it until it says something else than `incomplete`. */
export class ProxyHeaderReader {
  #octets: Buffer = Buffer.alloc(0);

  /** What is known with this piece. */
  push(piece: Buffer): ProxyHeader {
    this.#octets = this.#octets.length === 0 ? piece : Buffer.concat([this.#octets, piece]);
    return readProxyHeader(this.#octets);
  }

  /** What came behind a header of so many octets. */
  rest(headerOctets: number): Buffer {
    return this.#octets.subarray(headerOctets);
  }

  get isEmpty(): boolean {
    return this.#octets.length === 0;
  }
}
