import { describe, expect, test } from '@jest/globals';
import { ReplyParser, type ServerReply } from './reply-parser.ts';

/** All replies of `text`, given in one piece; the message of what is malformed. */
function parse(text: string, parser = new ReplyParser()): ServerReply[] | string {
  const replies = [...parser.push(Buffer.from(text, 'latin1'))];
  return parser.malformed ?? replies;
}

describe('a reply', () => {
  test.each([
    ['250 ok\r\n', { code: 250, enhanced: '', text: 'ok' }],
    ['250 2.0.0 Ok: queued\r\n', { code: 250, enhanced: '2.0.0', text: 'Ok: queued' }],
    ['550 5.1.1\r\n', { code: 550, enhanced: '5.1.1', text: '' }],
    ['250\r\n', { code: 250, enhanced: '', text: '' }],
    ['250 \r\n', { code: 250, enhanced: '', text: '' }],
    [' 550 no\r\n', { code: 550, enhanced: '', text: 'no' }],
    ['550 no\n', { code: 550, enhanced: '', text: 'no' }],
    ['550-5.1.1 no\r\n550 5.1.1 such user\r\n', { code: 550, enhanced: '5.1.1', text: 'no such user' }],
    ['550-5.1.1 no\r\n550 other words\r\n', { code: 550, enhanced: '5.1.1', text: 'no other words' }],
    ['250 5.1.1.1 not one\r\n', { code: 250, enhanced: '', text: '5.1.1.1 not one' }],
    ['250 2.1234.5 not one\r\n', { code: 250, enhanced: '', text: '2.1234.5 not one' }],
    ['550 caf\xe9 \x07 \u007f\r\n', { code: 550, enhanced: '', text: 'caf? ? ?' }],
  ])('%j is understood', (text, reply) => {
    expect(parse(text)).toEqual([expect.objectContaining(reply)]);
  });

  test('keeps its lines for who reads the extensions in them', () => {
    const [reply] = parse('250-mx\r\n250-PIPELINING\r\n250 SIZE 1000\r\n') as ServerReply[];
    expect(reply!.lines).toEqual(['mx', 'PIPELINING', 'SIZE 1000']);
  });

  test('comes out once, wherever it is cut', () => {
    const text = '250-2.1.0 ok\r\n250 2.1.0 go\r\n550 5.1.1 no\r\n354 go\r\n';
    for (let a = 0; a <= text.length; a++) {
      for (let b = a; b <= text.length; b++) {
        const parser = new ReplyParser();
        const pieces = [text.slice(0, a), text.slice(a, b), text.slice(b)];
        const replies = pieces.flatMap((piece) => parse(piece, parser) as ServerReply[]);
        expect(replies.map(({ code }) => code)).toEqual([250, 550, 354]);
        expect(parser.isClean).toBe(true);
      }
    }
  });

  test('is cut to a length that people read', () => {
    const [reply] = parse(`550 ${'x'.repeat(4000)}\r\n`) as ServerReply[];
    expect(reply!.text).toHaveLength(500);
  });
});

describe('what is no reply', () => {
  test.each([
    'hello\r\n',
    '\r\n',
    '25\r\n',
    '2500 ok\r\n',
    '250x\r\n',
    '150 hm\r\n',
    '650 hm\r\n',
    '0x2 50\r\n',
    '2e2 ok\r\n',
    '250-a\r\n251 b\r\n',
    '250-a\r\nb\r\n',
    '\t250 ok\r\n',
    'HTTP/1.1 400 Bad Request\r\n',
    '\x16\x03\x01\x02\r\n',
  ])('%j is said to be malformed', (text) => {
    expect(typeof parse(text)).toBe('string');
  });

  test('has an end: a line without one, a reply without one', () => {
    expect(typeof parse(`250 ${'x'.repeat(4100)}`)).toBe('string');
    expect(typeof parse('250-x\r\n'.repeat(257))).toBe('string');
    expect(typeof parse('250-x\r\n'.repeat(255) + '250 x\r\n')).toBe('object');
  });

  test('does not take back the replies before it, and ends the reading', () => {
    const parser = new ReplyParser();
    expect(parser.push(Buffer.from('250 ok\r\nwhat?\r\n250 ok\r\n')).map(({ code }) => code)).toEqual([250]);
    expect(parser.malformed).toBe('what?');
    expect(parser.push(Buffer.from('250 ok\r\n'))).toEqual([]);
  });

  test('is forgotten when TLS begins', () => {
    const parser = new ReplyParser();
    parse('250-half\r\n250 a re', parser);
    expect(parser.isClean).toBe(false);
    parser.reset();
    expect(parser.isClean).toBe(true);
    expect(parse('220 fresh\r\n', parser)).toEqual([expect.objectContaining({ code: 220, text: 'fresh' })]);
  });
});
