import { describe, expect, test } from '@jest/globals';
import { difference, smokeMail, stuffed } from './smoke-mail.ts';

const { data, forwardPath, reversePath } = smokeMail('d.invalid', 'token', 0);
const TRACE = 'Received: from a by b;\r\n\tThu, 1 Jan 1970 00:00:00 +0000\r\n';

function arrived(before: string, mail: Buffer = data): Buffer {
  return Buffer.concat([Buffer.from(before, 'latin1'), mail]);
}

function changed(at: number): Buffer {
  const copy = Buffer.from(data);
  copy[at] = copy[at]! ^ 1;
  return copy;
}

describe('the mail of smoke', () => {
  test('goes to an address of its own, and has only whole lines that SMTP allows', () => {
    expect([reversePath, forwardPath]).toEqual(['smoke@d.invalid', 'smoke-token@d.invalid']);
    const lines = data.toString('latin1').split('\r\n');
    expect(lines.pop()).toBe('');
    expect(Math.max(...lines.map((line) => line.length))).toBe(998);
    expect(lines.join('')).not.toMatch(/[\r\n\0]/);
    expect(lines).toContain('Date: Thu, 01 Jan 1970 00:00:00 +0000');
  });

  test('travels with its dots doubled', () => {
    const text = stuffed(data).toString('latin1');
    expect(text).toContain('\r\n..\r\n...\r\n..a dot first\r\n');
    expect(text.endsWith('\r\n\r\n\r\n.\r\n')).toBe(true);
    expect(stuffed(Buffer.from('.\r\n')).toString()).toBe('..\r\n.\r\n');
  });
});

describe('what arrives', () => {
  test('is the mail when only fields stand before it', () => {
    expect(difference(data, arrived(TRACE))).toBeUndefined();
    expect(difference(data, arrived(`Return-Path: <>\r\n${TRACE}`))).toBeUndefined();
  });

  test.each([
    ['nothing before it', arrived(''), 'without a Received field'],
    ['no trace field', arrived('X-Other: 1\r\n'), 'without a Received field'],
    ['text before it', arrived(`${TRACE}what?\r\n`), 'not a header section'],
    ['half a line before it', arrived(`${TRACE}x`), 'not a header section'],
    ['an octet that changed', arrived(TRACE, changed(500)), 'different from octet 500: sent "'],
    ['a mail that was cut', arrived(TRACE, data.subarray(0, 700)), 'different from octet 700: sent "'],
    ['a mail that goes on', arrived(TRACE, arrived('', Buffer.concat([data, data]))), ''],
    ['octets behind it', arrived(TRACE, Buffer.concat([data, Buffer.from('!\r\n')])), '3 more arrived'],
    ['another mail', Buffer.from('Subject: other\r\n\r\n'), 'another mail arrived'],
    ['nothing', Buffer.alloc(0), 'another mail arrived'],
  ])('is refused: %s', (_, mail, reason) => {
    expect(difference(data, mail)).toContain(reason);
  });
});
