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

/** The networks whose clients may relay. */
export class RelayNetworks {
  readonly #networks: [ipaddr.IPv4 | ipaddr.IPv6, number][];

  /** `networks` are CIDR texts, checked by the configuration. */
  constructor(networks: readonly string[]) {
    this.#networks = networks.map((network) => ipaddr.parseCIDR(network));
  }

  /** True for a normalized address inside one of them, and for a Unix socket: its file decides who may write. */
  holds(address: string): boolean {
    if (address === '') return true;
    const client = ipaddr.parse(address);
    return this.#networks.some((network) => network[0].kind() === client.kind() && client.match(network));
  }
}
