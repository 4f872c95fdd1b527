import { afterEach, describe, expect, jest, test } from '@jest/globals';
import type { Got } from '#libs/nats/direct-get.ts';
import { encodeFrame } from '#libs/pack/pack.ts';
import { Envelope } from '#proto/postrider/v1/mail.ts';
import { type FrameRead, PackCache, type RecordRead } from './pack-cache.actor.ts';

const found = (data: Uint8Array): Got => ({
  kind: 'found',
  record: { sequence: 1, subject: 'spool.0', data, header: () => undefined },
});

/** A cache over records that are answered when the test says so. */
function cacheOf(octetsMax: number) {
  const asked: { stream: string; sequence: number; answer: (got: Got) => void }[] = [];
  const bySequence = (stream: string, sequence: number) =>
    new Promise<Got>((answer) => {
      asked.push({ stream, sequence, answer });
    });
  const cache = new PackCache({ bySequence }, octetsMax);
  const read = (sequence: number, stream = 'S') =>
    new Promise<RecordRead>((onRead) => {
      cache.record({ stream, sequence }, onRead);
    });
  return { cache, asked, read };
}

/** Both tries of the newest read are not answered. */
async function giveNoAnswer(asked: ReturnType<typeof cacheOf>['asked']): Promise<void> {
  for (let tries = 0; tries < 2; tries++) {
    asked.at(-1)!.answer({ kind: 'unavailable' });
    for (let turns = 0; turns < 5; turns++) await Promise.resolve();
  }
}

afterEach(() => {
  jest.useRealTimers();
});

describe('the pack cache', () => {
  test('fetches a record once for all who ask, and then has it', async () => {
    const { cache, asked, read } = cacheOf(100);
    const reads = [read(1), read(1), read(1)];
    asked[0]!.answer(found(Buffer.from('abc')));
    for (const one of await Promise.all(reads)) expect(one).toMatchObject({ kind: 'found' });
    let atOnce: RecordRead | undefined;
    cache.record({ stream: 'S', sequence: 1 }, (got) => {
      atOnce = got;
    });
    expect(atOnce?.kind).toBe('found');
    expect([asked.length, cache.fetches, cache.octets]).toEqual([1, 1, 3]);
  });

  test('keeps what was used last, up to its limit', async () => {
    const { cache, asked, read } = cacheOf(6);
    for (const sequence of [1, 2, 1, 3]) {
      const got = read(sequence);
      asked.find((one) => one.sequence === sequence)!.answer(found(Buffer.from('abc')));
      await got;
    }
    expect(cache.octets).toBe(6);
    await read(1);
    expect(asked).toHaveLength(3);
    void read(2);
    expect(asked).toHaveLength(4);
  });

  test('gives out what is larger than its limit, and does not keep it', async () => {
    const { cache, asked, read } = cacheOf(2);
    const got = read(1);
    asked[0]!.answer(found(Buffer.from('abc')));
    expect(await got).toMatchObject({ kind: 'found' });
    expect(cache.octets).toBe(0);
  });

  test('asks again for what was missing', async () => {
    const { asked, read } = cacheOf(100);
    const got = read(1);
    asked[0]!.answer({ kind: 'missing' });
    expect(await got).toEqual({ kind: 'missing' });
    void read(1);
    expect(asked).toHaveLength(2);
  });

  test('says a second late that JetStream does not answer', async () => {
    jest.useFakeTimers();
    const { asked, read } = cacheOf(100);
    const told: RecordRead[] = [];
    void read(1).then((got) => told.push(got));
    await giveNoAnswer(asked);
    await jest.advanceTimersByTimeAsync(999);
    expect([told, asked.length]).toEqual([[], 2]);
    await jest.advanceTimersByTimeAsync(1);
    expect(told).toEqual([{ kind: 'unavailable' }]);
  });

  test('takes the answer that comes at the second try', async () => {
    const { asked, read } = cacheOf(100);
    const got = read(1);
    asked[0]!.answer({ kind: 'unavailable' });
    await new Promise((done) => setImmediate(done));
    asked[1]!.answer(found(Buffer.from('abc')));
    expect(await got).toMatchObject({ kind: 'found' });
  });
});

