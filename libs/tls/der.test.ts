import { describe, expect, test } from '@jest/globals';
import { boolean, der, integer, objectId, time } from './der.ts';

describe('DER', () => {
  test('has lengths of one octet and of more', () => {
    const head = (octets: number) => der(4, Buffer.alloc(octets)).subarray(0, 5).toString('hex');
    expect(head(127)).toBe('047f000000');
    expect(head(128)).toBe('0481800000');
    expect(head(256)).toBe('0482010000');
    expect(head(65_536)).toBe('0483010000');
  });

  test('has integers that are short and not negative', () => {
    const hex = (...octets: number[]) => integer(Buffer.from(octets)).toString('hex');
    expect(hex(0)).toBe('020100');
    expect(hex()).toBe('0200');
    expect(hex(0, 0, 1)).toBe('020101');
    expect(hex(0x80)).toBe('02020080');
  });

  test('has object identifiers, booleans and times', () => {
    expect(objectId('1.2.840.10045.4.3.2').toString('hex')).toBe('06082a8648ce3d040302');
    expect([boolean('true'), boolean('false')].map((value) => value.toString('hex'))).toEqual([
      '0101ff',
      '010100',
    ]);
    expect(time(Date.UTC(2049, 11, 31, 23, 59, 59)).toString('latin1', 2)).toBe('491231235959Z');
    expect(time(Date.UTC(2050, 0, 1)).toString('latin1', 2)).toBe('20500101000000Z');
  });
});
