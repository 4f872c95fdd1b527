import { describe, expect, test } from '@jest/globals';
import { type Answer, decode, encode, type Packet, RECURSION_AVAILABLE } from 'dns-packet';
import fc from 'fast-check';
import type { DnsQuestion } from './answer.ts';
import { answersQuestion, encodeQuestion, idOf, readAnswer } from './message.ts';

const QUESTION = { name: 'a.test', type: 'A' } as const;
const AUTHORITATIVE = 1 << 10;
const SOA: Answer = {
  type: 'SOA',
  name: 'test',
  ttl: 100,
  data: { mname: 'ns.test', rname: 'root.test', minimum: 50 },
};
const NS: Answer = { type: 'NS', name: 'test', ttl: 100, data: 'ns.test' };

function answer(packet: Packet, question: DnsQuestion = QUESTION): Buffer {
  return encode({ type: 'response', id: 7, questions: [question], ...packet });
}

function a(name: string, data: string, ttl = 300): Answer {
  return { type: 'A', name, ttl, data };
}

function alias(name: string, data: string): Answer {
  return { type: 'CNAME', name, ttl: 20, data };
}

describe('a question', () => {
  test('is one of the internet, wants recursion, and takes 1232 octets', () => {
    const packet = decode(encodeQuestion(QUESTION, 4711));
    expect(packet).toMatchObject({ id: 4711, type: 'query', flag_rd: true });
    expect(packet.questions).toEqual([{ ...QUESTION, class: 'IN' }]);
    expect(packet.additionals).toMatchObject([{ type: 'OPT', udpPayloadSize: 1232, ednsVersion: 0 }]);
  });

  test('is answered only by a response with its id, name and type', () => {
    const asked = encodeQuestion(QUESTION, 7);
    const fits = (packet: Packet) => answersQuestion(answer(packet), asked);
    expect(fits({})).toBe(true);
    expect(fits({ questions: [{ name: 'A.Test', type: 'A' }] })).toBe(true);
    expect(fits({ id: 8 })).toBe(false);
    expect(fits({ type: 'query' })).toBe(false);
    expect(fits({ flags: 1 << 11 })).toBe(false);
    expect(fits({ questions: [] })).toBe(false);
    expect(fits({ questions: [QUESTION, QUESTION] })).toBe(false);
    expect(fits({ questions: [{ name: 'b.test', type: 'A' }] })).toBe(false);
    expect(fits({ questions: [{ name: 'a.test', type: 'AAAA' }] })).toBe(false);
    expect(fits({ questions: [{ name: 'a.test', type: 'A', class: 'CH' }] })).toBe(false);
    for (let length = 0; length < answer({}).length; length++) {
      expect(answersQuestion(answer({}).subarray(0, length), asked)).toBe(false);
    }
    expect(idOf(Buffer.alloc(11))).toBe(-1);
  });
});

describe('an answer', () => {
  const read = (packet: Packet) => readAnswer(answer(packet), QUESTION);

  test('has the records of the name, with the least of their lives', () => {
    const answers = [a('A.test', '192.0.2.1'), a('a.test', '192.0.2.2', 10), a('b.test', '192.0.2.3', 1)];
    expect(read({ answers })).toEqual({
      kind: 'found',
      records: ['192.0.2.1', '192.0.2.2'],
      ttlMs: 10_000,
    });
  });

  test('names no address twice', () => {
    const answers = [a('a.test', '192.0.2.1'), a('a.test', '192.0.2.1')];
    expect(read({ answers })).toMatchObject({ records: ['192.0.2.1'] });
  });

  test('has no life when its TTL has the highest bit set', () => {
    expect(read({ answers: [a('a.test', '192.0.2.1', 0x8000_0000)] })).toMatchObject({ ttlMs: 0 });
  });

  test('follows aliases in any order, but not in rings nor for ever', () => {
    const answers = [a('c.test', '192.0.2.1'), alias('b.test', 'c.test'), alias('a.test', 'b.test')];
    expect(read({ answers })).toEqual({ kind: 'found', records: ['192.0.2.1'], ttlMs: 20_000 });
    const ring = [alias('a.test', 'b.test'), alias('b.test', 'a.test')];
    expect(read({ answers: ring })).toEqual({ kind: 'trouble', reason: 'malformed' });
  });

  test.each([
    ['with a SOA', { authorities: [SOA] }, { kind: 'nodata', ttlMs: 50_000 }],
    ['of a server that recurses', { flags: RECURSION_AVAILABLE }, { kind: 'nodata', ttlMs: 0 }],
    ['of an authority', { flags: AUTHORITATIVE }, { kind: 'nodata', ttlMs: 0 }],
    [
      'of an authority, with an alias',
      { flags: AUTHORITATIVE, answers: [alias('a.test', 'b.test')] },
      'refused',
    ],
    ['of nobody in particular', {}, 'refused'],
    ['that is a referral', { authorities: [NS] }, 'refused'],
    [
      'that is a referral of a server that recurses',
      { flags: RECURSION_AVAILABLE, authorities: [NS] },
      'refused',
    ],
  ])('without records, %s', (_, packet, meaning) => {
    expect(read(packet)).toEqual(
      typeof meaning === 'string' ? { kind: 'trouble', reason: meaning } : meaning,
    );
  });

  test.each([
    [1, 'malformed'],
    [2, 'servfail'],
    [4, 'refused'],
    [5, 'refused'],
    [9, 'refused'],
  ])('with code %d is trouble: %s', (flags, reason) => {
    expect(read({ flags, answers: [a('a.test', '192.0.2.1')] })).toEqual({ kind: 'trouble', reason });
  });

  test('with code 3 says that the name does not exist', () => {
    expect(read({ flags: 3, authorities: [SOA] })).toEqual({ kind: 'nxdomain', ttlMs: 50_000 });
    expect(read({ flags: 3 })).toEqual({ kind: 'nxdomain', ttlMs: 0 });
  });

  test('that cannot be read is trouble, whatever it is', () => {
    const whole = answer({ answers: [a('a.test', '192.0.2.1'), alias('b.test', 'c.test')] });
    for (let length = 12; length < whole.length; length++) {
      const meaning = readAnswer(whole.subarray(0, length), QUESTION);
      expect(meaning).toEqual({ kind: 'trouble', reason: 'malformed' });
    }
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 12, maxLength: 200 }), (octets) => {
        readAnswer(Buffer.from(octets), QUESTION);
      }),
    );
  });

  test('keeps the root of a null MX and lowers other names', () => {
    const question = { name: 'a.test', type: 'MX' } as const;
    const mx = (exchange: string): Answer => ({ type: 'MX', name: 'a.test', ttl: 9, data: { exchange } });
    const message = answer({ answers: [mx('.'), mx('MX.Test.')] }, question);
    expect(readAnswer(message, question)).toEqual({
      kind: 'found',
      records: [
        { preference: 0, exchanger: '.' },
        { preference: 0, exchanger: 'mx.test' },
      ],
      ttlMs: 9000,
    });
  });
});
