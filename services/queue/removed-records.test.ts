import { describe, expect, test } from '@jest/globals';
import type { Answer } from '#libs/nats/link.ts';
import type { StoredRecord } from '#libs/nats/reading.ts';
import { forgetRemovedPacks, forgetRemovedStates } from './removed-records.ts';
import type { Loaded } from './takeover.ts';

const NOW_MS = Date.parse('2026-11-27T12:00:00Z');
const PACKS = { stream: 'SPOOL_0', subject: 'spool.3' };
const NOT_FOUND = { error: { code: 404, err_code: 10037 } };

/** A leader that has these packs, and reaches so far; of some it does not answer. */
function leader(has: readonly number[], lastSequence: number, silentOn: readonly (number | 'info')[] = []) {
  const asked: (number | string)[] = [];
  const answerTo = (subject: string, { seq, next_by_subj: next }: { seq: number; next_by_subj?: string }) => {
    if (subject.includes('INFO')) {
      const subjects = Object.fromEntries(has.map((one) => [`queue.3.m.${one}`, 1]));
      return {
        state: { last_seq: lastSequence, subjects },
        total: has.length,
        ts: '2026-11-27T12:00:00.123456789Z',
      };
    }
    asked.push(next ?? seq);
    const found = has.find((one) => (next === undefined ? one === seq : one >= seq));
    return found === undefined ? NOT_FOUND : { message: { seq: found, subject: 's' } };
  };
  const request = async (subject: string, payload: Uint8Array): Promise<Answer> => {
    const question = payload.length === 0 ? {} : JSON.parse(Buffer.from(payload).toString());
    const key = subject.includes('INFO') ? 'info' : question.seq;
    if (silentOn.includes(key)) return { kind: 'timeout' };
    return { kind: 'answer', data: Buffer.from(JSON.stringify(answerTo(subject, question))) };
  };
  return { asked, link: { request } };
}

/** Packs with an age in seconds, as they were read. */
function read(ages: Record<number, number>, settled: Loaded['settled'] = new Map()) {
  const packs = Object.entries(ages).map(([sequence, seconds]) => {
    return { sequence: Number(sequence), storedAtMs: NOW_MS - seconds * 1000, index: undefined };
  });
  return { packs, settled };
}

const sequences = ({ packs }: Pick<Loaded, 'packs'>) => packs.map(({ sequence }) => sequence);

describe('Of packs that were read from a lagging copy', () => {
  test('those below all that are left are forgotten, and those that the leader does not know yet are not', async () => {
    const loaded = read({ 1: 900, 2: 900, 5: 1, 9: 1 });
    await forgetRemovedPacks(leader([5], 7).link, PACKS, loaded);
    expect(sequences(loaded)).toEqual([5, 9]);
  });

  test('all are forgotten when none is left', async () => {
    const loaded = read({ 1: 900, 2: 1 });
    await forgetRemovedPacks(leader([], 7).link, PACKS, loaded);
    expect(sequences(loaded)).toEqual([]);
  });

  test('old ones without a line are asked for one by one', async () => {
    const settled: Loaded['settled'] = new Map();
    settled.set(3, 'all').set(4, new Set([0]));
    const loaded = read({ 2: 900, 3: 900, 4: 900, 5: 900, 6: 1 }, settled);
    const { asked, link } = leader([2, 5], 7);
    await forgetRemovedPacks(link, PACKS, loaded);
    expect(asked).toEqual(['spool.3', 2, 4, 5]);
    expect(sequences(loaded)).toEqual([2, 3, 5, 6]);
  });

  test('nothing is decided when the leader does not answer', async () => {
    for (const silentOn of ['info', 1, 2] as const) {
      const loaded = read({ 2: 900 });
      const { link } = leader([2], 7, [silentOn]);
      await expect(forgetRemovedPacks(link, PACKS, loaded)).rejects.toThrow('does not say');
      expect(sequences(loaded)).toEqual([2]);
    }
  });

  test('nobody is asked when there are none', async () => {
    const { asked, link } = leader([], 7, ['info']);
    await forgetRemovedPacks(link, PACKS, read({}));
    expect(asked).toEqual([]);
  });
});

describe('Of states that were read from a lagging copy', () => {
  const states = () => {
    const at = (sequence: number) => [`queue.3.m.${sequence}`, { sequence } as StoredRecord] as const;
    return new Map([at(2), at(5), at(9)]);
  };

  test('those are forgotten that the leader has seen removed', async () => {
    const newest = states();
    await forgetRemovedStates(leader([5], 7).link, 3, newest);
    expect([...newest.keys()]).toEqual(['queue.3.m.5', 'queue.3.m.9']);
  });

  test('nothing is decided when it does not answer, and it is not asked about none', async () => {
    const { link } = leader([5], 7, ['info']);
    await expect(forgetRemovedStates(link, 3, states())).rejects.toThrow('does not say');
    await forgetRemovedStates(link, 3, new Map());
  });
});
