// Queue ids: 20 characters [0-9a-z] that name an accepted mail for ever and tell its partition.
import { randomBytes } from 'node:crypto';

const PARTITION_DIGITS = 2;
const TIME_DIGITS = 9;
const PROCESS_DIGITS = 5;
const COUNTER_DIGITS = 4;
const COUNTER_END = 36 ** COUNTER_DIGITS;

let processPart = '';
let counter = 0;
let lastMs = -1;
let lastTimePart = '';

/**
 * A new id: partition (2 digits base 36, 0-1295), time (9, milliseconds since 1970), this process (5, random),
 * counter (4, wraps): unique while one process makes fewer than 1.6 million ids in a millisecond.
 */
export function newQueueId(partition: number, nowMs: number): string {
  if (processPart === '')
    processPart = digits(randomBytes(4).readUInt32BE() % 36 ** PROCESS_DIGITS, PROCESS_DIGITS);
  if (nowMs !== lastMs) {
    lastMs = nowMs;
    lastTimePart = digits(nowMs, TIME_DIGITS);
  }
  counter = (counter + 1) % COUNTER_END;
  return digits(partition, PARTITION_DIGITS) + lastTimePart + processPart + digits(counter, COUNTER_DIGITS);
}

/** The partition that the mail was written to; NaN when `queueId` is not one of ours. */
export function partitionOf(queueId: string): number {
  return isQueueId(queueId) ? Number.parseInt(queueId.slice(0, PARTITION_DIGITS), 36) : Number.NaN;
}

/** When it was made, milliseconds since 1970; NaN when `queueId` is not one of ours. */
export function madeAtMsOf(queueId: string): number {
  const time = queueId.slice(PARTITION_DIGITS, PARTITION_DIGITS + TIME_DIGITS);
  return isQueueId(queueId) ? Number.parseInt(time, 36) : Number.NaN;
}

/** True when it looks like one of ours. */
export function isQueueId(text: string): boolean {
  return /^[0-9a-z]{20}$/.test(text);
}

function digits(value: number, length: number): string {
  return value.toString(36).padStart(length, '0');
}
