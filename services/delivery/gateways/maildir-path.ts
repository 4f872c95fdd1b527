// Names in a Maildir: the directory of a recipient, and the file of a mail. Whatever a sender wrote into an address, the
// result is one plain path segment. Pure.
import { domainOf, localPartOf } from '#libs/mail/address.ts';

/** Kept as they are; a dot only inside a name. Everything else becomes %XX of its UTF-8 octets. */
const SAFE = /^[a-z0-9_+=@-]$/;

/**
 * One path segment for a domain or local part: lower case, since local recipients are compared so; octets other than
 * letters, digits and "_+=@-." as %XX, and a dot at the start too. '' becomes "%", which nothing else does.
 */
export function safeSegment(name: string): string {
  if (name === '') return '%';
  let segment = '';
  for (const character of name.toLowerCase()) {
    const plain = SAFE.test(character) || (character === '.' && segment !== '');
    segment += plain ? character : encodeOctets(character);
  }
  return segment;
}

function encodeOctets(character: string): string {
  let encoded = '';
  for (const octet of Buffer.from(character))
    encoded += '%' + octet.toString(16).toUpperCase().padStart(2, '0');
  return encoded;
}

/** The Maildir of a recipient: `template` with {domain} and {local} filled in. */
export function maildirOf(template: string, forwardPath: string): string {
  const names: Record<string, string> = { domain: domainOf(forwardPath), local: localPartOf(forwardPath) };
  return template.replace(/\{(domain|local)\}/g, (_, name: string) => safeSegment(names[name]!));
}

/**
 * The file's name: the same at every attempt for this recipient of this mail, different for all others. The time is that
 * of acceptance, as readers sort by it.
 */
export function mailFileName(
  mail: { queueId: string; acceptedAtMs: number; hostname: string },
  position: number,
): string {
  const host = mail.hostname.replace(/[^A-Za-z0-9.-]/g, '_').replace(/^\./, '_');
  return `${Math.floor(mail.acceptedAtMs / 1000)}.${mail.queueId}_${position}.${host}`;
}
