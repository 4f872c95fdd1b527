// The parts of an attempt's id, "<queue id>.<number in its owner, base 36>.<epoch of the owner, base 36>" (Job.attempt_id). Pure.

export interface AttemptId {
  queueId: string;
  number: number;
  epoch: number;
}

const RADIX = 36;

export function attemptIdOf({ queueId, number, epoch }: AttemptId): string {
  return `${queueId}.${number.toString(RADIX)}.${epoch.toString(RADIX)}`;
}

/** Zeros for what is not there, or no number: such an id is nobody's. */
export function partsOfAttemptId(attemptId: string): AttemptId {
  const [queueId = '', number = '', epoch = ''] = attemptId.split('.');
  return { queueId, number: Number.parseInt(number, RADIX) || 0, epoch: Number.parseInt(epoch, RADIX) || 0 };
}

/** Only the epoch: it is asked for each checkpoint that is heard. */
export function epochOfAttemptId(attemptId: string): number {
  return Number.parseInt(attemptId.slice(attemptId.lastIndexOf('.') + 1), RADIX);
}

/** Only the mail. */
export function queueIdOfAttemptId(attemptId: string): string {
  const end = attemptId.indexOf('.');
  return end < 0 ? attemptId : attemptId.slice(0, end);
}

/** What stands behind the queue id: enough beside the mail's own record. */
export function suffixOf(attemptId: string): string {
  return attemptId.slice(attemptId.indexOf('.') + 1);
}
