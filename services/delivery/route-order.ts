// Which address of a site is tried after which: hosts in the order of the route, the addresses of one after the other
// (RFC 5321 §5.1), and those that did not answer a moment ago last. Pure; time is a parameter.
import type { Host, Site } from '#proto/postrider/v1/route.ts';

/** One place to connect to: an address and port, or the path of a Unix socket. */
export interface Target {
  readonly host: Host;
  /** IP address, or a name when the route gives no address; '' with a Unix socket. */
  readonly address: string;
  readonly key: string;
}

/** How long an address that did not answer is tried after the others. */
const AVOID_MS = 60_000;

/** Addresses of one site that did not answer lately. */
export class DeadAddresses {
  readonly #untilMs = new Map<string, number>();

  failed(target: Target, nowMs: number): void {
    this.#untilMs.set(target.key, nowMs + AVOID_MS);
  }

  answered(target: Target): void {
    this.#untilMs.delete(target.key);
  }

  isDead(target: Target, nowMs: number): boolean {
    const untilMs = this.#untilMs.get(target.key);
    if (untilMs === undefined) return false;
    if (untilMs > nowMs) return true;
    this.#untilMs.delete(target.key);
    return false;
  }
}

/** All targets of `site`, in the order to be tried. */
export function targetsOf(site: Site, dead: DeadAddresses, nowMs: number): Target[] {
  const all: Target[] = [];
  for (const host of site.hosts) {
    if (host.unixPath !== '') {
      all.push({ host, address: '', key: `unix:${host.unixPath}` });
      continue;
    }
    const addresses = host.addresses.length > 0 ? host.addresses : [host.name];
    for (const address of addresses) all.push({ host, address, key: `${address} ${host.port}` });
  }
  const alive = all.filter((target) => !dead.isDead(target, nowMs));
  return alive.length === all.length ? all : [...alive, ...all.filter((target) => !alive.includes(target))];
}
