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
  const asked: { sequence: number; answer: (got: Got) => void }[] = [];
  const bySequence = (_: string, sequence: number) =>
    new Promise<Got>((answer) => {
      asked.push({ sequence, answer });
    });
  const cache = new PackCache({ bySequence }, octetsMax);
  const read = (sequence: number) =>
    new Promise<RecordRead>((onRead) => {
      cache.record({ stream: 'S', sequence }, onRead);
    });
  return { cache, asked, read };
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
    asked[0]!.answer({ kind: 'unavailable' });
    await jest.advanceTimersByTimeAsync(999);
    expect(told).toEqual([]);
    await jest.advanceTimersByTimeAsync(1);
    expect(told).toEqual([{ kind: 'unavailable' }]);
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
