import { describe, expect, test } from '@jest/globals';
import { Job, OutcomeKind } from '#proto/postrider/v1/job.ts';
import type { Reply } from '#proto/postrider/v1/mail.ts';
import { newAttempt, outcomeOf, outcomeOfEnded, positionsOf, type RecipientFate } from './attempt.ts';

const { DELIVERED, RELAYED, DEFERRED, FAILED, RETURNED } = OutcomeKind;
const JOB: Job = { ...Job.decode(new Uint8Array(0)), attemptId: 'a', queueId: 'q', recipients: [4, 7] };
const REPLY: Reply = { code: 250, enhanced: '2.0.0', text: 'ok', host: 'mx' };

const fatesOf = (...kinds: OutcomeKind[]): RecipientFate[] =>
  kinds.map((kind, i) => ({ position: JOB.recipients[i]!, kind, reply: { ...REPLY } }));

describe('the outcome of an attempt', () => {
  test('says once what holds for all', () => {
    const fates = [4, 7].map((position) => ({ position, kind: RELAYED, reply: REPLY }));
    expect(outcomeOf(JOB, fates, 'TLSv1.3')).toEqual({
      attemptId: 'a',
      queueId: 'q',
      kind: RELAYED,
      reply: REPLY,
      recipients: [],
      tls: 'TLSv1.3',
      jobRecipients: [4, 7],
    });
  });

  test.each([
    [[RELAYED, RELAYED], RELAYED],
    [[RELAYED, FAILED], FAILED],
    [[FAILED, DEFERRED], DEFERRED],
    [[RELAYED, DEFERRED], DEFERRED],
  ])('of %j is as a whole the one that needs most: %i', (kinds, whole) => {
    const outcome = outcomeOf(JOB, fatesOf(...kinds), '');
    expect(outcome.kind).toBe(whole);
    expect(outcome.recipients.map(({ recipient, kind }) => [recipient, kind])).toEqual([
      [4, kinds[0]],
      [7, kinds[1]],
    ]);
  });
});

describe('a job that has arrived', () => {
  test('may start for as long as its owner says, whatever the time is where that one is', () => {
    for (const startByMs of [0, 1, Date.now() - 86_400_000, Date.now() + 86_400_000]) {
      expect(newAttempt({ ...JOB, startByMs, startWithinMs: 700 }, 1000).startByMs).toBe(1700);
    }
    expect(newAttempt({ ...JOB, startWithinMs: 0 }, 1000).startByMs).toBe(1000);
  });

  test('is never late at once because an owner that knows only times has another time', () => {
    for (const startByMs of [0, Date.now() - 400_000, Date.now(), Date.now() + 400_000]) {
      expect(newAttempt({ ...JOB, startByMs }, 1000).startByMs).toBe(301_000);
    }
  });
});

describe('an attempt that we end', () => {
  const reply = { ...REPLY, code: 0, text: 'the worker was stopped' };

  test('counts as never started while its final dot has not left', () => {
    const outcome = outcomeOfEnded(newAttempt(JOB, 0), reply, []);
    expect(outcome).toMatchObject({ kind: RETURNED, reply, recipients: [] });
    expect(outcome.inDoubt).toBeUndefined();
  });

  test('is in doubt afterwards, but for recipients whose fate is known', () => {
    const attempt = newAttempt(JOB, 0);
    attempt.dot = 'out';
    expect(outcomeOfEnded(attempt, reply, [{ position: 4, kind: DELIVERED, reply: REPLY }])).toMatchObject({
      kind: DEFERRED,
      inDoubt: true,
      recipients: [{ recipient: 4, kind: DELIVERED, reply: REPLY }],
    });
  });
});

describe('the positions of a job', () => {
  test('are its own, or all of the envelope', () => {
    expect(positionsOf(JOB, 9)).toEqual([4, 7]);
    expect(positionsOf({ ...JOB, recipients: [] }, 3)).toEqual([0, 1, 2]);
  });
});
