import { createHash } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { attemptIdOf, suffixOf } from '#libs/mail/attempt-id.ts';
import { PAYLOAD_OCTETS_MIN, recipientRoom, recordMax } from '#libs/nats/payload.ts';
import {
  MailState,
  PackIndex,
  RecipientPhase,
  type RecipientState,
  SettleBatch,
} from '#proto/postrider/v1/mail.ts';
import { waitingMax } from './ended-attempts.ts';
import { decodeState, encodeState } from './state-record.ts';

/** A domain of so many octets that no deflating makes much shorter: five bits of chance in each. */
function domainOf(i: number, octets: number): string {
  let text = '';
  for (let round = 0; text.length < octets; round++) {
    const digest = createHash('sha256').update(`${i} ${round}`).digest('hex');
    text += BigInt(`0x${digest}`).toString(36);
  }
  return text.slice(0, octets);
}

function recipientOf(i: number, octets: number): RecipientState {
  const domain = domainOf(i, octets);
  return {
    domain,
    phase: [RecipientPhase.WAITING, RecipientPhase.DELIVERED, RecipientPhase.FAILED][i % 3]!,
    attempts: 1 + (i % 3),
    nextAttemptAtMs: i % 3 === 0 ? 1_800_000_000_000 + (i % 997) : 0,
    lastReply: { code: 450 + (i % 100), enhanced: '4.2.1', text: `${domain} says no`, host: `mx.${domain}` },
    lastSite: `smtp:${domain}:25`,
    lastAttemptAtMs: 1_800_000_000_000 + (i % 991),
    inDoubt: i % 100 === 0,
    reported: i % 5 === 0,
  };
}

const SUBJECT = 'queue.0.m.00abcdefghijklmnopqr';

/** As many ended attempts as a state may name. */
const endedOf = (recipients: number) =>
  Array.from({ length: waitingMax(recipients) }, (_, i) => {
    const number = 1_000_000_000 + 7 * i + (i % 5);
    return suffixOf(attemptIdOf({ queueId: '', number, epoch: 1_000_000_000 }));
  });

function stateWith(recipients: RecipientState[]): MailState {
  return {
    queueId: '00abcdefghijklmnopqr',
    ref: { stream: 'STORE_0', sequence: 123_456_789, offset: 0, length: 1000 },
    acceptedAtMs: 1_800_000_000_000,
    nullReversePath: false,
    size: 1000,
    trace: undefined,
    recipients,
    delayReported: false,
    endedAttempts: endedOf(recipients.length),
  };
}

/** What decides about a recipient: everything but words and the name of a site. */
const factsOf = ({ lastReply, lastSite: _site, ...facts }: RecipientState) => ({
  ...facts,
  code: lastReply?.code,
  enhanced: lastReply?.enhanced,
});

describe('The state of a mail', () => {
  describe.each([PAYLOAD_OCTETS_MIN, 1024 ** 2])('at a server that takes %d octets', (payloadMax) => {
    test.each([3, 28, 200])(
      'has room in a record for as many recipients and ended attempts as a mail may have, with domains of %d octets',
      (octets) => {
        const room = recipientRoom(payloadMax);
        // "a@domain", and the 4 octets for each that the envelope takes.
        const count = Math.min(50_000, room.recipients, Math.floor(room.pathOctets / (octets + 6)));
        const state = stateWith(Array.from({ length: count }, (_, i) => recipientOf(i, octets)));
        const { payload, headers } = encodeState(state, recordMax(payloadMax));
        expect(payload.length).toBeLessThanOrEqual(recordMax(payloadMax));
        const back = decodeState({ subject: SUBJECT, data: payload, header: (name) => headers?.[name] });
        expect(back.recipients.map(factsOf)).toEqual(state.recipients.map(factsOf));
        expect(back.endedAttempts).toEqual(state.endedAttempts);
      },
    );
  });

  test('keeps its words when they fit, whatever the server takes', () => {
    const state = stateWith(Array.from({ length: 1000 }, (_, i) => recipientOf(i, 20)));
    const { payload, headers } = encodeState(state, recordMax(PAYLOAD_OCTETS_MIN));
    expect(decodeState({ subject: SUBJECT, data: payload, header: (name) => headers?.[name] })).toEqual(
      state,
    );
  });

  test.each<[string, string, Partial<MailState>]>([
    ['of another mail than its subject says', 'queue.0.m.00abcdefghijklmnopqs', {}],
    ['of no mail', 'queue.0.m.', { queueId: '' }],
    ['of a pattern of mails', 'queue.0.m.*', { queueId: '*' }],
    ['of an id that makes no subject', 'queue.0.m.a b', { queueId: 'a b' }],
    ['without a place', SUBJECT, { ref: undefined }],
    ['with a place that is none', SUBJECT, { ref: { stream: 'a b', sequence: 1, offset: 0, length: 1 } }],
    ['with a place elsewhere', SUBJECT, { ref: { stream: 'QUEUE', sequence: 1, offset: 0, length: 1 } }],
    [
      'of more recipients than a mail can have',
      SUBJECT,
      { recipients: Array(100_001).fill(recipientOf(0, 3)) },
    ],
  ])('%s is not read', (_, subject, other) => {
    const data = MailState.encode({ ...stateWith([recipientOf(0, 3)]), ...other }).finish();
    expect(() => decodeState({ subject, data, header: () => undefined })).toThrow(RangeError);
  });

  test('that another kind of record is taken for is not read', () => {
    const data = PackIndex.encode({ entries: [] }).finish();
    const batch = SettleBatch.encode({ packs: [{ sequence: 1, entries: [2] }] }).finish();
    for (const octets of [data, batch, Buffer.from('{}')])
      expect(() => decodeState({ subject: SUBJECT, data: octets, header: () => undefined })).toThrow();
  });
});
