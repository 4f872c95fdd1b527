import { describe, expect, test } from '@jest/globals';
import { type Outcome, OutcomeKind } from '#proto/postrider/v1/job.ts';
import { Interned } from './interned.ts';
import { NO_REPLY } from './message.ts';
import { resultsOf } from './outcome-results.ts';

const OK = { code: 250, enhanced: '2.0.0', text: 'Ok', host: 'mx' };
const BUSY = { code: 450, enhanced: '4.2.0', text: 'busy', host: 'mx' };

function outcome(kind: OutcomeKind, over: Partial<Outcome> = {}): Outcome {
  return {
    attemptId: 'a',
    queueId: 'q',
    kind,
    reply: OK,
    recipients: [],
    tls: '',
    jobRecipients: [],
    ...over,
  };
}

const read = (one: Outcome, positions: number[]) => resultsOf(one, positions, new Interned());

describe('what a worker says', () => {
  test('once holds for all recipients of the job', () => {
    expect(read(outcome(OutcomeKind.RELAYED), [0, 3])).toEqual([
      { position: 0, result: 'relayed', reply: OK },
      { position: 3, result: 'relayed', reply: OK },
    ]);
  });

  test('of single recipients holds for those, and the rest for the others', () => {
    const recipients = [
      { recipient: 3, kind: OutcomeKind.DEFERRED, reply: BUSY },
      { recipient: 5, kind: OutcomeKind.FAILED, reply: undefined },
      { recipient: 9, kind: OutcomeKind.FAILED, reply: BUSY },
    ];
    expect(read(outcome(OutcomeKind.DELIVERED, { recipients }), [0, 3, 5])).toEqual([
      { position: 0, result: 'delivered', reply: OK },
      { position: 3, result: 'deferred', reply: BUSY },
      { position: 5, result: 'failed', reply: OK },
    ]);
  });

  test('may be that it never began', () => {
    expect(read(outcome(OutcomeKind.RETURNED), [0])).toBe('returned');
  });

  test('counts as deferred when we do not know the word, and needs no reply', () => {
    const strange = outcome(17 as OutcomeKind, { reply: undefined });
    expect(read(strange, [0])).toEqual([{ position: 0, result: 'deferred', reply: NO_REPLY }]);
    const recipients = [{ recipient: 0, kind: OutcomeKind.RETURNED, reply: undefined }];
    expect(read(outcome(OutcomeKind.RETURNED, { recipients }), [0])).toMatchObject([{ result: 'deferred' }]);
  });

  test('of deferrals is kept once for equal replies', () => {
    const interned = new Interned();
    const said = () => resultsOf(outcome(OutcomeKind.DEFERRED, { reply: { ...BUSY } }), [0], interned);
    const [first, second] = [said(), said()];
    expect(first).toEqual(second);
    expect(first !== 'returned' && second !== 'returned' && first[0]!.reply === second[0]!.reply).toBe(true);
  });
});
