import { describe, expect, test } from '@jest/globals';
import type { Got } from '#libs/nats/direct-get.ts';
import { encodeFrame } from '#libs/pack/pack.ts';
import type { Envelope } from '#proto/postrider/v1/mail.ts';
import { readFrames } from './frames.ts';

const ENVELOPE = { queueId: 'q', reversePath: '', forwardPaths: ['a@b'], acceptedAtMs: 1, chunks: [] };
const MORE = { bodyType: 0, clientAddress: '', clientName: '', protocol: '', hasDotLines: false };
const FRAME = Buffer.concat(
  encodeFrame({
    envelope: { ...ENVELOPE, ...MORE, trace: undefined, prependedLength: 0, dataLength: 0 } as Envelope,
    prepended: Buffer.alloc(0),
    data: [Buffer.from('hello')],
  }),
);
const refTo = (sequence: number) => ({ stream: 'SPOOL_0', sequence, offset: 0, length: FRAME.length });
const found = (sequence: number): Got => ({
  kind: 'found',
  record: { sequence, subject: '', data: FRAME, header: () => undefined },
});

describe('The frames of a round', () => {
  test('are read a few at a time, each record once, and come in order', async () => {
    let [open, most] = [0, 0];
    const reads: number[] = [];
    const bySequence = async (_: string, sequence: number): Promise<Got> => {
      reads.push(sequence);
      most = Math.max(most, ++open);
      await new Promise((done) => setImmediate(done));
      open -= 1;
      return sequence === 3 ? { kind: 'missing' } : found(sequence);
    };
    const refs = Array.from({ length: 100 }, (_, i) => refTo(i % 50));
    const frames = await readFrames({ bySequence }, refs, 5000);
    expect(frames.map(({ kind }) => kind)).toEqual(
      refs.map(({ sequence }) => (sequence === 3 ? 'missing' : 'found')),
    );
    expect([reads.length, most]).toEqual([50, 16]);
  });

  test('have one deadline together: a stream that does not answer costs it once', async () => {
    const waits: number[] = [];
    const bySequence = (_: string, sequence: number, withinMs = Infinity): Promise<Got> => {
      if (sequence > 90) return Promise.resolve(found(sequence));
      waits.push(withinMs);
      return new Promise((done) => setTimeout(() => done({ kind: 'unavailable' }), withinMs));
    };
    const startedAtMs = performance.now();
    const frames = await readFrames({ bySequence }, [...Array(100).keys()].map(refTo), 200);
    expect(performance.now() - startedAtMs).toBeLessThan(2000);
    expect(Math.max(...waits)).toBeLessThanOrEqual(200);
    expect(new Set(frames.map(({ kind }) => kind))).toEqual(new Set(['unavailable']));
  });

  test('are missing when the record is not what it should be', async () => {
    const bySequence = async (_: string, sequence: number) => found(sequence);
    expect(await readFrames({ bySequence }, [{ ...refTo(1), length: 3 }], 100)).toEqual([
      { kind: 'missing' },
    ]);
  });
});
