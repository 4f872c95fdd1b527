import { createHash } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { PAYLOAD_OCTETS_MIN, recipientRoom, recordMax } from '#libs/nats/payload.ts';
import { type MailState, RecipientPhase, type RecipientState } from '#proto/postrider/v1/mail.ts';
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
    endedAttempts: [],
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
      'has room in a record for as many recipients as a mail may have, with domains of %d octets',
      (octets) => {
        const room = recipientRoom(payloadMax);
        // "a@domain", and the 4 octets for each that the envelope takes.
        const count = Math.min(50_000, room.recipients, Math.floor(room.pathOctets / (octets + 6)));
        const state = stateWith(Array.from({ length: count }, (_, i) => recipientOf(i, octets)));
        const { payload, headers } = encodeState(state, recordMax(payloadMax));
        expect(payload.length).toBeLessThanOrEqual(recordMax(payloadMax));
        const back = decodeState({ data: payload, header: (name) => headers?.[name] });
        expect(back.recipients.map(factsOf)).toEqual(state.recipients.map(factsOf));
      },
    );
  });

  test('keeps its words when they fit, whatever the server takes', () => {
    const state = stateWith(Array.from({ length: 1000 }, (_, i) => recipientOf(i, 20)));
    const { payload, headers } = encodeState(state, recordMax(PAYLOAD_OCTETS_MIN));
    expect(decodeState({ data: payload, header: (name) => headers?.[name] })).toEqual(state);
  });
});
