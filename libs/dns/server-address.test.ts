import { describe, expect, test } from '@jest/globals';
import { serverAddressOf, serversFor, serverText } from './server-address.ts';

describe('the address of a DNS server', () => {
  test.each([
    ['192.0.2.1', { address: '192.0.2.1', port: 53 }],
    ['192.0.2.1:5353', { address: '192.0.2.1', port: 5353 }],
    ['2001:db8::1', { address: '2001:db8::1', port: 53 }],
    ['[2001:db8::1]', { address: '2001:db8::1', port: 53 }],
    ['[2001:db8::1]:5353', { address: '2001:db8::1', port: 5353 }],
  ])('%p is understood', (text, server) => {
    expect(serverAddressOf(text)).toEqual(server);
    expect(serverAddressOf(serverText(server))).toEqual(server);
  });

  test.each([
    '',
    'ns.example.net',
    '192.0.2.1:0',
    '192.0.2.1:65536',
    '192.0.2.1:x',
    '127.1',
    '[::1',
    '::1:53x',
  ])('%p is refused', (text) => {
    expect(serverAddressOf(text)).toBeUndefined();
  });

  test('is that of the configuration, else that of the system', () => {
    expect(serversFor(['192.0.2.1', '192.0.2.2'])).toHaveLength(2);
    expect(serversFor([]).length).toBeGreaterThan(0);
    expect(serversFor(['nonsense'])).toEqual([{ address: '127.0.0.1', port: 53 }]);
  });
});
