import { describe, expect, test } from '@jest/globals';
import { familyOf, Networks, normalizedAddress, scopeOf } from './client-address.ts';

describe('A client address', () => {
  test.each([
    ['192.0.2.1', '192.0.2.1', 'ipv4'],
    ['::ffff:192.0.2.1', '192.0.2.1', 'ipv4'],
    ['::ffff:c000:201', '192.0.2.1', 'ipv4'],
    ['2001:db8::1', '2001:db8::1', 'ipv6'],
    ['fe80::1%eth0', 'fe80::1', 'ipv6'],
    ['::1', '::1', 'ipv6'],
  ])('%s is normalized to %s', (remote, address, family) => {
    expect(normalizedAddress(remote)).toBe(address);
    expect(familyOf(address)).toBe(family);
  });

  test('of a Unix socket is empty', () => {
    expect(familyOf('')).toBe('unix');
  });
});

describe('Networks', () => {
  const networks = new Networks(['127.0.0.0/8', '192.0.2.0/24', '2001:db8::/32', '::1/128']);

  test.each([
    ['127.0.0.1', true],
    ['192.0.2.255', true],
    ['192.0.3.0', false],
    ['2001:db8:1::9', true],
    ['2001:db9::1', false],
    ['::1', true],
    ['::2', false],
    ['', false],
  ])('hold %j: %j', (address, isHeld) => {
    expect(networks.holds(address)).toBe(isHeld);
  });

  test('may be none', () => {
    expect(new Networks([]).holds('127.0.0.1')).toBe(false);
  });
});

describe('The scope of an address', () => {
  test.each([
    ['10.42.0.1', 'private'],
    ['172.31.0.1', 'private'],
    ['192.168.1.1', 'private'],
    ['100.64.0.1', 'private'],
    ['127.0.0.1', 'private'],
    ['169.254.1.1', 'private'],
    ['fd00::1', 'private'],
    ['fe80::1', 'private'],
    ['::1', 'private'],
    ['', 'private'],
    ['8.8.8.8', 'public'],
    ['172.32.0.1', 'public'],
    ['2a00:1450::1', 'public'],
  ])('%j is %s', (address, scope) => {
    expect(scopeOf(address)).toBe(scope);
  });
});
