import { expect, test } from '@jest/globals';
import { CheckpointEndings } from './checkpoint-endings.ts';

const ending = (attemptId: string) => ({ attemptId, onStored: () => {} });

test('Attempts that ended are known by their mail until that is stored', () => {
  const endings = new CheckpointEndings();
  for (const id of ['q.1.a', 'p.2.a', 'q.3.a']) endings.add(ending(id));
  expect([endings.of('q'), endings.of('p'), endings.of('none')]).toEqual([['1.a', '3.a'], ['2.a'], []]);
  expect(endings.take(2).map(({ attemptId }) => attemptId)).toEqual(['q.1.a', 'p.2.a']);
  expect([endings.size, endings.waiting, endings.has('q.1.a')]).toEqual([3, 1, true]);
  endings.stored();
  expect([endings.size, endings.of('q'), endings.of('p')]).toEqual([1, ['3.a'], []]);
  expect([endings.has('q.1.a'), endings.has('q.3.a'), endings.has('p.2.a')]).toEqual([false, true, false]);
});

test('What could not be stored is taken again, before the others', () => {
  const endings = new CheckpointEndings();
  for (const id of ['q.1.a', 'q.2.a', 'q.3.a']) endings.add(ending(id));
  endings.take(2);
  endings.putBack();
  expect([endings.size, endings.waiting]).toEqual([3, 3]);
  expect(endings.take(9).map(({ attemptId }) => attemptId)).toEqual(['q.1.a', 'q.2.a', 'q.3.a']);
  endings.stored();
  expect([endings.size, endings.of('q')]).toEqual([0, []]);
});
