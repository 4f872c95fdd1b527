// Who gets the n-th mail of a crash run: most go to one recipient of one of eight sites; a tenth is greylisted first, a tenth has
// four recipients at three sites, and a few go to a host that is slow to answer the final dot. Pure.
import { SINK_ADDRESSES, sinkAddresses } from '#kit/load-sink-process.ts';

const SITES = SINK_ADDRESSES.length;
export const SLOW_DOMAIN = 'slow.crash.test';
/** Senders of reports. */
export const SENDER_DOMAIN = 'client.test';
/** The eight sites, and the slow one. */
export const ADDRESSES = sinkAddresses(SITES + 1);

const domainOf = (site: number): string => `sink${site % SITES}.crash.test`;

export function recipientsOf(mail: number): string | string[] {
  const to = (local: string, site: number) => `${local}${mail}@${domainOf(site)}`;
  if (mail % 100 === 7) return `slow${mail}@${SLOW_DOMAIN}`;
  if (mail % 10 === 0) return to('grey', mail / 10);
  if (mail % 10 === 5) return [to('a', mail), to('b', mail), to('c', mail + 1), to('d', mail + 3)];
  return to('r', mail);
}

/** Routes of all of it to one port. */
export function routesTo(port: number): { domain: string; to: string }[] {
  const domains = [...SINK_ADDRESSES.keys()].map(domainOf);
  const sites = [...domains, SLOW_DOMAIN].map((domain, i) => ({ domain, to: `${ADDRESSES[i]}:${port}` }));
  return [...sites, { domain: SENDER_DOMAIN, to: `${ADDRESSES[0]}:${port}` }];
}
