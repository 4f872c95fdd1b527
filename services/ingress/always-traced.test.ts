import { describe, expect, test } from '@jest/globals';
import { AlwaysTraced } from './always-traced.ts';

const transaction = (reversePath: string, ...forwardPaths: string[]) => ({ reversePath, forwardPaths });

describe('Mail is always traced', () => {
  const traced = new AlwaysTraced({ addresses: ['alice@a.test'], domains: ['b.test'] });

  test('when its sender or a recipient is named, in any case', () => {
    expect(traced.holds(transaction('Alice@A.test', 'x@c.test'))).toBe(true);
    expect(traced.holds(transaction('', 'x@c.test', 'ALICE@a.test'))).toBe(true);
  });

  test('when a domain is named, without its subdomains', () => {
    expect(traced.holds(transaction('x@B.test', 'x@c.test'))).toBe(true);
    expect(traced.holds(transaction('', 'x@c.test', 'y@b.test'))).toBe(true);
    expect(traced.holds(transaction('', 'x@sub.b.test'))).toBe(false);
  });

  test('and otherwise not: another address of the domain, the null reverse-path, nothing named', () => {
    expect(traced.holds(transaction('', 'bob@a.test'))).toBe(false);
    expect(new AlwaysTraced({ addresses: [], domains: [] }).holds(transaction('', 'a@b.test'))).toBe(false);
  });
});
