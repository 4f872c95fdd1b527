// What no single key shows: settings that contradict each other, names that stand twice, addresses that are none.
import ipaddr from 'ipaddr.js';
import { type KeyPath, type Problem, valueAt } from './problems.ts';
import type { Config } from './schema.ts';

type Refuse = (path: KeyPath, message: string) => void;

/** Refuses every entry after the first that has the same key; undefined keys are never the same. */
function refuseTwice<T>(
  entries: readonly T[],
  options: { keyOf: (entry: T) => string | undefined; path: (position: number) => KeyPath; refuse: Refuse },
): void {
  const seen = new Map<string, number>();
  entries.forEach((entry, position) => {
    const key = options.keyOf(entry);
    if (key === undefined) return;
    const first = seen.get(key);
    if (first === undefined) seen.set(key, position);
    else
      options.refuse(options.path(position), `${key} stands here twice (entries ${first} and ${position})`);
  });
}

function checkListeners({ listeners, tls }: Config, refuse: Refuse): void {
  listeners.forEach((listener, i) => {
    if ((listener.port === undefined) === (listener.unixSocket === undefined)) {
      refuse(['listeners', i], 'expected exactly one of port and unixSocket');
    }
    if (listener.tls === 'implicit' && tls === undefined) {
      refuse(
        ['listeners', i, 'tls'],
        'implicit TLS expects a certificate: the keys tls.certificate and tls.key',
      );
    }
  });
  refuseTwice(listeners, {
    keyOf: ({ address, port, unixSocket }) => {
      if (unixSocket !== undefined) return unixSocket;
      return port === undefined || port === 0 ? undefined : `${address}:${port}`;
    },
    path: (i) => ['listeners', i],
    refuse,
  });
}

function checkNetworks({ relayNetworks, listeners }: Config, refuse: Refuse): void {
  const check = (network: string, path: KeyPath) => {
    if (ipaddr.isValidCIDR(network)) return;
    refuse(path, `expected a network such as "192.0.2.0/24" or "2001:db8::/32"; found "${network}"`);
  };
  relayNetworks.forEach((network, i) => {
    check(network, ['relayNetworks', i]);
  });
  listeners.forEach(({ proxyProtocol, unixSocket }, i) => {
    proxyProtocol?.trusted.forEach((network, j) => {
      check(network, ['listeners', i, 'proxyProtocol', 'trusted', j]);
    });
    if (proxyProtocol !== undefined && unixSocket !== undefined) {
      refuse(
        ['listeners', i, 'proxyProtocol'],
        'a Unix socket has no PROXY header: expected only one of them',
      );
    }
  });
}

function checkNames({ localDomains, routes, smartHost }: Config, refuse: Refuse): void {
  refuseTwice(localDomains, { keyOf: ({ name }) => name, path: (i) => ['localDomains', i, 'name'], refuse });
  refuseTwice(routes, { keyOf: ({ domain }) => domain, path: (i) => ['routes', i, 'domain'], refuse });
  const local = new Set(localDomains.map(({ name }) => name));
  routes.forEach(({ domain }, i) => {
    if (local.has(domain))
      refuse(['routes', i, 'domain'], `${domain} is a local domain: its route is never used`);
    if (domain === '*' && smartHost !== undefined) {
      refuse(
        ['routes', i, 'domain'],
        'the route "*" leaves nothing for smartHost: expected only one of them',
      );
    }
  });
}

/** True when the port of "host:port" is one, and for a Unix socket. */
function hasPort(endpoint: string): boolean {
  if (endpoint.startsWith('unix:')) return true;
  const port = Number(endpoint.slice(endpoint.lastIndexOf(':') + 1));
  return port >= 1 && port <= 65_535;
}

function checkEndpoints({ routes, localDomains, smartHost }: Config, refuse: Refuse): void {
  const check = (endpoint: string, path: KeyPath) => {
    if (!hasPort(endpoint)) refuse(path, `expected a port between 1 and 65535; found "${endpoint}"`);
  };
  routes.forEach(({ to }, i) => {
    check(to, ['routes', i, 'to']);
  });
  localDomains.forEach(({ gateway }, i) => {
    if ('lmtp' in gateway) check(gateway.lmtp, ['localDomains', i, 'gateway', 'lmtp']);
  });
  if (smartHost !== undefined) check(smartHost, ['smartHost']);
}

function isDnsServer(text: string): boolean {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text);
  if (match === null) return ipaddr.isValid(text);
  const port = Number(match[3]);
  return ipaddr.isValid(match[1] ?? match[2]!) && port >= 1 && port <= 65_535;
}

function checkPeers({ dns, nats, telemetry }: Config, refuse: Refuse): void {
  dns.servers.forEach((server, i) => {
    if (isDnsServer(server)) return;
    refuse(['dns', 'servers', i], `expected address, address:port or [address]:port; found "${server}"`);
  });
  for (const url of nats.url.split(',')) {
    if (/^(nats|tls):\/\/[^/]+$/.test(url.trim())) continue;
    refuse(['nats', 'url'], `expected nats://host:port or tls://host:port; found "${url.trim()}"`);
  }
  if (nats.spoolStreams > nats.partitions) {
    refuse(['nats', 'spoolStreams'], `expected at most nats.partitions (${nats.partitions})`);
  }
  const { tls } = nats;
  if (tls !== undefined && (tls.certificate === undefined) !== (tls.key === undefined)) {
    refuse(['nats', 'tls'], 'expected certificate and key together, or neither');
  }
  const { otlpEndpoint } = telemetry;
  if (otlpEndpoint !== undefined && !/^https?:/.test(otlpEndpoint)) {
    refuse(['telemetry', 'otlpEndpoint'], `expected an http or https URL; found "${otlpEndpoint}"`);
  }
}

/** Times are compared only where the file names the longer one: shortening expireAfter alone is fine. */
function checkTimes({ retry, delivery }: Config, given: unknown, refuse: Refuse): void {
  const warning: KeyPath = ['retry', 'delayWarningAfter'];
  if (valueAt(given, warning) !== undefined && retry.delayWarningAfter > retry.expireAfter) {
    refuse(warning, 'expected at most retry.expireAfter: no mail waits that long');
  }
  if (valueAt(given, ['retry', 'schedule']) !== undefined && retry.schedule[0]! > retry.expireAfter) {
    refuse(['retry', 'schedule', 0], 'expected at most retry.expireAfter: no mail waits that long');
  }
  if (delivery.backoffMin > delivery.backoffMax) {
    refuse(['delivery', 'backoffMin'], 'expected at most delivery.backoffMax');
  }
}

/** Everything in `config` that contradicts itself; `given` is what the file says before defaults. */
export function contradictions(config: Config, given: unknown): Problem[] {
  const problems: Problem[] = [];
  const refuse: Refuse = (path, message) => problems.push({ path, message });
  checkListeners(config, refuse);
  checkNetworks(config, refuse);
  checkNames(config, refuse);
  checkEndpoints(config, refuse);
  checkPeers(config, refuse);
  checkTimes(config, given, refuse);
  return problems;
}
