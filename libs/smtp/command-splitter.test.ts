import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { COMMAND_OCTETS_MAX, CommandSplitter } from './command-splitter.ts';

/** Verbs and arguments, as "VERB argument", of everything that comes out. */
function split(chunks: string[]): string[] {
  const splitter = new CommandSplitter();
  const found: string[] = [];
  for (const chunk of chunks) {
    splitter.push(Buffer.from(chunk, 'latin1'));
    for (let command = splitter.next(); command !== undefined; command = splitter.next()) {
      found.push(`${command.verb} ${command.argument}`.trim());
    }
  }
  return found;
}

const longest = `NOOP ${'x'.repeat(COMMAND_OCTETS_MAX - 7)}`;

describe('CommandSplitter', () => {
  test.each<[string, string[]]>([
    ['EHLO a.b\r\nMAIL FROM:<>\r\nQUIT\r\n', ['EHLO a.b', 'MAIL FROM:<>', 'QUIT']],
    ['ehlo A.b  \r\nQuIt\t\r\n', ['EHLO A.b', 'QUIT']],
    ['QUIT\r', []],
    ['QUIT', []],
    ['\r\nNOOP\r\n', ['UNKNOWN', 'NOOP']],
    [' NOOP\r\n', ['UNKNOWN NOOP']],
    ['BDAT 5\r\nconstructor\r\n', ['UNKNOWN 5', 'UNKNOWN']],
    ['\nNOOP\r\nQUIT\r\n', ['MALFORMED', 'QUIT']],
    ['NOOP\nRCPT TO:<a@b>\r\nQUIT\r\n', ['MALFORMED', 'QUIT']],
    ['NOOP\n\nDATA\n.\r\nQUIT\r\n', ['MALFORMED', 'QUIT']],
    ['NOOP\n\r\nQUIT\r\n', ['MALFORMED', 'QUIT']],
    ['NOOP\rDATA\r\nQUIT\r\n', ['MALFORMED', 'QUIT']],
    ['NOOP\r\r\nQUIT\r\n', ['MALFORMED', 'QUIT']],
    ['MAIL FROM:<\xe4@b>\r\nQUIT\r\n', ['MALFORMED', 'QUIT']],
    ['NOOP \0\r\nNOOP \x7f\r\nNOOP \x1b[1m\r\nQUIT\r\n', ['MALFORMED', 'MALFORMED', 'MALFORMED', 'QUIT']],
    // U+010D U+010A in UTF-8: octets over 127, and never CR LF.
    [Buffer.from('NOOP \u010d\u010aDATA\r\nQUIT\r\n').toString('latin1'), ['MALFORMED', 'QUIT']],
    [`${longest}\r\nQUIT\r\n`, [longest, 'QUIT']],
    [`${longest}x\r\nQUIT\r\n`, ['ENDLESS', 'QUIT']],
    [`${longest}x\r\r\nQUIT\r\n`, ['ENDLESS', 'QUIT']],
    [`${'x'.repeat(COMMAND_OCTETS_MAX - 1)}\r\nQUIT\r\n`, ['ENDLESS', 'QUIT']],
    [`${'x'.repeat(10_000)}\nNOOP\r\nQUIT\r\n`, ['ENDLESS', 'QUIT']],
  ])('splits %.60j', (text, commands) => {
    expect(split([text])).toEqual(commands);
    expect(split([...text])).toEqual(commands);
  });

  test('gives the same whatever the chunks', () => {
    const part = fc.constantFrom(
      'NOOP',
      ' ',
      '\r\n',
      '\r\n',
      '\r',
      '\n',
      '\xff',
      'a'.repeat(COMMAND_OCTETS_MAX - 3),
      'QUIT\r\n',
    );
    fc.assert(
      fc.property(
        fc.array(part, { maxLength: 20 }),
        fc.array(fc.nat(5000), { maxLength: 20 }),
        (parts, cuts) => {
          const text = parts.join('');
          const places = [
            0,
            ...cuts.map((cut) => Math.min(cut, text.length)).sort((a, b) => a - b),
            text.length,
          ];
          const chunks = places.slice(1).map((end, i) => text.slice(places[i], end));
          expect(split(chunks)).toEqual(split([text]));
        },
      ),
      { numRuns: 1000 },
    );
  });

  test('hands over what follows DATA', () => {
    const splitter = new CommandSplitter();
    splitter.push(Buffer.from('DATA\r\nSubject: x\r\n'));
    expect(splitter.next()).toMatchObject({ verb: 'DATA' });
    expect(splitter.size).toBe(12);
    expect(splitter.takeRest().toString()).toBe('Subject: x\r\n');
    expect(splitter.size).toBe(0);
    expect(splitter.next()).toBeUndefined();
    expect(splitter.takeRest()).toHaveLength(0);
  });

  test('forgets all before a handshake, half a skipped line too', () => {
    const splitter = new CommandSplitter();
    splitter.push(Buffer.from('STARTTLS\r\nMAIL FROM:<a@b>\r\nNOOP\n'));
    expect(splitter.next()).toMatchObject({ verb: 'STARTTLS' });
    splitter.clear();
    expect(splitter.next()).toBeUndefined();
    splitter.push(Buffer.from('x\n'));
    expect(splitter.next()).toMatchObject({ verb: 'MALFORMED' });
    splitter.clear();
    splitter.push(Buffer.from('EHLO a\r\n'));
    expect(splitter.next()).toMatchObject({ verb: 'EHLO' });
  });

  test('holds little of a line without end', () => {
    const splitter = new CommandSplitter();
    for (let i = 0; i < 100; i++) {
      splitter.push(Buffer.alloc(65536, 120));
      while (splitter.next() !== undefined);
      expect(splitter.size).toBeLessThan(COMMAND_OCTETS_MAX);
    }
  });
});
