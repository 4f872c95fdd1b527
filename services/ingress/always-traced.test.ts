import { describe, expect, test } from '@jest/globals';
import { AlwaysTraced } from './always-traced.ts';

describe('Mail is always traced', () => {
  const traced = new AlwaysTraced({ addresses: ['alice@a.test'], domains: ['b.test'] });

  test('when its sender or a recipient is named, in any case', () => {
    expect(traced.holds('Alice@A.test', ['x@c.test'])).toBe(true);
    expect(traced.holds('', ['x@c.test', 'ALICE@a.test'])).toBe(true);
  });

  test('when a domain is named, without its subdomains', () => {
    expect(traced.holds('x@B.test', ['x@c.test'])).toBe(true);
    expect(traced.holds('', ['x@c.test', 'y@b.test'])).toBe(true);
    expect(traced.holds('', ['x@sub.b.test'])).toBe(false);
  });

  test('and otherwise not: another address of the domain, the null reverse-path, nothing named', () => {
    expect(traced.holds('', ['bob@a.test'])).toBe(false);
    expect(new AlwaysTraced({ addresses: [], domains: [] }).holds('', ['a@b.test'])).toBe(false);
  });
});
