// The record of a mail's state in QUEUE: as it is when it is small, deflated when the mail has many recipients, and
// without the words of replies when even that is too much, so that it always fits in one record. Pure.
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { MailState } from '#proto/postrider/v1/mail.ts';

/** Smaller ones are not worth the time. */
const DEFLATE_FROM_OCTETS = 32 * 1024;
/** Well below the payload limit of NATS. */
const RECORD_OCTETS_MAX = 512 * 1024;
/** A state that was written by us never inflates to more. */
const STATE_OCTETS_MAX = 64 * 1024 * 1024;
const LEVEL = 1;

const ENCODING = 'Postrider-Encoding';
const DEFLATE = 'deflate';

export interface StateRecord {
  payload: Uint8Array;
  headers: Record<string, string> | undefined;
}

export function encodeState(state: MailState): StateRecord {
  const plain = MailState.encode(state).finish();
  if (plain.length < DEFLATE_FROM_OCTETS) return { payload: plain, headers: undefined };
  const headers = { [ENCODING]: DEFLATE };
  const payload = deflateRawSync(plain, { level: LEVEL });
  if (payload.length <= RECORD_OCTETS_MAX) return { payload, headers };
  const shortened = MailState.encode(withoutWords(state)).finish();
  return { payload: deflateRawSync(shortened, { level: LEVEL }), headers };
}

/** Throws when the record is not what `encodeState` makes. */
export function decodeState(record: {
  data: Uint8Array;
  header(name: string): string | undefined;
}): MailState {
  const isDeflated = record.header(ENCODING) === DEFLATE;
  if (!isDeflated) return MailState.decode(record.data);
  return MailState.decode(inflateRawSync(record.data, { maxOutputLength: STATE_OCTETS_MAX }));
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
