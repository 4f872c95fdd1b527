// Whether an address is a recipient of ours. Pure: answered from the configuration alone, without DNS.
import { domainOf, localPartOf } from '#libs/mail/address.ts';
import { type RecipientResult, RecipientVerdict } from '#proto/postrider/v1/route.ts';
import { localFor, type RouteTable } from './route-table.ts';

/** The configuration changes only with a restart; other instances may have started with another one. */
const VERDICT_TTL_MS = 300_000;

/** The verdict on a forward-path as ingress parsed it: "local@domain", or "Postmaster" alone. */
export function verdictOn(forwardPath: string, table: RouteTable): RecipientResult {
  const domain = domainOf(forwardPath);
  const local = localFor(domain, table);
  if (local === undefined) {
    // Without a domain only Postmaster can be meant, and nobody else's.
    return domain === '' ? forOne(RecipientVerdict.UNKNOWN) : forDomain(RecipientVerdict.RELAY);
  }
  if (local.recipients === 'all') return forDomain(RecipientVerdict.LOCAL);
  const exists = isListed(localPartOf(forwardPath).toLowerCase(), local.recipients);
  return forOne(exists ? RecipientVerdict.LOCAL : RecipientVerdict.UNKNOWN);
}

/** Postmaster exists in every domain (RFC 5321 §4.5.1); "user+detail" where "user" does (RFC 5233 §4). */
function isListed(localPart: string, recipients: ReadonlySet<string>): boolean {
  if (localPart === 'postmaster' || recipients.has(localPart)) return true;
  const plus = localPart.indexOf('+');
  return plus > 0 && recipients.has(localPart.slice(0, plus));
}

function forOne(verdict: RecipientVerdict): RecipientResult {
  return { verdict, wholeDomain: false, ttlMs: VERDICT_TTL_MS };
}

function forDomain(verdict: RecipientVerdict): RecipientResult {
  return { verdict, wholeDomain: true, ttlMs: VERDICT_TTL_MS };
}
