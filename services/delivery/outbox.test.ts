import { describe, expect, test } from '@jest/globals';
import { subjects } from '#libs/nats/layout.ts';
import { type Outcome, OutcomeBatch, OutcomeKind } from '#proto/postrider/v1/job.ts';
import { Departure } from './departure.ts';
import { Outbox } from './outbox.actor.ts';

function outbox() {
  const sent: { subject: string; batch: OutcomeBatch }[] = [];
  const publish = (subject: string, payload: Uint8Array) => {
    sent.push({ subject, batch: OutcomeBatch.decode(payload) });
    return true;
  };
  const departure = new Departure();
  return { sent, departure, outbox: new Outbox({ instance: 'worker', publish }, departure) };
}

function outcome(attemptId: string, recipients = 0): Outcome {
  const each = Array.from({ length: recipients }, (_, recipient) => ({
    recipient,
    kind: OutcomeKind.RELAYED,
    reply: undefined,
  }));
  return {
    attemptId,
    queueId: 'q',
    kind: OutcomeKind.RELAYED,
    reply: undefined,
    recipients: each,
    tls: '',
    jobRecipients: [],
  };
}

describe('the outbox', () => {
  test('sends one message for each partition and turn', async () => {
    const { sent, outbox: box } = outbox();
    box.accepted(1, 'a');
    box.outcome(1, outcome('b'));
    box.site(1, { siteKey: 's', window: 64, suspendedUntilMs: 0, reason: undefined });
    box.accepted(2, 'c');
    expect(sent).toEqual([]);
    await new Promise((turn) => setImmediate(turn));
    expect(sent.map(({ subject }) => subject)).toEqual([subjects.outcome(1), subjects.outcome(2)]);
    expect(sent[0]!.batch).toMatchObject({
      worker: 'worker',
      accepted: ['a'],
      outcomes: [{ attemptId: 'b' }],
      sites: [{ siteKey: 's', window: 64 }],
    });
    box.accepted(1, 'd');
    await new Promise((turn) => setImmediate(turn));
    expect(sent.at(-1)!.batch).toMatchObject({ accepted: ['d'], outcomes: [] });
  });

  test('cuts what would not fit in one message', () => {
    const { sent, departure, outbox: box } = outbox();
    for (let i = 0; i < 5; i++) box.outcome(1, outcome(`${i}`, 600));
    box.accepted(1, 'a');
    departure.flushNow();
    expect(sent.map(({ batch }) => batch.outcomes.map(({ attemptId }) => attemptId))).toEqual([
      ['0', '1'],
      ['2', '3'],
      ['4'],
    ]);
    expect(sent[2]!.batch.accepted).toEqual(['a']);
  });
});
