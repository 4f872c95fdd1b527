// Where a client speaks from, and whether it may relay to anywhere from there. Pure.
import ipaddr from 'ipaddr.js';

/** What spans say of a client instead of its address. */
export type AddressFamily = 'ipv4' | 'ipv6' | 'unix';

/** The address as text, without a zone, IPv4 even when it arrived mapped into IPv6. */
export function normalizedAddress(remoteAddress: string): string {
  const zone = remoteAddress.indexOf('%');
  const address = zone < 0 ? remoteAddress : remoteAddress.slice(0, zone);
  if (!address.includes(':')) return address;
  return ipaddr.process(address).toString();
}

/** Family of a normalized address; '' is a Unix socket. */
export function familyOf(address: string): AddressFamily {
  if (address === '') return 'unix';
  return address.includes(':') ? 'ipv6' : 'ipv4';
}

/** Some networks, such as those whose clients may relay. */
export class Networks {
  readonly #networks: [ipaddr.IPv4 | ipaddr.IPv6, number][];

  /** `networks` are CIDR texts, checked by the configuration. */
  constructor(networks: readonly string[]) {
    this.#networks = networks.map((network) => ipaddr.parseCIDR(network));
  }

  /** True for a normalized address inside one of them; false for a Unix socket. */
  holds(address: string): boolean {
    if (address === '') return false;
    const client = ipaddr.parse(address);
    return this.#networks.some((network) => network[0].kind() === client.kind() && client.match(network));
  }
}

/** Ranges that no client of the Internet has: a mail exchanger that sees many of them sees a balancer or a node instead. */
const PRIVATE_RANGES = new Set(['private', 'loopback', 'linkLocal', 'carrierGradeNat', 'uniqueLocal']);

/** Whether the Internet could send from a normalized address (RFC 1918, 4193, 6598); a Unix socket is private. */
export function scopeOf(address: string): 'private' | 'public' {
  if (address === '') return 'private';
  return PRIVATE_RANGES.has(ipaddr.parse(address).range()) ? 'private' : 'public';
}
