import { describe, expect, test } from '@jest/globals';
import { Followers } from './followers.ts';

function bench() {
  const clock = { nowMs: 1000 };
  const said: string[] = [];
  const followers = new Followers({ now: () => clock.nowMs, say: (words) => said.push(words) });
  const [a, b] = [{}, {}];
  return { clock, said, followers, a, b };
}

describe('A follower that cannot read', () => {
  test('is counted at once, said after a while, and hinders the process when it lasts', () => {
    const { clock, said, followers, a } = bench();
    const fail = () => followers.failed(a, 'spool.3 of SPOOL_1', 'maximum consumers limit reached (10026)');
    fail();
    expect([followers.down, followers.hindrance(), said]).toEqual([1, undefined, []]);
    clock.nowMs += 5000;
    fail();
    expect(said).toEqual([
      'error: cannot follow spool.3 of SPOOL_1: maximum consumers limit reached (10026)',
    ]);
    clock.nowMs += 24_999;
    fail();
    expect(followers.hindrance()).toBeUndefined();
    clock.nowMs += 1;
    expect(followers.hindrance()).toBe('cannot follow spool.3 of SPOOL_1');
    followers.well(a);
    expect([followers.down, followers.hindrance()]).toEqual([0, undefined]);
  });

  test('that was well in between begins anew, whatever others do', () => {
    const { clock, followers, a, b } = bench();
    followers.failed(a, 'a', 'no');
    followers.failed(b, 'b', 'no');
    clock.nowMs += 29_000;
    followers.well(a);
    followers.failed(a, 'a', 'no');
    clock.nowMs += 1000;
    expect([followers.down, followers.hindrance()]).toEqual([2, 'cannot follow b']);
  });
});
