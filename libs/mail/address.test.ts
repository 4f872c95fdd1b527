import { describe, expect, test } from '@jest/globals';
import {
  addressOfLiteral,
  domainOf,
  isAddress,
  isDomainName,
  localPartOf,
  type MailPath,
  parsePath,
} from './address.ts';

const local64 = 'l'.repeat(64);
const label63 = 'd'.repeat(63);

describe('parsePath', () => {
  test.each<[string, Omit<MailPath, 'end'>]>([
    ['<a@b.example>', { path: 'a@b.example', domain: 'b.example' }],
    ['<Local.Part@Example.COM>', { path: 'Local.Part@Example.COM', domain: 'example.com' }],
    ['<a@localhost>', { path: 'a@localhost', domain: 'localhost' }],
    ['<>', { path: '', domain: '' }],
    ['<Postmaster>', { path: 'Postmaster', domain: '' }],
    ['<POSTMASTER>', { path: 'POSTMASTER', domain: '' }],
    ["<!#$%&'*+-/=?^_`{|}~@x.y>", { path: "!#$%&'*+-/=?^_`{|}~@x.y", domain: 'x.y' }],
    ['<"a b"@x.y>', { path: '"a b"@x.y', domain: 'x.y' }],
    ['<"a>b@c"@x.y>', { path: '"a>b@c"@x.y', domain: 'x.y' }],
    ['<"a\\"b"@x.y>', { path: '"a\\"b"@x.y', domain: 'x.y' }],
    ['<""@x.y>', { path: '""@x.y', domain: 'x.y' }],
    ['<a@[192.0.2.1]>', { path: 'a@[192.0.2.1]', domain: '[192.0.2.1]' }],
    ['<a@[IPv6:2001:DB8::1]>', { path: 'a@[IPv6:2001:DB8::1]', domain: '[ipv6:2001:db8::1]' }],
    ['<@r1.x,@r2.y:a@b.c>', { path: 'a@b.c', domain: 'b.c' }],
    [`<${local64}@x.y>`, { path: `${local64}@x.y`, domain: 'x.y' }],
    ['<a@1.2-3.4>', { path: 'a@1.2-3.4', domain: '1.2-3.4' }],
  ])('reads %s', (text, path) => {
    expect(parsePath(text, 0)).toEqual({ ...path, end: text.length });
    expect(parsePath(`FROM:${text} SIZE=1`, 5)).toEqual({ ...path, end: 5 + text.length });
  });

  test.each([
    'a@b.example',
    '<a@b.example',
    'a@b.example>',
    '<a>',
    '<@b>',
    '<a@>',
    '<a@@b>',
    '<a@b@c>',
    '<.a@b>',
    '<a.@b>',
    '<a..b@c>',
    '<a b@c>',
    '<a@b c>',
    '< a@b>',
    '<a@b >',
    '<a@.b>',
    '<a@b.>',
    '<a@b..c>',
    '<a@-b>',
    '<a@b->',
    '<a@b_c>',
    '<"a@b>',
    '<"a"b@c>',
    '<a"b"@c>',
    '<"a\\"@b>',
    '<a@[192.0.2.256]>',
    '<a@[192.0.2]>',
    '<a@[2001:db8::1]>',
    '<a@[IPv6:x]>',
    '<a@[]>',
    '<a@[127.1]>',
    '<a(comment)@b>',
    '<\u00e4@b.c>',
    '<a@\u00e4.c>',
    '<a\u0000@b>',
    '<a\r\n@b>',
    '<@r1.x:>',
    '<@r1.x:Postmaster>',
    '<r1.x:a@b.c>',
    `<l${local64}@x.y>`,
    `<a@d${label63}.x>`,
    `<a@${Array(4).fill(label63).join('.')}.x>`,
    `<${local64}@${label63}.${label63}.${label63}>`,
    '',
  ])('refuses %s', (text) => {
    expect(parsePath(text, 0)).toBeUndefined();
  });

  test('takes time in proportion to hostile input', () => {
    const hostile = [
      `<${'a.'.repeat(1000)}`,
      `<"${'\\a'.repeat(1000)}`,
      `<${'@a,'.repeat(600)}`,
      `<a@${'a-'.repeat(1000)}`,
    ];
    const start = performance.now();
    for (const text of hostile) expect(parsePath(text, 0)).toBeUndefined();
    expect(performance.now() - start).toBeLessThan(50);
  });
});

describe('isAddress', () => {
  test.each(['a@b.c', '"a b"@b.c', 'a@[192.0.2.1]'])('takes %s', (text) => {
    expect(isAddress(text)).toBe(true);
  });

  test.each([
    '',
    'a',
    '<a@b.c>',
    'a@b.c\n',
    'a@[1]',
    `${local64}l@b.c`,
    `${local64}@${`${label63}.`.repeat(3)}c`,
  ])('refuses %j', (text) => {
    expect(isAddress(text)).toBe(false);
  });
});

describe('the parts of an address', () => {
  test.each([
    ['a@B.c', 'a', 'b.c'],
    ['"a@\\"b"@C', 'a@"b', 'c'],
    ['Postmaster', 'Postmaster', ''],
    ['', '', ''],
  ])('of %s', (address, localPart, domain) => {
    expect(localPartOf(address)).toBe(localPart);
    expect(domainOf(address)).toBe(domain);
  });

  test.each([
    ['user@Example.COM', 'example.com'],
    ['"a@b"@c.example', 'c.example'],
    ['Postmaster', ''],
    ['user@[192.0.2.1]', '[192.0.2.1]'],
  ])('%s is of "%s"', (path, domain) => expect(domainOf(path)).toBe(domain));

  test('a domain name is no literal and not too long', () => {
    expect(isDomainName('mx-1.example.com')).toBe(true);
    for (const text of ['', '[192.0.2.1]', 'a b', 'a..b', 'a.b\n', Array(5).fill(label63).join('.')]) {
      expect(isDomainName(text)).toBe(false);
    }
  });

  test('an address literal gives its address', () => {
    expect(addressOfLiteral('[192.0.2.1]')).toBe('192.0.2.1');
    expect(addressOfLiteral('[ipv6:2001:db8::1]')).toBe('2001:db8::1');
    for (const text of ['192.0.2.1', '[192.0.2.1', '[x]', '[ipv6:192.0.2.1]']) {
      expect(addressOfLiteral(text)).toBeUndefined();
    }
  });
});
