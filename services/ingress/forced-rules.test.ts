import { describe, expect, test } from '@jest/globals';
import { steadyClock } from '#libs/shell/steady-clock.ts';
import { AlwaysTraced } from './always-traced.ts';
import { anyOf, ForcedByRule } from './forced-rules.ts';

const clock = (now: () => number) => ({ now, fromWall: (atMs: number) => atMs });
const rule = (name: string, untilMs: number) => ({ name, madeAtMs: 0, untilMs, reason: '' });

describe('A mail is traced by rule', () => {
  test('when a rule names its sender, a recipient or the domain of one, in any case', () => {
    const rules = new ForcedByRule(clock(() => 0));
    rules.replace([rule('alice@a.test', 1), rule('b.test', 1)]);
    expect(rules.holds('Alice@A.test', ['x@c.test'])).toBe(true);
    expect(rules.holds('', ['x@c.test', 'y@B.test'])).toBe(true);
    expect(rules.holds('', ['bob@a.test', 'y@sub.b.test'])).toBe(false);
    expect(rules.holds('', ['x@c.test'])).toBe(false);
  });

  test('until the rule is over or replaced', () => {
    let nowMs = 0;
    const rules = new ForcedByRule(clock(() => nowMs));
    expect(rules.holds('x@b.test', [])).toBe(false);
    rules.replace([rule('b.test', 1000)]);
    nowMs = 999;
    expect(rules.holds('x@b.test', [])).toBe(true);
    nowMs = 1000;
    expect(rules.holds('x@b.test', [])).toBe(false);
    rules.replace([rule('c.test', 2000)]);
    expect(rules.holds('x@c.test', [])).toBe(true);
    rules.replace([]);
    expect(rules.holds('x@c.test', [])).toBe(false);
  });

  test('for as long as it was made for, when our clock is behind, and whoever sets that clock meanwhile', () => {
    let [elapsedMs, wallMs] = [0, 0];
    const steady = steadyClock(
      () => wallMs,
      () => elapsedMs,
    );
    const rules = new ForcedByRule(steady);
    rules.replace([{ ...rule('b.test', 86_401_000), madeAtMs: 86_400_000 }]);
    elapsedMs = 999;
    wallMs = 90_000_000;
    expect(rules.holds('x@b.test', [])).toBe(true);
    elapsedMs = 1000;
    wallMs = 0;
    expect(rules.holds('x@b.test', [])).toBe(false);
  });

  test('or by the configuration: one of them is enough', () => {
    const rules = new ForcedByRule(clock(() => 0));
    rules.replace([rule('b.test', 1)]);
    const forced = anyOf([new AlwaysTraced({ addresses: [], domains: ['a.test'] }), rules]);
    const held = ['x@a.test', 'x@b.test', 'x@c.test'].map((path) => forced.holds('', [path]));
    expect(held).toEqual([true, true, false]);
  });
});
