import { describe, expect, test } from '@jest/globals';
import { Stuffer } from './stuffing.ts';

function stuffed(...pieces: string[]): string {
  return Buffer.concat(new Stuffer().stuff(pieces.map((piece) => Buffer.from(piece)))).toString();
}

describe('stuffing', () => {
  test.each([
    ['a\r\nb\r\n', 'a\r\nb\r\n'],
    ['.\r\n', '..\r\n'],
    ['..\r\n', '...\r\n'],
    ['a.b\r\n.c\r\n', 'a.b\r\n..c\r\n'],
    ['\r\n.\r\n.\r\n', '\r\n..\r\n..\r\n'],
    ['', ''],
    ['.', '..'],
  ])('%j becomes %j', (data, expected) => {
    expect(stuffed(data)).toBe(expected);
  });

  test('is the same wherever the data is cut', () => {
    const data = '.a\r\n.\r\nb.\r\n..c\r\n\r\n.d.e\r\n';
    const whole = stuffed(data);
    for (let a = 0; a <= data.length; a++) {
      for (let b = a; b <= data.length; b++) {
        expect(stuffed(data.slice(0, a), data.slice(a, b), data.slice(b))).toBe(whole);
      }
    }
  });

  test('remembers over calls whether a line begins', () => {
    const stuffer = new Stuffer();
    const said = [['a\r\n'], ['.b'], ['.c\r\n', '.d\r\n']].map((pieces) =>
      Buffer.concat(stuffer.stuff(pieces.map((piece) => Buffer.from(piece)))).toString(),
    );
    expect(said).toEqual(['a\r\n', '..b', '.c\r\n..d\r\n']);
  });

  test('gives slices of the input, no copies', () => {
    const data = Buffer.from('a\r\n.b\r\n');
    const slices = new Stuffer().stuff([data]);
    expect(slices.map((slice) => slice.toString())).toEqual(['a\r\n', '.', '.b\r\n']);
    expect(slices[0]!.buffer).toBe(data.buffer);
    expect(slices[2]!.buffer).toBe(data.buffer);
  });
});
