import { describe, expect, test } from '@jest/globals';
import type { IncomingRecord, Link, RecordAnswer } from './link.ts';
import { meaningOf } from './publish-errors.ts';
import { commitTrouble, RecordWriter, troubleText } from './records.ts';

/** A writer whose JetStream answers these texts in order, and nothing any more afterwards. */
function writerWith(...answers: (string | Error)[]) {
  const asked: string[] = [];
  const link = {
    payloadMax: 1000,
    askRecord: async ({ subject }: { subject: string }): Promise<RecordAnswer> => {
      asked.push(subject);
      const text = answers.shift();
      if (text === undefined) return { kind: 'timeout' };
      const record = { status: 0, data: Buffer.from(String(text)) } as unknown as IncomingRecord;
      return { kind: 'answer', record };
    },
    publishRecord: () => {},
  } as unknown as Link;
  const draft = { subject: 'store.0', payload: Buffer.from('x'), id: '' };
  const writer = new RecordWriter(link);
  return {
    asked,
    store: () => writer.store({ ...draft, giveUpAfterMs: 300 }),
    storeTwo: () => writer.storeAtomically([draft, draft], { giveUpAfterMs: 300 }),
  };
}

const error = (number: number, description: string, code = 400) =>
  JSON.stringify({ error: { code, err_code: number, description } });

describe('A record', () => {
  test.each([
    ['a sealed stream', error(10109, 'invalid operation on sealed stream'), 10109],
    ['a number that nobody knows', error(19999, 'the moon is full'), 19999],
    ['a stream without batches', error(10174, 'atomic publish is disabled'), 10174],
    ['a disk that fails', error(10077, 'input/output error', 503), 10077],
  ])('is refused at once by %s, with the number and the words', async (_, text, code) => {
    for (const how of ['store', 'storeTwo'] as const) {
      const bench = writerWith(text);
      const stored = await bench[how]();
      expect(stored).toMatchObject({ kind: 'refused', code });
      expect(bench.asked).toHaveLength(1);
      if (stored.kind === 'stored') throw new Error('stored');
      expect(troubleText(stored)).toContain(JSON.parse(text).error.description);
      expect(troubleText(stored)).toContain(String(code));
    }
  });

  test.each(['', 'no JSON', '7', 'null', '{}', '{"stream":"S"}'])(
    'whose acknowledgement is %j is refused, and nothing is thrown',
    async (text) => {
      const bench = writerWith(text);
      expect(await bench.store()).toEqual({
        kind: 'refused',
        code: 0,
        words: 'the answer is no acknowledgement',
      });
      expect(bench.asked).toHaveLength(1);
    },
  );

  test.each([
    error(10008, 'JetStream system temporarily unavailable', 503),
    error(10158, 'duplicate message id is in process', 409),
    error(10164, 'wrong last sequence'),
    error(10167, 'too many requests', 429),
    error(19998, 'something new that passes', 503),
  ])('is sent again after %s', async (text) => {
    const { store, asked } = writerWith(text, '{"stream":"S","seq":7}');
    expect(await store()).toEqual({ kind: 'stored', sequence: 7, duplicate: false, again: true });
    expect(asked).toHaveLength(2);
  });

  test('is given up as unavailable when nobody answers in time', async () => {
    expect(await writerWith().store()).toEqual({ kind: 'unavailable' });
  });
});

describe('An error of a publish means', () => {
  test.each([
    [10047, 'insufficient storage resources available', 'full'],
    [10023, 'insufficient resources', 'full'],
    [10077, 'maximum bytes exceeded', 'full'],
    [10077, 'no space left on device', 'full'],
    [10077, 'message too large', 'too-big'],
    [10054, 'message size exceeds maximum allowed', 'too-big'],
    [10071, 'wrong last sequence: 4', 'conflict'],
  ])('by %d "%s": %s', (number, description, meaning) => {
    expect(meaningOf({ code: 400, err_code: number, description })).toBe(meaning);
  });

  test('nothing good without a number', () => {
    expect(meaningOf({ code: 500 })).toBe('refused');
    expect(meaningOf({ code: 503 })).toBe('again');
  });
});

describe('Who waits for a record hears', () => {
  test.each([
    ['full', 'full'],
    ['too-big', 'too-big'],
    ['conflict', 'unavailable'],
    ['refused', 'unavailable'],
    ['unavailable', 'unavailable'],
  ] as const)('of %s: %s', (kind, trouble) => {
    expect(commitTrouble(kind)).toBe(trouble);
  });
});
