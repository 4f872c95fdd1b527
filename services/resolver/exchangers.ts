// From MX records to the hosts to be tried, in order (RFC 5321 §5.1). Pure: the draws that shuffle equals are given.
import type { MailExchanger } from '#libs/dns/answer.ts';
import { isHostName } from '#libs/dns/name.ts';

export type Exchangers =
  /** At least one; names in the order to be tried, each once. */
  | { kind: 'hosts'; names: string[] }
  /** The domain takes no mail (RFC 7505). */
  | { kind: 'null' }
  /** Nobody is left that is better than us: sending on would be a loop. */
  | { kind: 'only-us' }
  /** No record names a host. */
  | { kind: 'nonsense' };

/**
 * The exchangers by preference, equals by their draw. `ownName` and all that are not better are left out, and so are
 * names that no host can have. A null MX counts only when it stands alone (RFC 7505 §3).
 */
export function exchangersOf(
  records: readonly MailExchanger[],
  options: { ownName: string; draws: readonly number[] },
): Exchangers {
  if (records.length === 1 && records[0]!.exchanger === '.') return { kind: 'null' };
  const { ownName, draws } = options;
  const ordered = records
    .map(({ preference, exchanger }, i) => ({ preference, name: exchanger, draw: draws[i]! }))
    .filter(({ name }) => isHostName(name))
    .sort((a, b) => a.preference - b.preference || a.draw - b.draw);
  if (ordered.length === 0) return { kind: 'nonsense' };
  const own = ordered.find(({ name }) => name === ownName);
  const better = own === undefined ? ordered : ordered.filter((one) => one.preference < own.preference);
  if (better.length === 0) return { kind: 'only-us' };
  return { kind: 'hosts', names: [...new Set(better.map(({ name }) => name))] };
}
