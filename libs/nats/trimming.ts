// Removes records that nobody needs any more.
//
// Fails: `refused` with its words, `unavailable` when JetStream does not answer; the caller tries again or leaves it to the
// stream's age limit.
import { type ApiAnswer, type ApiError, callApi } from './api.ts';
import type { Link } from './link.ts';

const WAIT_MS = 5000;
/** "sequence not found", "no message found". */
const NOT_FOUND = new Set([10043, 10037]);
/** Of a delete that failed for any reason: only its words say that there was nothing (nats-server 2.15.1). */
const DELETE_FAILED = 10057;
const NOTHING_THERE = /no message found|deleted message|store EOF/;

export type Trimmed = { kind: 'done' } | { kind: 'refused'; reason: string } | { kind: 'unavailable' };

const DONE: Trimmed = { kind: 'done' };

/** Removes the records of `subject` below `sequence`. */
export async function trimBelow(
  link: Pick<Link, 'request'>,
  stream: string,
  subject: string,
  sequence: number,
): Promise<Trimmed> {
  const request = { filter: subject, seq: sequence };
  return trimmedOf(await callApi(link, `STREAM.PURGE.${stream}`, request, WAIT_MS));
}

/** Removes one record; what is stored of it is not overwritten. Done also when there is none: it was removed before. */
export async function remove(
  link: Pick<Link, 'request'>,
  stream: string,
  sequence: number,
): Promise<Trimmed> {
  const request = { seq: sequence, no_erase: true };
  const answer = await callApi(link, `STREAM.MSG.DELETE.${stream}`, request, WAIT_MS);
  return answer.kind === 'error' && wasGone(answer.error) ? DONE : trimmedOf(answer);
}

function wasGone({ err_code: number = 0, description = '' }: ApiError): boolean {
  return NOT_FOUND.has(number) || (number === DELETE_FAILED && NOTHING_THERE.test(description));
}

function trimmedOf(answer: ApiAnswer<unknown>): Trimmed {
  if (answer.kind === 'ok') return DONE;
  if (answer.kind === 'unavailable') return answer;
  const { err_code: number, description = 'refused' } = answer.error;
  return { kind: 'refused', reason: number === undefined ? description : `${description} (${number})` };
}

/** The same, for who can do nothing about it. */
export async function purgeBelow(
  link: Pick<Link, 'request'>,
  stream: string,
  subject: string,
  sequence: number,
): Promise<boolean> {
  return (await trimBelow(link, stream, subject, sequence)).kind === 'done';
}

/** The same, for who can do nothing about it. */
export async function deleteRecord(
  link: Pick<Link, 'request'>,
  stream: string,
  sequence: number,
): Promise<boolean> {
  return (await remove(link, stream, sequence)).kind === 'done';
}
