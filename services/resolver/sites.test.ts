import { describe, expect, test } from '@jest/globals';
import { Transport } from '#proto/postrider/v1/route.ts';
import { addressSite, endpointKey, exchangersKey, maildirSite, socketSite } from './sites.ts';

const { SMTP, LMTP } = Transport;

describe('the key of a site', () => {
  test('is the same for the same exchangers in any order', () => {
    expect(exchangersKey(['b.example', 'a.example'])).toBe('mx:a.example,b.example');
    expect(exchangersKey(['a.example', 'b.example'])).toBe('mx:a.example,b.example');
  });

  test('is short for many, and still tells them apart', () => {
    const names = Array.from({ length: 20 }, (_, i) => `mx${i + 10}.example.net`);
    const key = exchangersKey(names);
    expect(key).toMatch(/^mx:mx10\.example\.net,\+19#[0-9a-f]{16}$/);
    expect(exchangersKey([...names].reverse())).toBe(key);
    expect(exchangersKey([...names.slice(0, 19), 'other.example'])).not.toBe(key);
  });

  test('of an endpoint is its address', () => {
    expect(endpointKey(SMTP, 'smart.example', 587)).toBe('smtp:smart.example:587');
    expect(endpointKey(LMTP, '::1', 24)).toBe('lmtp:[::1]:24');
    expect(socketSite(LMTP, '/run/lmtp').key).toBe('unix:/run/lmtp');
    expect(maildirSite('/mail/{local}').key).toBe('maildir:/mail/{local}');
  });

  test('of an IPv6 address is that of its shortest form', () => {
    const site = addressSite({ transport: SMTP, address: '2001:0DB8:0::1', port: 25, name: '' });
    expect(site).toEqual({
      key: 'smtp:[2001:db8::1]:25',
      transport: SMTP,
      hosts: [{ name: '2001:db8::1', port: 25, addresses: ['2001:db8::1'], unixPath: '' }],
      maildir: '',
    });
  });
});
