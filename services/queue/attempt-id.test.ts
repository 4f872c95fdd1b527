import { expect, test } from '@jest/globals';
import { attemptIdOf, epochOfAttemptId, partsOfAttemptId, suffixOf } from './attempt-id.ts';

test('The id of an attempt names its mail, its number and its owner', () => {
  const parts = { queueId: '00abcdefghij00000001', number: 37, epoch: 1000 };
  const id = attemptIdOf(parts);
  expect(id).toBe('00abcdefghij00000001.11.rs');
  expect(partsOfAttemptId(id)).toEqual(parts);
  expect(suffixOf(id)).toBe('11.rs');
  expect(epochOfAttemptId(id)).toBe(1000);
  expect(partsOfAttemptId('x')).toEqual({ queueId: 'x', number: 0, epoch: 0 });
});
