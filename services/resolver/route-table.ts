// What the configuration says about domains: which are local, which have a route of their own. Pure: built once, asked
// for every domain.
import { isIP } from 'node:net';
import type { Config } from '#libs/config/schema.ts';
import { Transport } from '#proto/postrider/v1/route.ts';

/** A place that the configuration names. */
export type Destination =
  | { kind: 'maildir'; template: string }
  | { kind: 'socket'; transport: Transport; path: string }
  | { kind: 'address'; transport: Transport; address: string; port: number }
  /** A host whose addresses must be asked for. */
  | { kind: 'host'; transport: Transport; name: string; port: number };

export interface LocalDomain {
  destination: Destination;
  /** Lower-cased local parts. */
  recipients: ReadonlySet<string> | 'all';
}

export interface RouteTable {
  /** By lower-cased name, in the order of the configuration. */
  readonly local: ReadonlyMap<string, LocalDomain>;
  readonly exact: ReadonlyMap<string, Destination>;
  /** By ".example.com". */
  readonly suffixes: ReadonlyMap<string, Destination>;
  /** Takes what nothing else takes: the route "*" or the smart host; undefined means DNS. */
  readonly others: Destination | undefined;
}

type Routing = Pick<Config, 'localDomains' | 'routes' | 'smartHost'>;

export function tableOf({ localDomains, routes, smartHost }: Routing): RouteTable {
  const exact = new Map<string, Destination>();
  const suffixes = new Map<string, Destination>();
  let others = smartHost === undefined ? undefined : destinationOf(smartHost, Transport.SMTP);
  for (const { domain, transport, to } of routes) {
    const destination = destinationOf(to, transport === 'lmtp' ? Transport.LMTP : Transport.SMTP);
    if (domain === '*') others = destination;
    else (domain.startsWith('.') ? suffixes : exact).set(domain, destination);
  }
  const local = new Map(localDomains.map((domain) => [domain.name, localDomainOf(domain)]));
  return { local, exact, suffixes, others };
}

function localDomainOf({ recipients, gateway }: Config['localDomains'][number]): LocalDomain {
  return {
    destination:
      'maildir' in gateway
        ? { kind: 'maildir', template: gateway.maildir }
        : destinationOf(gateway.lmtp, Transport.LMTP),
    recipients: recipients.includes('*') ? 'all' : new Set(recipients.map((one) => one.toLowerCase())),
  };
}

/** The destination in "host:port", "[address]:port" or "unix:/path", whose form the configuration has checked. */
function destinationOf(endpoint: string, transport: Transport): Destination {
  if (endpoint.startsWith('unix:')) return { kind: 'socket', transport, path: endpoint.slice(5) };
  const colon = endpoint.lastIndexOf(':');
  const host = endpoint.slice(0, colon).toLowerCase();
  const port = Number(endpoint.slice(colon + 1));
  const bare = host.startsWith('[') ? host.slice(1, -1) : host;
  if (isIP(bare) !== 0) return { kind: 'address', transport, address: bare, port };
  return { kind: 'host', transport, name: bare, port };
}

/**
 * Where the configuration sends a domain: local, else its own route, else that of the longest suffix, else that of all
 * others. Undefined when it says nothing. A path without a domain ("<Postmaster>", RFC 5321 §4.5.1) is of the first
 * local domain.
 */
export function configuredFor(domain: string, table: RouteTable): Destination | undefined {
  return localFor(domain, table)?.destination ?? routedFor(domain, table) ?? table.others;
}

/** The local domain of that name; undefined when it is not local. */
export function localFor(domain: string, { local }: RouteTable): LocalDomain | undefined {
  return domain === '' ? local.values().next().value : local.get(domain);
}

function routedFor(domain: string, { exact, suffixes }: RouteTable): Destination | undefined {
  const own = exact.get(domain);
  if (own !== undefined || suffixes.size === 0) return own;
  for (let dot = domain.indexOf('.'); dot >= 0; dot = domain.indexOf('.', dot + 1)) {
    const destination = suffixes.get(domain.slice(dot));
    if (destination !== undefined) return destination;
  }
  return undefined;
}
