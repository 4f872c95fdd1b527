import { expect, test } from '@jest/globals';
import { LateJobs, type LateWord } from './late-jobs.ts';

test('each late job is counted, and all of ten seconds are one word', () => {
  const words: LateWord[] = [];
  let counted = 0;
  const counter = {
    add: (n: number) => {
      counted += n;
    },
  };
  const late = new LateJobs({ counter: () => counter }, (word) => void words.push(word));
  late.count('a', 2, 1000);
  late.count('b', 3, 1001);
  late.count('b', 4, 10_999);
  late.count('c', 1, 11_000);
  expect(counted).toBe(10);
  expect(words).toEqual([
    { site: 'a', jobs: 2 },
    { site: 'c', jobs: 8 },
  ]);
});
