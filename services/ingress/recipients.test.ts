import { describe, expect, test } from '@jest/globals';
import type { Answer } from '#libs/nats/link.ts';
import { RecipientVerdict as Known, RecipientAnswer, RecipientRequest } from '#proto/postrider/v1/route.ts';
import { Recipients } from './recipients.actor.ts';

/** A resolver that answers `verdict` to all; each question is the paths that it asked for. */
function resolver(answer: (forwardPaths: string[]) => Answer) {
  const questions: string[][] = [];
  const troubles: string[] = [];
  let nowMs = 0;
  const request = async (_: string, payload: Uint8Array): Promise<Answer> => {
    const { forwardPaths } = RecipientRequest.decode(payload);
    questions.push(forwardPaths);
    return answer(forwardPaths);
  };
  const recipients = new Recipients({
    link: { request },
    now: () => nowMs,
    onTrouble: (reason) => troubles.push(reason),
  });
  const ask = (path: string) =>
    new Promise<string>((verdictFound) => recipients.ask(path, domain(path), { verdictFound }));
  return {
    questions,
    troubles,
    ask,
    known: (path: string) => recipients.known(path, domain(path)),
    passes: (ms: number) => {
      nowMs += ms;
    },
  };
}

const domain = (path: string) => path.slice(path.indexOf('@') + 1);

function all(verdict: Known, changes: { wholeDomain?: boolean; ttlMs?: number } = {}) {
  return (forwardPaths: string[]): Answer => ({
    kind: 'answer',
    data: RecipientAnswer.encode({
      results: forwardPaths.map(() => ({ verdict, wholeDomain: false, ttlMs: 1000, ...changes })),
    }).finish(),
  });
}

describe('Recipients', () => {
  test('are asked for once per turn, and each once', async () => {
    const { questions, ask } = resolver(all(Known.LOCAL));
    const verdicts = await Promise.all([ask('a@x'), ask('b@x'), ask('a@x'), ask('c@y')]);
    expect(verdicts).toEqual(['local', 'local', 'local', 'local']);
    expect(questions).toEqual([['a@x', 'b@x', 'c@y']]);
  });

  test.each([
    [Known.LOCAL, 'local'],
    [Known.UNKNOWN, 'unknown'],
    [Known.RELAY, 'relay'],
    [Known.DEFERRED, 'deferred'],
    [77 as Known, 'deferred'],
  ])('get the verdict %j: %s', async (said, verdict) => {
    expect(await resolver(all(said)).ask('a@x')).toBe(verdict);
  });

  test('are known afterwards, for as long as the resolver allows', async () => {
    const { ask, known, passes } = resolver(all(Known.RELAY, { wholeDomain: true, ttlMs: 1000 }));
    expect(known('a@x')).toBeUndefined();
    await ask('a@x');
    expect(known('b@x')).toBe('relay');
    passes(1000);
    expect(known('b@x')).toBeUndefined();
  });

  test('come in several questions when they are many', async () => {
    const { questions, ask } = resolver(all(Known.LOCAL));
    await Promise.all(Array.from({ length: 450 }, (_, i) => ask(`r${i}@x`)));
    expect(questions.map((paths) => paths.length)).toEqual([200, 200, 50]);
  });

  test.each<[string, Answer, number]>([
    ['nobody', { kind: 'nobody' }, 0],
    ['nobody in time', { kind: 'timeout' }, 0],
    ['nonsense', { kind: 'answer', data: Uint8Array.of(255, 255, 255) }, 1],
    ['too little', { kind: 'answer', data: RecipientAnswer.encode({ results: [] }).finish() }, 1],
  ])('are deferred when %s answers, and asked for again', async (_what, answer, troubleCount) => {
    const { questions, troubles, ask, known } = resolver(() => answer);
    expect(await ask('a@x')).toBe('deferred');
    expect(known('a@x')).toBeUndefined();
    expect(await ask('a@x')).toBe('deferred');
    expect(questions).toHaveLength(2);
    expect(troubles).toHaveLength(2 * troubleCount);
  });
});
