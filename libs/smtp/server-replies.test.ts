import { describe, expect, test } from '@jest/globals';
import { ehloText, greetingText, replyText, serverReplyNames } from './server-replies.ts';

describe('every reply of the server', () => {
  test.each(serverReplyNames)('%s is one line whose enhanced class is that of its code', (name) => {
    const text = replyText(name);
    const [, code, enhanced] = /^(\d{3}) (?:(\d\.\d{1,3}\.\d{1,3}) )?[\x20-\x7e]+\r\n$/.exec(text)!;
    expect(text.length).toBeLessThanOrEqual(512);
    if (name === 'ready' || name === 'sendData') expect(enhanced).toBeUndefined();
    else expect(enhanced![0]).toBe(code![0]);
  });

  test('can carry more at its end', () => {
    expect(replyText('queued', 'abc')).toBe('250 2.0.0 Ok: queued as abc\r\n');
  });

  test('greets and lists extensions', () => {
    expect(greetingText('mx.example.com')).toBe('220 mx.example.com ESMTP Postrider\r\n');
    expect(ehloText('mx', [])).toBe('250 mx\r\n');
    expect(ehloText('mx', ['SIZE 1', 'X'])).toBe('250-mx\r\n250-SIZE 1\r\n250 X\r\n');
  });
});
