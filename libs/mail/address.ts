// Paths and addresses of the envelope (RFC 5321 §4.1.2, §4.1.3). ASCII only: SMTPUTF8 is not offered. It never looks
// anything up.
import { isIPv4, isIPv6 } from 'node:net';

const LOCAL_OCTETS_MAX = 64; // §4.5.3.1.1
const DOMAIN_OCTETS_MAX = 255; // §4.5.3.1.2
const PATH_OCTETS_MAX = 256; // §4.5.3.1.3, with its brackets

const ATEXT = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+";
const LABEL = '(?!-)[A-Za-z0-9-]{1,63}(?<!-)';
const DOMAIN = `${LABEL}(?:\\.${LABEL})*`;
const LITERAL = '\\[[A-Za-z0-9.:-]+\\]';
const QUOTED = '"(?:[\\x20\\x21\\x23-\\x5b\\x5d-\\x7e]|\\\\[\\x20-\\x7e])*"';
const LOCAL = `${ATEXT}(?:\\.${ATEXT})*|${QUOTED}`;
const SOURCE_ROUTE = `@${DOMAIN}(?:,@${DOMAIN})*:`;

const MAILBOX = new RegExp(`^(${LOCAL})@(${DOMAIN}|${LITERAL})$`);
const POSTMASTER = '[Pp][Oo][Ss][Tt][Mm][Aa][Ss][Tt][Ee][Rr]';
const PATH = new RegExp(`<(?:(?:${SOURCE_ROUTE})?(${LOCAL})@(${DOMAIN}|${LITERAL})|(${POSTMASTER})|)>`, 'y');
const DOMAIN_ONLY = new RegExp(`^${DOMAIN}$`);

/** A path without its brackets and source route. */
export interface MailPath {
  /** As the client wrote it: "Local@Example.COM"; "Postmaster" when it stood without a domain; '' for the null path. */
  path: string;
  /** Lower-cased domain, or address literal such as "[192.0.2.1]"; '' when there is none. */
  domain: string;
  /** Where the path ends in the text: index of the first character after ">". */
  end: number;
}

/**
 * The path that starts at `start` of `text` with "<"; undefined when there is none of valid form and length.
 * Knows the null path and "<Postmaster>" (any case, §4.1.1.3); a source route is dropped (§3.3, appendix C).
 */
export function parsePath(text: string, start: number): MailPath | undefined {
  PATH.lastIndex = start;
  const match = PATH.exec(text);
  if (match === null || match[0].length > PATH_OCTETS_MAX) return undefined;
  const end = start + match[0].length;
  const local = match[1];
  if (local !== undefined) {
    const domain = match[2]!;
    if (!isValidPair(local, domain)) return undefined;
    return { path: `${local}@${domain}`, domain: domain.toLowerCase(), end };
  }
  return { path: match[3] ?? '', domain: '', end };
}

/** True when `address` is local-part "@" domain of valid form and length, without brackets. */
export function isAddress(address: string): boolean {
  const match = MAILBOX.exec(address);
  return match !== null && address.length + 2 <= PATH_OCTETS_MAX && isValidPair(match[1]!, match[2]!);
}

/** The lower-cased domain of an address; '' for the null path and for one without a domain. */
export function domainOf(address: string): string {
  const at = address.lastIndexOf('@');
  return at < 0 ? '' : address.slice(at + 1).toLowerCase();
}

/** The local part of an address: case kept, quoting removed ("\"a b\"@x" gives "a b"). */
export function localPartOf(address: string): string {
  const at = address.lastIndexOf('@');
  const local = at < 0 ? address : address.slice(0, at);
  if (!local.startsWith('"')) return local;
  return local.slice(1, -1).replace(/\\(.)/g, '$1');
}

/** True for a domain name of valid form (letters, digits, hyphens; no address literal). */
export function isDomainName(text: string): boolean {
  return text.length <= DOMAIN_OCTETS_MAX && DOMAIN_ONLY.test(text);
}

/** The IP address in "[192.0.2.1]" or "[IPv6:2001:db8::1]" (§4.1.3); undefined when it is not a literal. */
export function addressOfLiteral(domain: string): string | undefined {
  if (!domain.startsWith('[') || !domain.endsWith(']')) return undefined;
  const inner = domain.slice(1, -1);
  if (isIPv4(inner)) return inner;
  if (inner.slice(0, 5).toLowerCase() !== 'ipv6:') return undefined;
  const address = inner.slice(5);
  return isIPv6(address) ? address : undefined;
}

function isValidPair(local: string, domain: string): boolean {
  if (local.length > LOCAL_OCTETS_MAX || domain.length > DOMAIN_OCTETS_MAX) return false;
  return !domain.startsWith('[') || addressOfLiteral(domain) !== undefined;
}
