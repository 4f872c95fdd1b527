// Removes records that nobody needs any more.
//
// Fails: false when JetStream does not answer or refuses; the caller tries again or leaves it to the stream's age limit.
import { callApi } from './api.ts';
import type { Link } from './link.ts';

const WAIT_MS = 5000;

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

/** Removes one record; what is stored of it is not overwritten. */
export async function deleteRecord(link: Link, stream: string, sequence: number): Promise<boolean> {
  const request = { seq: sequence, no_erase: true };
  return (await callApi(link, `STREAM.MSG.DELETE.${stream}`, request, WAIT_MS)).kind === 'ok';
}
