import { describe, expect, test } from '@jest/globals';
import type { Got } from '#libs/nats/direct-get.ts';
import { Envelope } from '#proto/postrider/v1/mail.ts';
import { MailData, type MailDataRead } from './mail-data.ts';
import { PackCache } from './pack-cache.actor.ts';

const RECORDS = new Map([
  [1, 'first '],
  [2, 'second'],
]);

/** The data of a mail in chunks: their sequences and lengths. */
function mailOf(...chunks: [number, number][]) {
  const bySequence = async (_: string, sequence: number): Promise<Got> => {
    const text = RECORDS.get(sequence);
    if (text === undefined) return { kind: 'missing' };
    return {
      kind: 'found',
      record: { sequence, subject: '', data: Buffer.from(text), header: () => undefined },
    };
  };
  const stored = chunks.map(([sequence, length]) => ({ stream: 'S', sequence, length }));
  const envelope = { ...Envelope.decode(new Uint8Array(0)), chunks: stored };
  const cache = new PackCache({ bySequence }, 100);
  return new MailData(cache, { envelope, prepended: Buffer.from('P'), data: Buffer.from('D') });
}

const next = (data: MailData) => new Promise<MailDataRead>((onRead) => data.read(onRead));

async function textOf(data: MailData): Promise<string> {
  let text = '';
  for await (const pieces of data.pieces()) text += Buffer.concat(pieces).toString();
  return text;
}

describe('the data of a mail', () => {
  test('is all in the frame, or the frame and its chunks', async () => {
    expect(mailOf().isWhole).toBe(true);
    expect(await textOf(mailOf())).toBe('PD');
    expect(mailOf([1, 6]).isWhole).toBe(false);
    expect(await textOf(mailOf([1, 6], [2, 6]))).toBe('PDfirst second');
  });

  test('has an end that stays', async () => {
    const data = mailOf();
    await next(data);
    expect(await next(data)).toEqual({ kind: 'end' });
    expect(await next(data)).toEqual({ kind: 'end' });
  });

  test('is missing when a chunk is, or is not as long as it should be', async () => {
    for (const chunks of [[[3, 1]], [[1, 5]], [[1, 7]]] satisfies [number, number][][]) {
      const data = mailOf(...chunks);
      await next(data);
      expect(await next(data)).toEqual({ kind: 'missing' });
    }
    await expect(textOf(mailOf([1, 6], [3, 6]))).rejects.toThrow('mail data is missing');
  });
});
