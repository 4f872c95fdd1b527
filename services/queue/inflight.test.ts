import { describe, expect, test } from '@jest/globals';
import { onUnreadable } from '#libs/nats/decoding.ts';
import type { Question } from '#libs/nats/link.ts';
import { InflightAnswer, InflightRequest } from '#proto/postrider/v1/job.ts';
import { askInflight } from './inflight.ts';

const OWNER = { number: 3, epoch: 42 };

const attempt = (attemptId: string) => ({
  attemptId,
  queueId: 'q',
  recipients: [],
  siteKey: 's',
  checkpointed: false,
});

function answer(worker: string, ids: string[], [part, parts]: [number, number] = [0, 0]): InflightAnswer {
  return { worker, running: ids.map(attempt), unacknowledged: [], part, parts };
}

const encoded = (one: InflightAnswer) => InflightAnswer.encode(one).finish();

/** Workers that say these things, one list for each time that they are asked. */
function workersThatSay(...lists: Uint8Array[][]) {
  const asked: InflightRequest[] = [];
  const link = {
    scatterUntil: async ({ payload }: Question, hear: (data: Uint8Array) => boolean) => {
      asked.push(InflightRequest.decode(payload));
      for (const data of lists.shift() ?? []) if (hear(data)) return;
    },
  };
  return { asked, asker: { link } };
}

const TWO = new Set(['a', 'b']);

const idsBy = (answers: InflightAnswer[]) =>
  Object.fromEntries(
    answers.map(({ worker, running }) => [worker, running.map(({ attemptId }) => attemptId)]),
  );

describe('A worker that is asked what is in flight', () => {
  test('has answered with one message, or when every part of its answer is here, in any order', async () => {
    const { asked, asker } = workersThatSay([
      encoded(answer('a', ['a3'], [2, 3])),
      encoded(answer('b', ['b1'])),
      encoded(answer('a', ['a1'], [0, 3])),
      encoded(answer('a', ['a1'], [0, 3])),
      encoded(answer('a', ['a2'], [1, 3])),
      encoded(answer('c', ['nobody listens any more'])),
    ]);
    const answers = await askInflight(asker, OWNER, TWO);
    expect(asked).toEqual([{ partition: 3, epoch: 42, takesParts: true }]);
    expect(answers.map(({ worker }) => worker)).toEqual(['b', 'a']);
    expect(idsBy(answers).a!.sort()).toEqual(['a1', 'a2', 'a3']);
  });

  test('has not answered while a part is missing, and answers when it is asked again', async () => {
    const parts = [answer('a', ['a1'], [0, 2]), answer('a', ['a2'], [1, 2])].map(encoded);
    const { asked, asker } = workersThatSay([parts[0]!, encoded(answer('b', []))], [parts[0]!, parts[1]!]);
    expect(idsBy(await askInflight(asker, OWNER, TWO))).toEqual({ b: [] });
    expect(idsBy(await askInflight(asker, OWNER, TWO))).toEqual({ a: ['a1', 'a2'] });
    expect(asked).toHaveLength(2);
  });

  test('has answered once, however often it says so', async () => {
    const twice = [answer('a', ['a1']), answer('a', ['a1']), answer('b', ['b1'])].map(encoded);
    const { asker } = workersThatSay(twice);
    expect(idsBy(await askInflight(asker, OWNER, TWO))).toEqual({ a: ['a1'], b: ['b1'] });
  });

  test('is waited for, whoever else answers: one that is not known, or that answers again and again', async () => {
    const { asker } = workersThatSay(
      ['stranger', 'a', 'a', 'stranger', 'other-stranger', 'b', 'too late'].map((one) =>
        encoded(answer(one, [`of ${one}`])),
      ),
    );
    expect(Object.keys(idsBy(await askInflight(asker, OWNER, TWO)))).toEqual([
      'stranger',
      'a',
      'other-stranger',
      'b',
    ]);
  });

  test('with nonsense does not keep the answers of the others away', async () => {
    const dropped: string[] = [];
    onUnreadable(({ kind }) => dropped.push(kind));
    const { asker } = workersThatSay([
      encoded(answer('', ['of nobody'])),
      Buffer.from([0xff, 0xff, 0xff]),
      encoded(answer('b', ['b1'])),
    ]);
    expect(idsBy(await askInflight(asker, OWNER, TWO))).toEqual({ b: ['b1'] });
    expect(dropped).toEqual(['inflight', 'inflight']);
  });

  test('is not asked when there is none', async () => {
    const { asked, asker } = workersThatSay();
    expect(await askInflight(asker, OWNER, new Set())).toEqual([]);
    expect(asked).toEqual([]);
  });
});
