import { expect, test } from '@jest/globals';
import {
  attemptIdOf,
  epochOfAttemptId,
  partsOfAttemptId,
  queueIdOfAttemptId,
  suffixOf,
} from './attempt-id.ts';

test('The id of an attempt names its mail, its number and its owner', () => {
  const parts = { queueId: '00abcdefghij00000001', number: 37, epoch: 1000 };
  const id = attemptIdOf(parts);
  expect(id).toBe('00abcdefghij00000001.11.rs');
  expect(partsOfAttemptId(id)).toEqual(parts);
  expect(suffixOf(id)).toBe('11.rs');
  expect(epochOfAttemptId(id)).toBe(1000);
  expect(queueIdOfAttemptId(id)).toBe(parts.queueId);
});

test.each(['x', 'x.', 'x..', 'x.-.-', 'x.!.?'])(
  'An id of another shape, %s, has no number and no owner',
  (id) => {
    expect(partsOfAttemptId(id)).toEqual({ queueId: 'x', number: 0, epoch: 0 });
    expect(queueIdOfAttemptId(id)).toBe('x');
  },
);