describe('a stream that gives no answer while another one does', () => {
  const REST_MS = 1000;

  async function silentS(octetsMax = 100) {
    jest.useFakeTimers();
    const made = cacheOf(octetsMax);
    const { asked, read } = made;
    const other = read(1, 'OTHER');
    asked[0]!.answer(found(Buffer.from('abc')));
    await other;
    const first = read(1);
    await giveNoAnswer(asked);
    expect(await first).toEqual({ kind: 'unavailable' });
    const asking = asked.length;
    const frame = async (sequence: number, stream = 'S') => {
      const told: FrameRead[] = [];
      made.cache.frame({ stream, sequence, offset: 0, length: 1 }, (got) => told.push(got));
      await jest.advanceTimersByTimeAsync(0);
      return [told[0]?.kind ?? 'asks', asked.length - asking];
    };
    return { ...made, frame };
  }

  test('is not asked for a second, and nobody waits for it', async () => {
    const { frame } = await silentS();
    expect([await frame(2), await frame(3)]).toEqual([
      ['unavailable', 0],
      ['unavailable', 0],
    ]);
  });

  test('is tried by one at a time then, and asked by all as soon as it answers', async () => {
    const { frame, asked } = await silentS();
    await jest.advanceTimersByTimeAsync(REST_MS);
    expect([await frame(2), await frame(3)]).toEqual([
      ['asks', 1],
      ['unavailable', 1],
    ]);
    await giveNoAnswer(asked);
    expect(await frame(4)).toEqual(['unavailable', 2]);
    await jest.advanceTimersByTimeAsync(REST_MS);
    expect(await frame(4)).toEqual(['asks', 3]);
    asked.at(-1)!.answer(found(Buffer.from('abc')));
    await jest.advanceTimersByTimeAsync(0);
    expect([await frame(5), await frame(6)]).toEqual([
      ['asks', 4],
      ['asks', 5],
    ]);
  });

  test('is asked by all when the other one has not answered for long, either', async () => {
    const { frame, asked } = await silentS();
    await jest.advanceTimersByTimeAsync(4500);
    await frame(2);
    await jest.advanceTimersByTimeAsync(500);
    const before = asked.length;
    expect([(await frame(3))[0], (await frame(4))[0], asked.length - before]).toEqual(['asks', 'asks', 2]);
  });

  test('keeps mails back that have chunks there, unless those are at hand', async () => {
    const { cache, asked, read } = await silentS(1000);
    const chunk = { stream: 'S', sequence: 9, length: 3 };
    const chunked = {
      ...Envelope.decode(new Uint8Array(0)),
      queueId: 'q',
      forwardPaths: ['a@b'],
      chunks: [chunk],
    };
    const frame = Buffer.concat(encodeFrame({ envelope: chunked, prepended: Buffer.alloc(0), data: [] }));
    const told: string[] = [];
    const ref = { stream: 'OTHER', sequence: 2, offset: 0, length: frame.length };
    cache.frame(ref, (got) => told.push(got.kind));
    asked.at(-1)!.answer(found(frame));
    await jest.advanceTimersByTimeAsync(REST_MS);
    const kept = read(9);
    asked.at(-1)!.answer(found(Buffer.from('abc')));
    await kept;
    const other = read(8);
    await giveNoAnswer(asked);
    await other;
    cache.frame(ref, (got) => told.push(got.kind));
    expect(told).toEqual(['unavailable', 'found']);
  });
});

describe('a frame', () => {
  const parts = { prepended: Buffer.from('P: 1\r\n'), data: [Buffer.from('data\r\n')] };
  const envelope = () => ({ ...Envelope.decode(new Uint8Array(0)), queueId: 'q', forwardPaths: ['a@b'] });
  const frame = Buffer.concat(encodeFrame({ envelope: envelope(), ...parts }));

  async function frameAt(ref: { offset: number; length: number }): Promise<FrameRead> {
    const { cache, asked } = cacheOf(1000);
    const got = new Promise<FrameRead>((onRead) => {
      cache.frame({ stream: 'S', sequence: 1, ...ref }, onRead);
    });
    asked[0]!.answer(found(Buffer.concat([Buffer.from('xxx'), frame])));
    return got;
  }

  test('is a view of its record', async () => {
    const got = await frameAt({ offset: 3, length: frame.length });
    if (got.kind !== 'found') throw new Error(got.kind);
    expect(got.frame.envelope.queueId).toBe('q');
    expect(Buffer.from(got.frame.prepended).toString()).toBe('P: 1\r\n');
    expect(Buffer.from(got.frame.data).toString()).toBe('data\r\n');
  });

  test.each([
    [0, frame.length],
    [3, frame.length - 1],
    [3, frame.length + 1],
    [900, 10],
  ])('that is none (offset %i, length %i) is missing', async (offset, length) => {
    expect(await frameAt({ offset, length })).toEqual({ kind: 'missing' });
  });

  test('of a record that is missing is missing', async () => {
    const { cache, asked } = cacheOf(1000);
    const got = new Promise<FrameRead>((onRead) => {
      cache.frame({ stream: 'S', sequence: 1, offset: 0, length: 1 }, onRead);
    });
    asked[0]!.answer({ kind: 'missing' });
    expect(await got).toEqual({ kind: 'missing' });
  });
});
