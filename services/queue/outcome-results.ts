// Reads what a worker says of an attempt as one result per recipient of the job. Pure.
import type { Wire } from '#libs/nats/decoding.ts';
import { isToken } from '#libs/nats/layout.ts';
import { type Outcome, OutcomeBatch, OutcomeKind } from '#proto/postrider/v1/job.ts';
import type { Reply } from '#proto/postrider/v1/mail.ts';
import type { Interned } from './interned.ts';
import { NO_REPLY } from './message.ts';
import type { PositionResult, RecipientResult } from './recipient-steps.ts';

/** What workers tell. Nobody could be answered who has no name. */
export const OUTCOMES: Wire<OutcomeBatch> = {
  ...OutcomeBatch,
  flawOf: ({ worker }) => (isToken(worker) ? undefined : 'outcomes of nobody'),
};

const RESULT_OF: Record<number, RecipientResult> = {
  [OutcomeKind.DELIVERED]: 'delivered',
  [OutcomeKind.RELAYED]: 'relayed',
  [OutcomeKind.DEFERRED]: 'deferred',
  [OutcomeKind.FAILED]: 'failed',
};

export const NOBODY_TOLD: readonly PositionResult[] = Object.freeze([]);

/** `returned` when the attempt never started; a kind that we do not know counts as deferred. */
export function resultsOf(
  outcome: Outcome,
  positions: readonly number[],
  interned: Interned,
): PositionResult[] | 'returned' {
  if (outcome.recipients.length === 0 && outcome.kind === OutcomeKind.RETURNED) return 'returned';
  const shared = resultOf(outcome.kind, outcome.reply ?? NO_REPLY, interned);
  if (outcome.recipients.length === 0) return positions.map((position) => ({ position, ...shared }));
  const byPosition = new Map(outcome.recipients.map((one) => [one.recipient, one]));
  return positions.map((position) => {
    const own = byPosition.get(position);
    if (own === undefined) return { position, ...shared };
    return { position, ...resultOf(own.kind, own.reply ?? shared.reply, interned) };
  });
}

/** Replies of deferrals stay in memory, and many are alike. */
function resultOf(kind: OutcomeKind, reply: Reply, interned: Interned): Omit<PositionResult, 'position'> {
  const result = RESULT_OF[kind] ?? 'deferred';
  return { result, reply: result === 'deferred' ? interned.reply(reply) : reply };
}

/** Not when its worker was cut off after the last recipient was answered for. */
export function isInDoubt({ inDoubt, recipients }: Outcome, positions: readonly number[]): boolean {
  return inDoubt === true && recipients.length < positions.length;
}

/** What an attempt in doubt says of single recipients: the others may have been reached or not. */
export function knownOf(outcome: Outcome, interned: Interned): readonly PositionResult[] {
  const positions = outcome.recipients.map(({ recipient }) => recipient);
  const results = positions.length === 0 ? NOBODY_TOLD : resultsOf(outcome, positions, interned);
  return results === 'returned' ? NOBODY_TOLD : results;
}
