import { describe, expect, test } from '@jest/globals';
import { PAYLOAD_OCTETS_MIN, recordMax } from '#libs/nats/payload.ts';
import { Fence } from '#proto/postrider/v1/job.ts';
import { type Admissions, admissionsOf, afterGivingUp, fenceOf } from './fence-admissions.ts';

const NOBODY = admissionsOf(undefined);
const gaveUp = (before: Admissions, through: number, ...present: string[]): Admissions =>
  afterGivingUp(before, new Set(present), through) ?? before;

describe('A fence', () => {
  test('shuts nobody out before something is given up', () => {
    expect(fenceOf(7, NOBODY)).toEqual({ epoch: 7, excluded: [], admitted: undefined });
  });

  test('names those who may go on, so that everybody else is shut out', () => {
    const given = gaveUp(NOBODY, 5, 'a', 'b');
    expect(fenceOf(7, given)).toEqual({
      epoch: 7,
      excluded: [],
      admitted: { workers: ['a', 'b'], through: 5 },
    });
  });

  test('is written again only for more attempts, or when somebody is missing', () => {
    const given = gaveUp(NOBODY, 5, 'a', 'b');
    expect(afterGivingUp(given, new Set(['a', 'b', 'c']), 4)).toBeUndefined();
    expect(afterGivingUp(given, new Set(['a', 'b']), 6)?.admitted?.through).toBe(6);
    expect(afterGivingUp(given, new Set(['a']), 2)?.admitted).toEqual({
      workers: new Set(['a']),
      through: 5,
    });
  });

  test('keeps who was shut out from what was leased until then, when it is heard again', () => {
    const back = gaveUp(gaveUp(gaveUp(NOBODY, 5, 'a', 'b'), 8, 'a'), 12, 'a', 'b');
    expect(fenceOf(7, back)).toMatchObject({
      excluded: [{ worker: 'b', through: 8 }],
      admitted: { workers: ['a', 'b'], through: 12 },
    });
  });

  test('of a next owner shuts the same workers out from what earlier owners leased', () => {
    const standing = fenceOf(7, gaveUp(gaveUp(gaveUp(NOBODY, 5, 'a'), 8, 'a', 'b'), 9, 'a', 'b'));
    expect(fenceOf(9, admissionsOf(standing))).toEqual({
      epoch: 9,
      excluded: [{ worker: 'b', through: 0 }],
      admitted: { workers: ['a', 'b'], through: 0 },
    });
  });

  test('of a next owner shuts out who was not heard when something was given up, also when it is heard again', () => {
    const next = admissionsOf(fenceOf(7, gaveUp(NOBODY, 5, 'a')));
    expect(fenceOf(9, next).admitted).toEqual({ workers: ['a'], through: 0 });
    expect(fenceOf(9, gaveUp(next, 3, 'a', 'cut off'))).toEqual({
      epoch: 9,
      excluded: [{ worker: 'cut off', through: 0 }],
      admitted: { workers: ['a', 'cut off'], through: 3 },
    });
  });

  test('names no more workers than it has room for', () => {
    let given = gaveUp(NOBODY, 1);
    for (let i = 0; i < 500; i++) given = gaveUp(given, i + 2, `w${i}`);
    expect(given.excluded.size).toBe(200);
    expect(given.excluded.get('w499')).toBe(500);
  });
});

test('A fence has room in a record of any server that we work with, however many workers there are', () => {
  const nameOf = (i: number) => `delivery-${i.toString(16).padStart(12, '0')}`;
  const namesFrom = (first: number, count: number) =>
    Array.from({ length: count }, (_, i) => nameOf(first + i));
  const through = Number.MAX_SAFE_INTEGER;
  let given = gaveUp(NOBODY, through - 2, ...namesFrom(0, 10));
  given = gaveUp(given, through - 1, ...namesFrom(10, 10_000));
  given = gaveUp(given, through, ...namesFrom(5000, 10_000));
  const fence = fenceOf(Number.MAX_SAFE_INTEGER, given);
  expect(Fence.encode(fence).finish().length).toBeLessThan(recordMax(PAYLOAD_OCTETS_MIN));
  expect([fence.excluded.length, fence.admitted?.workers.length]).toEqual([200, 4000]);
  // Whoever is not named is shut out, whether it lives or not.
  expect(fence.admitted?.workers).not.toContain(nameOf(14_999));
});
