// Addresses of DNS servers as the configuration and the system write them.
import { getServers } from 'node:dns';
import { isIP } from 'node:net';

export interface ServerAddress {
  /** IPv4 or IPv6 address, without brackets. */
  address: string;
  port: number;
}

const DNS_PORT = 53;
const WITH_PORT = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d{1,5}))?$/;

/** The server in "address", "address:port", "[v6]" or "[v6]:port"; undefined when it is none of these. */
export function serverAddressOf(text: string): ServerAddress | undefined {
  if (isIP(text) !== 0) return { address: text, port: DNS_PORT };
  const match = WITH_PORT.exec(text);
  if (match === null) return undefined;
  const address = match[1] ?? match[2]!;
  const port = match[3] === undefined ? DNS_PORT : Number(match[3]);
  if (isIP(address) === 0 || port < 1 || port > 65_535) return undefined;
  return { address, port };
}

/** The configured servers; when there are none those of the system (/etc/resolv.conf), in its order. */
export function serversFor(configured: readonly string[]): ServerAddress[] {
  const texts = configured.length > 0 ? configured : getServers();
  const servers = texts.map(serverAddressOf).filter((server) => server !== undefined);
  return servers.length > 0 ? servers : [{ address: '127.0.0.1', port: DNS_PORT }];
}

/** "192.0.2.1:53", "[2001:db8::1]:53". */
export function serverText({ address, port }: ServerAddress): string {
  return isIP(address) === 6 ? `[${address}]:${port}` : `${address}:${port}`;
}
