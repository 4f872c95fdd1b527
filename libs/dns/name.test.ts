import { describe, expect, test } from '@jest/globals';
import { isHostName, loopbackOf, normalName } from './name.ts';

describe('a name', () => {
  test.each([
    ['MX1.Example.NET.', 'mx1.example.net'],
    ['.', '.'],
    ['', ''],
  ])('%p is normally %p', (name, normal) => {
    expect(normalName(name)).toBe(normal);
  });

  test.each(['a', 'a.b', 'xn--bcher-kva.example', '_dmarc.example.net', 'x'.repeat(63), '192.0.2.1'])(
    '%p can be a host',
    (name) => {
      expect(isHostName(name)).toBe(true);
    },
  );

  test.each([
    '',
    '.',
    'a..b',
    '.a',
    'a.',
    'A',
    'bücher.example',
    'a b',
    'a\0b',
    'x'.repeat(64),
    'a.'.repeat(126) + 'ab',
  ])('%p cannot be a host', (name) => {
    expect(isHostName(name)).toBe(false);
  });

  test('under localhost is this machine', () => {
    expect(loopbackOf('localhost', 'A')).toEqual(['127.0.0.1']);
    expect(loopbackOf('mail.localhost', 'AAAA')).toEqual(['::1']);
    expect(loopbackOf('localhost', 'MX')).toEqual([]);
    expect(loopbackOf('localhost.example', 'A')).toBeUndefined();
  });
});
