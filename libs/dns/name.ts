// Names of hosts as they are asked for. Pure.

const LABEL = '[a-z0-9_-]{1,63}';
const HOST_NAME = new RegExp(`^${LABEL}(?:\\.${LABEL})*$`);
const NAME_OCTETS_MAX = 253; // RFC 1035 §2.3.4, less the length octets of the first label and the root

/** Lower case and without the last dot; the root is ".". */
export function normalName(name: string): string {
  const lower = name.toLowerCase();
  return lower.length > 1 && lower.endsWith('.') ? lower.slice(0, -1) : lower;
}

/**
 * True for a normal name that a host can have. Underscores are let through, as some have them; everything that could
 * be read as something else (octets outside ASCII, dots inside a label, a label over 63 octets) is not.
 */
export function isHostName(name: string): boolean {
  return name.length <= NAME_OCTETS_MAX && HOST_NAME.test(name);
}

/** The addresses of "localhost" and names under it, which are never asked for (RFC 6761 §6.3); undefined for others. */
export function loopbackOf(name: string, type: 'A' | 'AAAA' | 'MX'): readonly string[] | undefined {
  if (name !== 'localhost' && !name.endsWith('.localhost')) return undefined;
  return { A: ['127.0.0.1'], AAAA: ['::1'], MX: [] }[type];
}
