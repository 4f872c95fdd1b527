import { describe, expect, test } from '@jest/globals';
import { hostPort } from './smoke-arguments.ts';

describe('a place', () => {
  test.each([
    ['postrider-ingress:25', { host: 'postrider-ingress', port: 25 }],
    ['192.0.2.1:2525', { host: '192.0.2.1', port: 2525 }],
    ['[2001:db8::1]:8086', { host: '2001:db8::1', port: 8086 }],
    ['a:65535', { host: 'a', port: 65_535 }],
  ])('%s is understood', (text, place) => {
    expect(hostPort(text)).toEqual(place);
  });

  test.each(['', 'a', 'a:', ':25', 'a:65536', 'a:1e3', 'a:0x19', 'a b:25', '2001:db8::1:25', '[x]:25'])(
    '"%s" is not',
    (text) => {
      expect(() => hostPort(text)).toThrow('expected host:port');
    },
  );
});
