// Reads what a worker says of an attempt as one result per recipient of the job. Pure.
import { type Outcome, OutcomeKind } from '#proto/postrider/v1/job.ts';
import type { PositionResult, RecipientResult } from './message.machine.ts';
import { NO_REPLY } from './message.ts';

const RESULT_OF: Record<number, RecipientResult> = {
  [OutcomeKind.DELIVERED]: 'delivered',
  [OutcomeKind.RELAYED]: 'relayed',
  [OutcomeKind.DEFERRED]: 'deferred',
  [OutcomeKind.FAILED]: 'failed',
};

/** `returned` when the attempt never started; a kind that we do not know counts as deferred. */
export function resultsOf(outcome: Outcome, positions: number[]): PositionResult[] | 'returned' {
  if (outcome.recipients.length === 0 && outcome.kind === OutcomeKind.RETURNED) return 'returned';
  const shared = RESULT_OF[outcome.kind] ?? 'deferred';
  const byPosition = new Map(outcome.recipients.map((one) => [one.recipient, one]));
  return positions.map((position) => {
    const own = byPosition.get(position);
    if (own === undefined) return { position, result: shared, reply: outcome.reply ?? NO_REPLY };
    return {
      position,
      result: RESULT_OF[own.kind] ?? 'deferred',
      reply: own.reply ?? outcome.reply ?? NO_REPLY,
    };
  });
}
