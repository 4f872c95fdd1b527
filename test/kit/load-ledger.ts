// Compares what a sender knows with what a sink got: nothing accepted may be missing, and every duplicate must be a mail
// that the queue had in doubt.
import type { TokenArrivals } from './load-sink-process.ts';

export interface SenderHalf {
  /** Queue ids by token. */
  accepted: ReadonlyMap<string, string>;
  /** Sent whole, no reply read. */
  unknown: ReadonlySet<string>;
  /** Sent whole, answered with 4xx. */
  refused: ReadonlySet<string>;
}

export interface Ledger {
  accepted: number;
  /** Accepted mails that arrived at least once. */
  delivered: number;
  /** Tokens of accepted mails that did not. */
  lost: string[];
  unknown: number;
  unknownArrived: number;
  refused: number;
  /** Answered with 451 since the storage's answer did not come, though it had stored them. */
  refusedArrived: number;
  /** Arrivals after the first of one token. */
  duplicates: number;
  inDoubt: number;
  /** Duplicates of mails that were never in doubt, as "token queueId". */
  unexplained: string[];
  /** Arrivals of tokens that were never sent whole. */
  strangers: string[];
}

/** `inDoubt`: queue ids that the queue said were in doubt. */
export function ledgerOf(
  sender: SenderHalf,
  arrivals: readonly TokenArrivals[],
  inDoubt: ReadonlySet<string>,
): Ledger {
  const arrived = new Set(arrivals.map((one) => one.token));
  const lost = [...sender.accepted.keys()].filter((token) => !arrived.has(token));
  const arrivedOf = (tokens: ReadonlySet<string>) => [...tokens].filter((token) => arrived.has(token)).length;
  const unexplained = arrivals
    .filter((one) => one.times > 1 && !one.queueIds.every((id) => inDoubt.has(id)))
    .map((one) => `${one.token} ${one.queueIds.join(' ')}`);
  const { accepted, unknown, refused } = sender;
  const sent = (token: string) => accepted.has(token) || unknown.has(token) || refused.has(token);
  return {
    accepted: accepted.size,
    delivered: accepted.size - lost.length,
    lost,
    unknown: unknown.size,
    unknownArrived: arrivedOf(unknown),
    refused: refused.size,
    refusedArrived: arrivedOf(refused),
    duplicates: arrivals.reduce((sum, one) => sum + one.times - 1, 0),
    inDoubt: inDoubt.size,
    unexplained,
    strangers: arrivals.map((one) => one.token).filter((token) => !sent(token)),
  };
}

/** True when the promises were kept. */
export function isKept(ledger: Ledger): boolean {
  return ledger.lost.length === 0 && ledger.unexplained.length === 0 && ledger.strangers.length === 0;
}

const SHOWN = 10;

export function ledgerText(ledger: Ledger): string {
  const listed = (tokens: string[]) =>
    tokens
      .slice(0, SHOWN)
      .map((token) => `    ${token}\n`)
      .join('') + (tokens.length > SHOWN ? '    ...\n' : '');
  return [
    `accepted             ${ledger.accepted}\n`,
    `delivered            ${ledger.delivered}\n`,
    `lost                 ${ledger.lost.length}\n${listed(ledger.lost)}`,
    `no reply to the dot  ${ledger.unknown}, of which arrived ${ledger.unknownArrived}\n`,
    `answered with 4xx    ${ledger.refused}, of which arrived ${ledger.refusedArrived}\n`,
    `duplicates           ${ledger.duplicates}\n`,
    `in doubt             ${ledger.inDoubt}\n`,
    `unexplained          ${ledger.unexplained.length}\n${listed(ledger.unexplained)}`,
    `never sent whole     ${ledger.strangers.length}\n${listed(ledger.strangers)}`,
  ].join('');
}
