import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type DataLimits, DataReader } from './data-reader.ts';

const roomy: DataLimits = { octetsMax: 1_000_000, lineOctetsMax: 1000 };

function read(chunks: string[], limits: DataLimits = roomy) {
  const reader = new DataReader(limits);
  let rest: Buffer | undefined;
  const later: string[] = [];
  for (const chunk of chunks) {
    if (rest === undefined) rest = reader.push(Buffer.from(chunk, 'latin1'));
    else later.push(chunk);
  }
  const { end, octets, hasDotLines } = reader;
  const pieces = reader.takePieces();
  const data = Buffer.concat(pieces).toString('latin1');
  const tail = rest === undefined ? undefined : rest.toString('latin1') + later.join('');
  return end === 'complete' ? { end, data, octets, hasDotLines, tail } : { end, data, tail };
}

const complete = (data: string, hasDotLines = false, tail = '') => ({
  end: 'complete' as const,
  data,
  octets: data.length,
  hasDotLines,
  tail,
});

describe('DataReader', () => {
  test.each<[string, ReturnType<typeof complete>]>([
    ['.\r\n', complete('')],
    ['\r\n.\r\n', complete('\r\n')],
    ['a\r\n.\r\n', complete('a\r\n')],
    ['a\r\n\r\nb\r\n.\r\nQUIT\r\n', complete('a\r\n\r\nb\r\n', false, 'QUIT\r\n')],
    ['..\r\n.\r\n', complete('.\r\n', true)],
    ['..a\r\nb..\r\n.\r\n', complete('.a\r\nb..\r\n', true)],
    ['a\r\n...\r\n.\r\n', complete('a\r\n..\r\n', true)],
    ['.a\r\n.\r\n', complete('a\r\n')],
    ['a.\r\n.\r\n', complete('a.\r\n')],
    ['\0\x80\xff\t\r\n.\r\n', complete('\0\x80\xff\t\r\n')],
    ['a\r\n.\r\n.\r\n', complete('a\r\n', false, '.\r\n')],
  ])('reads %j', (text, expected) => {
    expect(read([text])).toEqual(expected);
    expect(read([...text])).toEqual(expected);
  });

  test('waits for more until the end is there', () => {
    for (const text of ['', '.', '.\r', 'a', 'a\r', 'a\r\n', 'a\r\n.', 'a\r\n.\r', 'a\r\n..\r\n']) {
      expect(read([text]).tail).toBeUndefined();
    }
  });

  // Ends that some servers take for CR LF . CR LF: here each condemns the mail and none ends it.
  test.each([
    '\n.\n',
    '\n.\r\n',
    '\r\n.\n',
    '\r.\r',
    '\r.\r\n',
    '\r\n.\r',
    '\n.\r',
    '\r.\n',
    '\r\n.\r\r\n',
    '\r\r\n.\r\n\n',
    '\n\n.\r\n',
    '\r\n\n.\r\n',
    '\r\n.\0\r\n\n',
    '\n..\r\n',
    '.\n',
    '.\r',
    '\r',
    '\n',
  ])('is not smuggled past by %j', (trick) => {
    const smuggled = 'MAIL FROM:<evil@x>\r\nRCPT TO:<you@y>\r\nDATA\r\nSubject: hi\r\n';
    for (const start of ['a', '']) {
      const text = `${start}${trick}${smuggled}.\r\nQUIT\r\n`;
      const expected = { end: 'bare-line-end', data: '', tail: 'QUIT\r\n' };
      const found = read([text]);
      // Where CR LF . CR LF itself is inside the trick the mail ends there, as it does for everyone, and is refused.
      if (trick.includes('\r\n.\r\n')) expect(found).toMatchObject({ end: 'bare-line-end', data: '' });
      else expect(found).toEqual(expected);
      expect(read([...text])).toEqual(found);
    }
  });

  test('refuses mail over the limit, keeps none of it, and still finds its end', () => {
    const limits = { octetsMax: 10, lineOctetsMax: 1000 };
    expect(read(['12345678\r\n.\r\n'], limits)).toEqual(complete('12345678\r\n'));
    expect(read(['..345678\r\n.\r\n'], limits)).toMatchObject({ end: 'complete', octets: 9 });
    expect(read(['123456789\r\n.\r\nQUIT'], limits)).toEqual({ end: 'too-big', data: '', tail: 'QUIT' });
    expect(read(['12345678\r\n', 'x\r\n', 'y\r\n', '.\r\n'], limits)).toEqual({
      end: 'too-big',
      data: '',
      tail: '',
    });
  });

  test('refuses lines over the limit, not counting the dot of transparency', () => {
    const limits = { octetsMax: 1000, lineOctetsMax: 10 };
    expect(read(['12345678\r\n.12345678\r\n.\r\n'], limits)).toMatchObject({ end: 'complete', octets: 20 });
    expect(read(['123456789\r\n.\r\n'], limits)).toEqual({ end: 'line-too-long', data: '', tail: '' });
    expect(read(['1234', '56789', '\r', '\n.\r\n'], limits)).toEqual({
      end: 'line-too-long',
      data: '',
      tail: '',
    });
    expect(read(['..23456789\r\n.\r\n'], limits)).toMatchObject({ end: 'line-too-long' });
  });

  test('gives the same whatever the chunks', () => {
    const part = fc.constantFrom(
      '\r\n',
      '\r',
      '\n',
      '.',
      '..',
      '\r\n.',
      '\r\n..',
      '\r\n.\r\n',
      'a',
      'text',
      '\xff',
    );
    const mostlyGood = fc.constantFrom('\r\n', '\r\n.', '\r\n..', 'a', 'text.', '....');
    const limits = { octetsMax: 40, lineOctetsMax: 12 };
    for (const parts of [fc.array(part, { maxLength: 25 }), fc.array(mostlyGood, { maxLength: 25 })]) {
      fc.assert(
        fc.property(parts, fc.array(fc.nat(100), { maxLength: 12 }), (texts, cuts) => {
          const text = `${texts.join('')}\r\n.\r\nrest`;
          const places = [
            0,
            ...cuts.map((cut) => Math.min(cut, text.length)).sort((a, b) => a - b),
            text.length,
          ];
          const chunks = places.slice(1).map((end, i) => text.slice(places[i], end));
          for (const one of [limits, roomy]) {
            const whole = read([text], one);
            expect(whole.tail).toBeDefined();
            expect(read(chunks, one)).toEqual(whole);
            expect(read([...text], one)).toEqual(whole);
          }
        }),
        { numRuns: 2000 },
      );
    }
  });

  test('agrees with the plain words of the standard', () => {
    const line = fc.stringMatching(/^[a.]{0,6}$/);
    fc.assert(
      fc.property(fc.array(line, { maxLength: 10 }), (lines) => {
        const sent = lines.map((one) => `${one.startsWith('.') ? '.' : ''}${one}\r\n`).join('');
        const dots = lines.some((one) => one.startsWith('.'));
        expect(read([`${sent}.\r\n`])).toEqual(complete(lines.map((one) => `${one}\r\n`).join(''), dots));
      }),
    );
  });

  test('passes a large mail on piece by piece', () => {
    const reader = new DataReader({ octetsMax: 1e9, lineOctetsMax: 1000 });
    const chunk = Buffer.from(`${'x'.repeat(98)}\r\n`.repeat(600));
    let octets = 0;
    for (let i = 0; i < 100; i++) {
      expect(reader.push(chunk)).toBeUndefined();
      const pieces = reader.takePieces();
      expect(pieces).toEqual([chunk]);
      octets += pieces[0]!.length;
    }
    expect(reader.push(Buffer.from('.\r\n'))).toHaveLength(0);
    expect(reader.octets).toBe(octets);
    expect(reader.takePieces()).toEqual([]);
  });

  test('copies nothing of ordinary mail', () => {
    const reader = new DataReader(roomy);
    const chunk = Buffer.from('Subject: x\r\n\r\n..dots\r\nend\r\n.\r\n');
    reader.push(chunk);
    for (const piece of reader.takePieces()) expect(piece.buffer).toBe(chunk.buffer);
  });

  test('keeps few pieces though every line has a dot or every octet is a chunk', () => {
    const reader = new DataReader(roomy);
    reader.push(Buffer.from('..\r\n'.repeat(10_000)));
    expect(reader.takePieces().length).toBeLessThan(10_000 / 60 + 64);
    for (let i = 0; i < 10_000; i++)
      reader.push(Buffer.from(i % 10 === 9 ? '\n' : i % 10 === 8 ? '\r' : 'x'));
    expect(Buffer.concat(reader.takePieces()).toString()).toBe('xxxxxxxx\r\n'.repeat(1000));
    expect(reader.push(Buffer.from('.\r\n'))).toHaveLength(0);
    expect(reader.end).toBe('complete');
  });

  test('takes time in proportion to hostile input', () => {
    const start = performance.now();
    for (const unit of ['\r', '\n', '\r\n', '\n\r', '.\n', '\r\n..', 'a\n']) {
      const reader = new DataReader({ octetsMax: 1e9, lineOctetsMax: 1000 });
      for (let i = 0; i < 4; i++) reader.push(Buffer.from(unit.repeat(65536 / unit.length)));
    }
    expect(performance.now() - start).toBeLessThan(1000);
  });

  test('starts anew after reset', () => {
    const reader = new DataReader({ octetsMax: 10, lineOctetsMax: 10 });
    reader.push(Buffer.from('..too long a line\n'));
    reader.reset();
    expect(reader.push(Buffer.from('a\r\n.\r\n'))).toHaveLength(0);
    expect(reader).toMatchObject({ end: 'complete', octets: 3, hasDotLines: false });
    expect(Buffer.concat(reader.takePieces()).toString()).toBe('a\r\n');
  });
});
