import { describe, expect, test } from '@jest/globals';
import { searchListIn, spellingsOf } from './search-list.ts';
import { searchListFor } from './system-search-list.ts';

const POD =
  'search mail.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n';

describe('A search list', () => {
  test('is read as a pod has it', () => {
    const domains = ['mail.svc.cluster.local', 'svc.cluster.local', 'cluster.local'];
    expect(searchListIn(POD)).toEqual({ domains, ndots: 5 });
  });

  test.each([
    ['', [], 1],
    ['# search a.test\nnameserver 192.0.2.1', [], 1],
    ['search a.test b.test\nsearch C.test.', ['c.test'], 1],
    ['search a.test\ndomain b.test c.test', ['b.test'], 1],
    ['search a..b . ok.test', ['ok.test'], 1],
    ['options timeout:1 ndots:2 ndots:3\n\tsearch  a.test\t', ['a.test'], 3],
    ['options ndots:99\noptions ndots:x', [], 15],
    [`search ${Array.from({ length: 30 }, (_, i) => `d${i}.test`).join(' ')}`, expect.any(Array), 1],
  ])('of %j', (text, domains, ndots) => {
    const list = searchListIn(text);
    expect(list).toEqual({ domains, ndots });
    expect(list.domains.length).toBeLessThanOrEqual(8);
  });

  test("is the configuration's, or the system's together with its servers", () => {
    const search = ['Mail.test.'];
    expect(searchListFor({ servers: ['192.0.2.1'], search })).toEqual({ domains: ['mail.test'], ndots: 1 });
    expect(searchListFor({ servers: ['192.0.2.1'] })).toEqual({ domains: [], ndots: 1 });
    expect(searchListFor({ servers: [], search: [] })).toEqual({ domains: [], ndots: 1 });
    expect(searchListFor({ servers: [] }).ndots).toBeGreaterThanOrEqual(0);
  });
});

describe('The spellings of a name', () => {
  const list = { domains: ['x.test', 'y.test'], ndots: 2 };

  test.each([
    ['sink', ['sink.x.test', 'sink.y.test', 'sink']],
    ['sink.mail', ['sink.mail.x.test', 'sink.mail.y.test', 'sink.mail']],
    ['a.b.c', ['a.b.c', 'a.b.c.x.test', 'a.b.c.y.test']],
    ['sink.', ['sink']],
    ['localhost', ['localhost']],
    [`${'a.'.repeat(124)}a`, [`${'a.'.repeat(124)}a`]],
  ])('%s', (name, spellings) => {
    expect(spellingsOf(name, list)).toEqual(spellings);
  });

  test('are the name itself when nothing completes it', () => {
    expect(spellingsOf('sink', { domains: [], ndots: 5 })).toEqual(['sink']);
  });
});
