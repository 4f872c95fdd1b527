// The record of a mail's state in QUEUE: as it is when it is small, deflated when the mail has many recipients, and without
// words when even that is too much: those of replies, then the names of sites. So it always fits in one record: the domains of
// its recipients are what is left, and they are a part of an envelope that had room in a pack. Pure.
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { isQueueId } from '#libs/mail/queue-id.ts';
import { isMailStream } from '#libs/nats/layout.ts';
import { PAYLOAD_OCTETS_MIN, recordMax } from '#libs/nats/payload.ts';
import { RECIPIENTS_MAX } from '#libs/pack/pack.ts';
import { MailState } from '#proto/postrider/v1/mail.ts';

/** Smaller ones are not worth the time. */
const DEFLATE_FROM_OCTETS = 32 * 1024;
/** Words are not worth more than this. */
const WORDS_OCTETS_MAX = 512 * 1024;
/** Deflated, what has words is at least this part of its size; more is not tried: it takes half a second for a large state. */
const DEFLATED_PART = 1 / 32;
/** A state that was written by us never inflates to more. */
const STATE_OCTETS_MAX = 64 * 1024 * 1024;
const LEVEL = 1;

const ENCODING = 'Postrider-Encoding';
const DEFLATE = 'deflate';

export interface StateRecord {
  payload: Uint8Array;
  headers: Record<string, string> | undefined;
}

/** The record of at most `octetsMax` octets, by default what has room everywhere; larger only when nothing is left to cut. */
export function encodeState(state: MailState, octetsMax = recordMax(PAYLOAD_OCTETS_MIN)): StateRecord {
  const plain = MailState.encode(state).finish();
  if (plain.length < DEFLATE_FROM_OCTETS) return { payload: plain, headers: undefined };
  const withWords = Math.min(WORDS_OCTETS_MAX, octetsMax);
  if (plain.length * DEFLATED_PART <= withWords) {
    const record = deflated(plain);
    if (record.payload.length <= withWords) return record;
  }
  const shortened = deflated(MailState.encode(withoutWords(state)).finish());
  if (shortened.payload.length <= octetsMax) return shortened;
  return deflated(MailState.encode(withoutSites(withoutWords(state))).finish());
}

function deflated(plain: Uint8Array): StateRecord {
  return { payload: deflateRawSync(plain, { level: LEVEL }), headers: { [ENCODING]: DEFLATE } };
}

/** Throws when the record is not what `encodeState` makes of the state of a mail, stored as what it says it is. */
export function decodeState(record: {
  subject: string;
  data: Uint8Array;
  header(name: string): string | undefined;
}): MailState {
  const isDeflated = record.header(ENCODING) === DEFLATE;
  const octets = isDeflated
    ? inflateRawSync(record.data, { maxOutputLength: STATE_OCTETS_MAX })
    : record.data;
  const state = MailState.decode(octets);
  const flaw = flawOf(state, record.subject);
  if (flaw !== undefined) throw new RangeError(flaw);
  return state;
}

/** Why nobody could act on it. What says that it is another mail would never be removed. */
function flawOf({ queueId, ref, recipients }: MailState, subject: string): string | undefined {
  if (!isQueueId(queueId) || !subject.endsWith(`.${queueId}`)) return 'it is not of the mail of its subject';
  if (ref === undefined || !isMailStream(ref.stream)) return 'it does not say where the mail is';
  return recipients.length > RECIPIENTS_MAX ? `${recipients.length} recipients` : undefined;
}

/** What is lost is for people only: the text of the last reply, and who said it. */
function withoutWords(state: MailState): MailState {
  const recipients = state.recipients.map((recipient) => {
    const { lastReply } = recipient;
    return lastReply === undefined
      ? recipient
      : { ...recipient, lastReply: { ...lastReply, text: '', host: '' } };
  });
  return { ...state, recipients };
}

/** The site is looked up again before the next attempt; until then the list of the operator does not name it. */
function withoutSites(state: MailState): MailState {
  return { ...state, recipients: state.recipients.map((recipient) => ({ ...recipient, lastSite: '' })) };
}
