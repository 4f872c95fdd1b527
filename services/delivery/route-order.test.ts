import { describe, expect, test } from '@jest/globals';
import { type Site, Transport } from '#proto/postrider/v1/route.ts';
import { DeadAddresses, targetsOf } from './route-order.ts';

const SITE: Site = {
  key: 'k',
  transport: Transport.SMTP,
  maildir: '',
  hosts: [
    { name: 'mx1', port: 25, addresses: ['192.0.2.1', '2001:db8::1'], unixPath: '' },
    { name: 'mx2', port: 2525, addresses: [], unixPath: '' },
    { name: '', port: 0, addresses: [], unixPath: '/run/lmtp' },
  ],
};

const keysOf = (dead: DeadAddresses, nowMs: number) => targetsOf(SITE, dead, nowMs).map(({ key }) => key);

describe('the targets of a site', () => {
  test('are all addresses of one host after the other, a name where there is none, and Unix sockets', () => {
    expect(targetsOf(SITE, new DeadAddresses(), 0)).toEqual([
      { host: SITE.hosts[0], address: '192.0.2.1', key: '192.0.2.1 25' },
      { host: SITE.hosts[0], address: '2001:db8::1', key: '2001:db8::1 25' },
      { host: SITE.hosts[1], address: 'mx2', key: 'mx2 2525' },
      { host: SITE.hosts[2], address: '', key: 'unix:/run/lmtp' },
    ]);
  });

  test('that did not answer come last for a minute', () => {
    const dead = new DeadAddresses();
    const [first, , third] = targetsOf(SITE, dead, 0);
    dead.failed(first!, 1000);
    dead.failed(third!, 2000);
    expect(keysOf(dead, 60_999)).toEqual(['2001:db8::1 25', 'unix:/run/lmtp', '192.0.2.1 25', 'mx2 2525']);
    expect(keysOf(dead, 61_000)).toEqual(['192.0.2.1 25', '2001:db8::1 25', 'unix:/run/lmtp', 'mx2 2525']);
    expect(dead.isDead(first!, 0)).toBe(false);
  });

  test('that answered again have their place again', () => {
    const dead = new DeadAddresses();
    const [first] = targetsOf(SITE, dead, 0);
    dead.failed(first!, 0);
    dead.answered(first!);
    expect(keysOf(dead, 1)[0]).toBe('192.0.2.1 25');
  });

  test('are tried all the same when all are dead', () => {
    const dead = new DeadAddresses();
    for (const target of targetsOf(SITE, dead, 0)) dead.failed(target, 0);
    expect(targetsOf(SITE, dead, 1)).toHaveLength(4);
  });
});
