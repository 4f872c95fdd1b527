import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { exchangersOf } from './exchangers.ts';

const OWN = 'us.example';

/** "10 a.example" and so on; the draw of a record is its place from the end, so that equals turn round. */
function order(...records: string[]) {
  const mx = records.map((record) => {
    const [preference, exchanger] = record.split(' ');
    return { preference: Number(preference), exchanger: exchanger! };
  });
  return exchangersOf(mx, { ownName: OWN, draws: mx.map((_, i) => 1 - i / 100) });
}

describe('mail exchangers', () => {
  test('go by preference, equals by their draw', () => {
    expect(order('20 c', '10 a', '10 b')).toEqual({ kind: 'hosts', names: ['b', 'a', 'c'] });
  });

  test('are named once, at their best place', () => {
    expect(order('30 a', '10 b', '5 a')).toEqual({ kind: 'hosts', names: ['a', 'b'] });
  });

  test('are none when the null MX stands alone, whatever its preference', () => {
    expect(order('0 .')).toEqual({ kind: 'null' });
    expect(order('10 .')).toEqual({ kind: 'null' });
    expect(order('0 .', '10 a')).toEqual({ kind: 'hosts', names: ['a'] });
  });

  test('are only those that are preferred to us', () => {
    expect(order('10 a', '20 us.example', '20 b', '30 c')).toEqual({ kind: 'hosts', names: ['a'] });
    expect(order('10 us.example', '10 b', '30 c')).toEqual({ kind: 'only-us' });
  });

  test('are names that a host can have', () => {
    expect(order('10 a@b', '20 c')).toEqual({ kind: 'hosts', names: ['c'] });
    expect(order('10 bücher', '20 .')).toEqual({ kind: 'nonsense' });
  });

  test('never include us, and never go up in preference', () => {
    const record = fc.record({
      preference: fc.integer({ min: 0, max: 3 }),
      exchanger: fc.constantFrom('a', 'b', 'c', OWN, '.'),
    });
    const drawn = fc.tuple(record, fc.double({ min: 0, max: 1, noNaN: true }));
    fc.assert(
      fc.property(fc.array(drawn, { minLength: 1 }), (all) => {
        const records = all.map(([one]) => one);
        const result = exchangersOf(records, { ownName: OWN, draws: all.map(([, draw]) => draw) });
        if (result.kind !== 'hosts') return;
        const best = (name: string) =>
          Math.min(...records.filter((one) => one.exchanger === name).map((one) => one.preference));
        const preferences = result.names.map(best);
        expect(preferences).toEqual([...preferences].sort((a, b) => a - b));
        expect(result.names.every((name) => best(name) < best(OWN))).toBe(true);
        expect(new Set(result.names).size).toBe(result.names.length);
      }),
    );
  });
});
