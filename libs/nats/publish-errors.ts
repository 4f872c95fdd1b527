// What it means for a record that JetStream answered its publish with an error: every number that nats-server 2.15 gives to a
// publish (server/errors.json), in one table. Pure.
//
// A number that is not here is new, or never meant for us: it is refused, with its words, and never sent again in silence.

/**
 * again: it passes by itself, within seconds. full: no room, nothing was stored. too-big: it never fits. conflict: the fence has
 * moved, nothing was stored. refused: it stays so until somebody changes something; it is not known that nothing was stored.
 */
export type ErrorMeaning = 'again' | 'full' | 'too-big' | 'conflict' | 'refused';

export interface PublishError {
  code: number;
  err_code?: number;
  description?: string;
}

/** Of an atomic batch: one of its records is stored already, under its id. Nothing of the batch was stored. */
export const DUPLICATE_IN_BATCH = 10201;

const MEANINGS: ReadonlyMap<number, ErrorMeaning> = new Map<number, ErrorMeaning>([
  // Somebody is being elected, started or stopped.
  [10004, 'again'], // incomplete results
  [10007, 'again'], // JetStream cluster not assigned to this server
  [10008, 'again'], // JetStream system temporarily unavailable
  [10009, 'again'], // JetStream cluster can not handle request: not the leader
  [10118, 'again'], // stream is offline
  [10163, 'again'], // expected last sequence per subject temporarily unavailable
  // Somebody else is at it, or too many are.
  [10158, 'again'], // duplicate message id is in process
  [10164, 'again'], // wrong last sequence: a fenced publish of this subject is under way in a replicated stream
  [10167, 'again'], // too many requests
  [10210, 'again'], // atomic publish too many inflight
  [10211, 'again'], // batch publish too many inflight
  // A part of the batch was lost on its way, with a connection.
  [10176, 'again'], // atomic publish batch is incomplete
  // Limits of the stream, the account, the server; waiting for seconds does not help.
  [10002, 'full'], // resource limits exceeded for account
  [10023, 'full'], // insufficient resources: max_file or max_mem of the server is used up
  [10028, 'full'], // insufficient memory resources available
  [10047, 'full'], // insufficient storage resources available
  [10054, 'too-big'], // message size exceeds maximum allowed
  [10097, 'too-big'], // header size exceeds maximum allowed of 64k
  [10071, 'conflict'], // wrong last sequence: {seq}
  // Of the stream: sealed, deleted, another one than was meant, without what we need.
  [10035, 'refused'], // account not found
  [10039, 'refused'], // JetStream not enabled for account
  [10059, 'refused'], // stream not found
  [10060, 'refused'], // expected stream does not match
  [10076, 'refused'], // JetStream not enabled
  [10109, 'refused'], // invalid operation on sealed stream
  [10120, 'refused'], // no JetStream default or applicable tiered limit present
  [10174, 'refused'], // atomic publish is disabled
  [10194, 'refused'], // stream is offline: {why}; it needs a newer server
  [10205, 'refused'], // batch publish is disabled
  // Of what we send: a bug of ours, or of something in between.
  [10003, 'refused'], // bad request
  [10070, 'refused'], // wrong last msg ID
  [10111, 'refused'], // rollup failed
  [10165, 'refused'], // invalid per-message TTL
  [10166, 'refused'], // per-message TTL is disabled
  [10168, 'refused'], // message counters is disabled
  [10169, 'refused'], // message counter increment is missing
  [10170, 'refused'], // message counter has payload
  [10171, 'refused'], // message counter increment is invalid
  [10172, 'refused'], // message counter is broken
  [10175, 'refused'], // atomic publish sequence is missing
  [10177, 'refused'], // atomic publish unsupported header used
  [10179, 'refused'], // atomic publish batch ID is invalid
  [10185, 'refused'], // JetStream minimum api level required
  [10188, 'refused'], // message schedules is disabled
  [10189, 'refused'], // message schedules pattern is invalid
  [10190, 'refused'], // message schedules target is invalid
  [10191, 'refused'], // message schedules invalid per-message TTL
  [10192, 'refused'], // message schedules invalid rollup
  [10193, 'refused'], // missing sequence for expected last sequence per subject
  [10199, 'refused'], // atomic publish batch is too large
  [10200, 'refused'], // atomic publish batch commit is invalid
  [DUPLICATE_IN_BATCH, 'refused'], // atomic publish batch contains duplicate message id
  [10203, 'refused'], // message schedules source is invalid
  [10206, 'refused'], // batch publish pattern is invalid
  [10207, 'refused'], // batch publish ID is invalid
  [10208, 'refused'], // batch publish ID unknown
  [10212, 'refused'], // message schedules invalid scheduler
  [10223, 'refused'], // message schedules time zone is invalid
]);

/** "stream store failed", with the words of the store. */
const STORE_FAILED = 10077;
const UNAVAILABLE = 503;

/** What the error means for the record. */
export function meaningOf({ code, err_code: number, description = '' }: PublishError): ErrorMeaning {
  if (/too large|size exceeds maximum/.test(description)) return 'too-big';
  if (/maximum (bytes|messages)|insufficient|no space/.test(description)) return 'full';
  const known = number === undefined ? undefined : MEANINGS.get(number);
  if (known !== undefined) return known;
  // A disk that fails does not heal by itself; the other words are those above.
  if (number === STORE_FAILED) return 'refused';
  return code === UNAVAILABLE ? 'again' : 'refused';
}
