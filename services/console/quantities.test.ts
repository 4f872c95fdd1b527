import { describe, expect, test } from '@jest/globals';
import { ageText, countText, sizeText, untilText } from './quantities.ts';

describe('a quantity in words', () => {
  test.each([
    [-5, '0 s'],
    [999, '0 s'],
    [12_400, '12 s'],
    [59_999, '59 s'],
    [60_000, '1 min'],
    [59 * 60_000, '59 min'],
    [3_600_000, '1 h'],
    [3_600_000 + 20 * 60_000, '1 h 20 min'],
    [2 * 86_400_000, '2 d'],
    [2 * 86_400_000 + 4 * 3_600_000 + 1, '2 d 4 h'],
  ])('%d ms is an age of %s', (ms, text) => expect(ageText(ms)).toBe(text));

  test.each([
    [-1000, 'now'],
    [999, 'now'],
    [240_000, 'in 4 min'],
  ])('%d ms from now is %s', (ms, text) => expect(untilText(ms)).toBe(text));

  test.each([
    [0, '0 B'],
    [1023, '1023 B'],
    [4200, '4.1 KiB'],
    [65_536, '64 KiB'],
    [1024 * 1024, '1.0 MiB'],
    [50 * 1024 * 1024, '50 MiB'],
  ])('%d octets are %s', (octets, text) => expect(sizeText(octets)).toBe(text));

  test('a count has its noun in the right number', () => {
    expect(countText(1, 'mail')).toBe('1 mail');
    expect(countText(2000, 'mail')).toBe('2,000 mails');
  });
});
