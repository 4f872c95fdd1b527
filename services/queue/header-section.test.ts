import { describe, expect, test } from '@jest/globals';
import type { Frame } from '#libs/pack/pack.ts';
import { fieldEnd, headerSectionOf } from './header-section.ts';

describe('the header section', () => {
  test.each([
    ['A: b\r\nC: d\r\n\r\nbody', 100, 'A: b\r\nC: d\r\n'],
    ['\r\nbody', 100, ''],
    ['', 100, ''],
    ['A: b\r\nC: d', 100, 'A: b\r\n'],
    ['A: b', 100, ''],
    ['A: b\r\nC: d\r\n\r\nbody', 9, 'A: b\r\n'],
  ])('of %j, at most %d octets, is %j', (mailData, limit, section) => {
    const octets = Buffer.from(`xx${mailData}`).subarray(2);
    expect(octets.subarray(0, fieldEnd(octets, limit)).toString()).toBe(section);
  });

  const frame = (data: string, chunks: Frame['envelope']['chunks'] = []) =>
    ({
      envelope: { chunks },
      prepended: Buffer.from('Received: x\r\n'),
      data: Buffer.from(data),
    }) as unknown as Frame;
  const nobody = { bySequence: async () => ({ kind: 'missing' }) as const };

  test('stands behind our trace fields', async () => {
    const section = await headerSectionOf(frame('A: b\r\n\r\nbody'), nobody, 1000);
    expect(Buffer.from(section).toString()).toBe('Received: x\r\nA: b\r\n');
  });

  test('of a large mail is in its first chunk, or left out when that is gone', async () => {
    const chunks = [{ stream: 'STORE_0', sequence: 3, length: 10 }];
    const asked: unknown[] = [];
    const direct = {
      bySequence: async (stream: string, sequence: number) => {
        asked.push([stream, sequence]);
        const record = { sequence, subject: '', data: Buffer.from('L: m\r\n\r\nb'), header: () => undefined };
        return { kind: 'found', record } as const;
      },
    };
    expect(Buffer.from(await headerSectionOf(frame('', chunks), direct, 1000)).toString()).toBe(
      'Received: x\r\nL: m\r\n',
    );
    expect(asked).toEqual([['STORE_0', 3]]);
    expect(Buffer.from(await headerSectionOf(frame('', chunks), nobody, 1000)).toString()).toBe(
      'Received: x\r\n',
    );
  });
});
