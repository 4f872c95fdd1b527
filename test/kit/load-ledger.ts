// Compares what a sender knows with what a sink got: nothing accepted may be missing, and a mail may come again only as often as
// attempts of it were in doubt. Numbers are compared, so one doubt does not excuse two copies.
import type { TokenArrivals } from './load-sink-process.ts';

export interface SenderHalf {
  /** Queue ids by token. */
  accepted: ReadonlyMap<string, string>;
  /** Recipients by token, where there are several. */
  several?: ReadonlyMap<string, readonly string[]>;
  /** Sent whole, no reply read. */
  unknown: ReadonlySet<string>;
  /** Sent whole, answered with 4xx. */
  refused: ReadonlySet<string>;
}

/** A mail that came more often than is explained. */
export interface Unexplained {
  token: string;
  queueIds: string[];
  /** Attempts too many at the sink, of which so many were in doubt. */
  copies: number;
  inDoubt: number;
}

export interface Ledger {
  accepted: number;
  /** Accepted mails that arrived, for all of their recipients. */
  delivered: number;
  /** Accepted mails that did not, but whose sender got a report. */
  reported: number;
  /** Tokens of accepted mails of which neither is true. */
  lost: string[];
  unknown: number;
  unknownArrived: number;
  refused: number;
  /** Answered with 451 since the storage's answer did not come, though it had stored them. */
  refusedArrived: number;
  /** Attempts that brought what was there already. */
  duplicates: number;
  /** Attempts in doubt. */
  inDoubt: number;
  /** Attempts in doubt that brought nothing twice: the first copy never came, or the second one is held. */
  inDoubtOnce: number;
  unexplained: Unexplained[];
  /** Attempts of `unexplained` that no doubt explains. */
  unexplainedCopies: number;
  /** Arrivals of tokens that were never sent whole. */
  strangers: string[];
}

/** Attempts that brought nothing new: per site, the recipient that came most often counts, since an attempt is for one site. */
export function copiesOf({ times, recipients }: TokenArrivals): number {
  if (recipients === undefined) return Math.max(0, times - 1);
  const most = new Map<string, number>();
  for (const [path, count] of Object.entries(recipients)) {
    const domain = path.slice(path.lastIndexOf('@') + 1);
    most.set(domain, Math.max(most.get(domain) ?? 0, count));
  }
  return [...most.values()].reduce((sum, count) => sum + count - 1, 0);
}

/** Whether every recipient has it. */
function isWhole(arrival: TokenArrivals | undefined, several: readonly string[] | undefined): boolean {
  if (arrival === undefined || arrival.times === 0) return false;
  return several === undefined || several.every((path) => (arrival.recipients?.[path] ?? 0) > 0);
}

function unexplainedOf(
  arrivals: readonly TokenArrivals[],
  inDoubt: ReadonlyMap<string, number>,
): Unexplained[] {
  return arrivals.flatMap((arrival) => {
    const copies = copiesOf(arrival);
    if (copies === 0) return [];
    const queueIds = [...new Set(arrival.queueIds)];
    const doubts = queueIds.reduce((sum, id) => sum + (inDoubt.get(id) ?? 0), 0);
    return copies > doubts ? [{ token: arrival.token, queueIds, copies, inDoubt: doubts }] : [];
  });
}

/** `inDoubt`: how many attempts of a queue id the queue said were in doubt. */
export function ledgerOf(
  sender: SenderHalf,
  arrivals: readonly TokenArrivals[],
  inDoubt: ReadonlyMap<string, number>,
): Ledger {
  const { accepted, unknown, refused, several } = sender;
  const arrived = new Map(arrivals.map((one) => [one.token, one]));
  const missing = [...accepted.keys()].filter((token) => !isWhole(arrived.get(token), several?.get(token)));
  const lost = missing.filter((token) => (arrived.get(token)?.reports ?? 0) === 0);
  const arrivedOf = (tokens: ReadonlySet<string>) => [...tokens].filter((token) => arrived.has(token)).length;
  const sent = (token: string) => accepted.has(token) || unknown.has(token) || refused.has(token);
  const duplicates = arrivals.reduce((sum, one) => sum + copiesOf(one), 0);
  const unexplained = unexplainedOf(arrivals, inDoubt);
  const unexplainedCopies = unexplained.reduce((sum, one) => sum + one.copies - one.inDoubt, 0);
  const doubts = [...inDoubt.values()].reduce((sum, count) => sum + count, 0);
  return {
    accepted: accepted.size,
    delivered: accepted.size - missing.length,
    reported: missing.length - lost.length,
    lost,
    unknown: unknown.size,
    unknownArrived: arrivedOf(unknown),
    refused: refused.size,
    refusedArrived: arrivedOf(refused),
    duplicates,
    inDoubt: doubts,
    inDoubtOnce: doubts - (duplicates - unexplainedCopies),
    unexplained,
    unexplainedCopies,
    strangers: arrivals.map((one) => one.token).filter((token) => !sent(token)),
  };
}

/** True when the promises were kept. */
export function isKept(ledger: Ledger): boolean {
  return ledger.lost.length === 0 && ledger.unexplained.length === 0 && ledger.strangers.length === 0;
}

const SHOWN = 10;

export function ledgerText(ledger: Ledger): string {
  const listed = (lines: string[]) =>
    lines
      .slice(0, SHOWN)
      .map((line) => `    ${line}\n`)
      .join('') + (lines.length > SHOWN ? '    ...\n' : '');
  const unexplained = ledger.unexplained.map(
    ({ token, queueIds, copies, inDoubt }) =>
      `${token} ${queueIds.join(' ')}: ${copies} copies too many, ${inDoubt} in doubt`,
  );
  return [
    `accepted             ${ledger.accepted}\n`,
    `delivered            ${ledger.delivered}\n`,
    ...(ledger.reported > 0 ? [`reported             ${ledger.reported}\n`] : []),
    `lost                 ${ledger.lost.length}\n${listed(ledger.lost)}`,
    `no reply to the dot  ${ledger.unknown}, of which arrived ${ledger.unknownArrived}\n`,
    `answered with 4xx    ${ledger.refused}, of which arrived ${ledger.refusedArrived}\n`,
    `duplicates           ${ledger.duplicates}\n`,
    `in doubt             ${ledger.inDoubt}, of which not twice at the sink ${ledger.inDoubtOnce}\n`,
    `unexplained          ${ledger.unexplainedCopies}\n${listed(unexplained)}`,
    `never sent whole     ${ledger.strangers.length}\n${listed(ledger.strangers)}`,
  ].join('');
}
