// Removes records that nobody needs any more.
//
// Fails: false when JetStream does not answer or refuses; the caller tries again or leaves it to the stream's age limit.
import { callApi } from './api.ts';
import type { Link } from './link.ts';

const WAIT_MS = 5000;
/** "sequence not found", "no message found". */
const IS_GONE = new Set([10043, 10037]);

/** Removes the records of `subject` below `sequence`. */
export async function purgeBelow(
  link: Link,
  stream: string,
  subject: string,
  sequence: number,
): Promise<boolean> {
  const request = { filter: subject, seq: sequence };
  return (await callApi(link, `STREAM.PURGE.${stream}`, request, WAIT_MS)).kind === 'ok';
}

/** Removes one record; what is stored of it is not overwritten. True also when there is none: it was removed before. */
export async function deleteRecord(link: Link, stream: string, sequence: number): Promise<boolean> {
  const request = { seq: sequence, no_erase: true };
  const answer = await callApi(link, `STREAM.MSG.DELETE.${stream}`, request, WAIT_MS);
  return answer.kind === 'ok' || (answer.kind === 'error' && IS_GONE.has(answer.error.err_code ?? 0));
}
