import { describe, expect, test } from '@jest/globals';
import { RULES_STREAM } from '#libs/nats/layout.ts';
import { streamsOf } from '#libs/nats/streams.ts';
import { type TraceRule, TraceRules } from '#proto/postrider/v1/rules.ts';
import { holding, nameOf, RULES_MAX, ruleOf, withoutRule, withRule } from './trace-rules.ts';

const NOW_MS = 1_764_000_000_000;
const HOUR_MS = 3_600_000;
const LAYOUT = { partitions: 1, spoolStreams: 1, replicas: 1, spoolSizeMax: 1 };

const rule = (name: string, untilMs = NOW_MS + HOUR_MS): TraceRule => ({
  name,
  madeAtMs: NOW_MS,
  untilMs,
  reason: '',
});
const asked = (over: object) => ({ name: 'alice@a.test', forMs: HOUR_MS, reason: '', ...over });

describe('A rule about traces', () => {
  test.each(['Alice@A.test', 'A.test', '"a b"@a.test', 'u@[192.0.2.1]'])('may name %s', (name) => {
    expect(ruleOf(asked({ name, reason: 'why' }), NOW_MS)).toEqual({
      kind: 'rule',
      rule: { name: name.toLowerCase(), madeAtMs: NOW_MS, untilMs: NOW_MS + HOUR_MS, reason: 'why' },
    });
  });

  test.each(['', '@a.test', 'alice@', 'a b', '<alice@a.test>', 'a..test', '[192.0.2.1]', 'ä.test'])(
    'may not name %j',
    (name) => {
      const reason = `${JSON.stringify(name)} is neither an address (alice@example.com) nor a domain (example.com)`;
      expect(ruleOf(asked({ name }), NOW_MS)).toEqual({ kind: 'invalid', reason });
      expect(nameOf(name)).toBeUndefined();
    },
  );

  test.each(['*', '*@a.test'])('may not be for %s: a domain has no star', (name) => {
    const reason = `${JSON.stringify(name)}: all of a domain is meant by the domain alone (example.com)`;
    expect(ruleOf(asked({ name }), NOW_MS)).toEqual({ kind: 'invalid', reason });
  });

  test('quotes no more than the beginning of what it cannot name', () => {
    const { reason } = ruleOf(asked({ name: '!'.repeat(10_000) }), NOW_MS) as { reason: string };
    expect(reason.length).toBeLessThan(200);
  });

  test.each([0, 999, 7 * 24 * HOUR_MS + 1, Number.NaN])('may not hold for %d ms', (forMs) => {
    expect(ruleOf(asked({ forMs }), NOW_MS)).toMatchObject({
      kind: 'invalid',
      reason: expect.stringContaining('1 s to 7 d'),
    });
  });

  test('may not have a reason as long as a letter', () => {
    expect(ruleOf(asked({ reason: 'r'.repeat(201) }), NOW_MS).kind).toBe('invalid');
    expect(ruleOf(asked({ reason: 'r'.repeat(200) }), NOW_MS).kind).toBe('rule');
  });
});

describe('The rules', () => {
  test('take a new one in place of that of its name, and forget those that are over', () => {
    const held = [rule('a.test'), rule('over.test', NOW_MS), rule('b.test')];
    const again = rule('a.test', NOW_MS + 2 * HOUR_MS);
    expect(withRule(held, again, NOW_MS)).toEqual([rule('b.test'), again]);
  });

  test(`are at most ${RULES_MAX}, of which those that are over do not count`, () => {
    const held = Array.from({ length: RULES_MAX }, (_, i) => rule(`d${i}.test`));
    expect(withRule(held, rule('one-more.test'), NOW_MS)).toBeUndefined();
    expect(withRule(held, rule('d7.test', NOW_MS + 1), NOW_MS)).toHaveLength(RULES_MAX);
    const over = [...held.slice(1), rule('over.test', NOW_MS)];
    expect(withRule(over, rule('one-more.test'), NOW_MS)).toHaveLength(RULES_MAX);
  });

  test('fit into the record that JetStream takes, whatever they say', () => {
    const { max_msg_size: octetsMax } = streamsOf(LAYOUT).find(({ name }) => name === RULES_STREAM)!;
    const [local, domain] = ['l'.repeat(64), `${'d'.repeat(60)}.`.repeat(3)];
    const rules = Array.from({ length: RULES_MAX }, (_, i) => {
      const name = `${local}@${domain}${String(i).padStart(5, '0')}`;
      const { rule: made } = ruleOf(asked({ name, reason: '\u{1f4e7}'.repeat(100) }), NOW_MS) as {
        rule: TraceRule;
      };
      return made;
    });
    expect(rules[0]!.name.length).toBe(253);
    expect(TraceRules.encode({ rules }).finish().length).toBeLessThan(octetsMax as number);
  });

  test('lose one that is stopped; one that is over or was never there cannot be', () => {
    const held = [rule('a.test'), rule('over.test', NOW_MS)];
    expect(withoutRule(held, 'a.test', NOW_MS)).toEqual([]);
    expect(withoutRule(held, 'over.test', NOW_MS)).toBeUndefined();
    expect(withoutRule(held, 'c.test', NOW_MS)).toBeUndefined();
    expect(holding(held, NOW_MS)).toEqual([rule('a.test')]);
  });
});
