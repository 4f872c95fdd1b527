import { describe, expect, test } from '@jest/globals';
import { LengthPrefixed } from './tcp-question.ts';

describe('a stream of length and message', () => {
  const stream = Buffer.from([0, 3, 1, 2, 3, 0, 9]);

  test.each([1, 2, 3, 4, 7])('gives the first message, cut into pieces of %d octets', (size) => {
    const reader = new LengthPrefixed();
    let message: Buffer | undefined;
    for (let at = 0; at < stream.length && message === undefined; at += size) {
      message = reader.add(stream.subarray(at, at + size));
    }
    expect(message).toEqual(Buffer.from([1, 2, 3]));
  });

  test('gives nothing while it is not whole', () => {
    const reader = new LengthPrefixed();
    expect(reader.add(stream.subarray(0, 1))).toBeUndefined();
    expect(reader.add(stream.subarray(1, 4))).toBeUndefined();
  });
});
