// How the short name of a host is completed, as resolv.conf(5) has it: "dovecot.mail" is dovecot.mail.svc.cluster.local in a
// cluster. Only for names that an operator wrote; names in mail and in DNS are whole. Pure.
import { isHostName, loopbackOf, normalName } from './name.ts';

export interface SearchList {
  /** Normal names, in their order. */
  readonly domains: readonly string[];
  /** A name with fewer dots is completed first, and taken as it is last; one with as many the other way round. */
  readonly ndots: number;
}

/** Of what the system offers, these at most: each costs two questions. */
const DOMAINS_MAX = 8;
export const NDOTS_DEFAULT = 1;
const NDOTS_MAX = 15;

/** What a text in the form of resolv.conf(5) says: the last "search" or "domain", "options ndots:n". */
export function searchListIn(text: string): SearchList {
  let [domains, ndots]: [string[], number] = [[], NDOTS_DEFAULT];
  for (const line of text.split('\n')) {
    const [word, ...rest] = line.trim().split(/\s+/);
    if (word === 'search') domains = rest;
    if (word === 'domain') domains = rest.slice(0, 1);
    if (word !== 'options') continue;
    const given = rest
      .map((option) => /^ndots:(\d+)$/.exec(option)?.[1])
      .findLast((one) => one !== undefined);
    if (given !== undefined) ndots = Math.min(Number(given), NDOTS_MAX);
  }
  const usable = domains.map(normalName).filter(isHostName);
  return { domains: usable.slice(0, DOMAINS_MAX), ndots };
}

/** The names to ask for, one after the other, until one exists. A last dot says that the name is whole. */
export function spellingsOf(name: string, { domains, ndots }: SearchList): [string, ...string[]] {
  const whole = normalName(name);
  if (name.endsWith('.') || loopbackOf(whole, 'A') !== undefined) return [whole];
  const completed = domains.map((domain) => `${whole}.${domain}`).filter(isHostName);
  const [first, ...others] = completed;
  const dots = whole.split('.').length - 1;
  return first === undefined || dots >= ndots ? [whole, ...completed] : [first, ...others, whole];
}
