// The search list that the configuration or the system has.
//
// Fails: an /etc/resolv.conf that cannot be read, or says nothing, completes no name.
import { readFileSync } from 'node:fs';
import { normalName } from './name.ts';
import { NDOTS_DEFAULT, type SearchList, searchListIn } from './search-list.ts';

const RESOLV_CONF = '/etc/resolv.conf';

/** The part of the configuration that says it. */
export interface DnsNames {
  readonly servers: readonly string[];
  readonly search?: readonly string[] | undefined;
}

/** The configured domains; when that says nothing those of the system, as long as its DNS servers are asked too. */
export function searchListFor({ servers, search }: DnsNames): SearchList {
  if (search !== undefined) return { domains: search.map(normalName), ndots: NDOTS_DEFAULT };
  if (servers.length > 0) return { domains: [], ndots: NDOTS_DEFAULT };
  return searchListIn(systemText());
}

function systemText(): string {
  try {
    return readFileSync(RESOLV_CONF, 'utf8');
  } catch {
    return '';
  }
}
