import { describe, expect, test } from '@jest/globals';
import { familyOf, normalizedAddress, RelayNetworks } from './client-address.ts';

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

describe('Relay networks', () => {
  const networks = new RelayNetworks(['127.0.0.0/8', '192.0.2.0/24', '2001:db8::/32', '::1/128']);

  test.each([
    ['127.0.0.1', true],
    ['192.0.2.255', true],
    ['192.0.3.0', false],
    ['2001:db8:1::9', true],
    ['2001:db9::1', false],
    ['::1', true],
    ['::2', false],
    ['', true],
  ])('hold %j: %j', (address, isHeld) => {
    expect(networks.holds(address)).toBe(isHeld);
  });

  test('may be none', () => {
    expect(new RelayNetworks([]).holds('127.0.0.1')).toBe(false);
  });
});
