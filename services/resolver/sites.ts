// Sites as the cluster knows them: their normalised key, and hosts as delivery wants them. Pure.
//
// Equal keys are one site actor in the cluster: the key of a set of mail exchangers is the same for all domains that
// have this set, whatever their order, and does not change with the addresses.
import { createHash } from 'node:crypto';
import ipaddr from 'ipaddr.js';
import { type Host, type Site, Transport } from '#proto/postrider/v1/route.ts';

const PLAIN_KEY_MAX = 100;
const SCHEME: Record<number, string> = { [Transport.SMTP]: 'smtp', [Transport.LMTP]: 'lmtp' };

/**
 * "mx:mx1.example.net,mx2.example.net" of normal names in any order; when that is over 100 characters, the first name,
 * how many more there are, and a hash: "mx:mx1.example.net,+7#0123456789abcdef".
 */
export function exchangersKey(names: readonly string[]): string {
  const sorted = [...names].sort();
  const plain = `mx:${sorted.join(',')}`;
  if (plain.length <= PLAIN_KEY_MAX) return plain;
  const hash = createHash('sha256').update(plain).digest('hex').slice(0, 16);
  return `mx:${sorted[0]},+${sorted.length - 1}#${hash}`;
}

/** "smtp:smart.example.net:587", "lmtp:[::1]:24". */
export function endpointKey(transport: Transport, host: string, port: number): string {
  return `${SCHEME[transport]}:${host.includes(':') ? `[${host}]` : host}:${port}`;
}

export function hostOf(name: string, port: number, addresses: string[]): Host {
  return { name, port, addresses, unixPath: '' };
}

export function hostsSite(key: string, transport: Transport, hosts: Host[]): Site {
  return { key, transport, hosts, maildir: '' };
}

export function maildirSite(template: string): Site {
  return { key: `maildir:${template}`, transport: Transport.MAILDIR, hosts: [], maildir: template };
}

export function socketSite(transport: Transport, path: string): Site {
  const host = { name: 'localhost', port: 0, addresses: [], unixPath: path };
  return hostsSite(`unix:${path}`, transport, [host]);
}

/** The site of an address, whose host is called by `name` or, when that is '', by the address. */
export function addressSite(to: { transport: Transport; address: string; port: number; name: string }): Site {
  const address = ipaddr.parse(to.address).toString();
  const key = endpointKey(to.transport, address, to.port);
  return hostsSite(key, to.transport, [hostOf(to.name || address, to.port, [address])]);
}
