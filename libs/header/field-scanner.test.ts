import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { FieldScanner } from './field-scanner.ts';

function scan(...pieces: string[]) {
  const scanner = new FieldScanner();
  for (const piece of pieces) scanner.push(Buffer.from(piece, 'latin1'));
  const { receivedFields, hasDate, hasMessageId, hasFrom, finished } = scanner;
  return { receivedFields, hasDate, hasMessageId, hasFrom, finished };
}

const nothing = { receivedFields: 0, hasDate: false, hasMessageId: false, hasFrom: false, finished: false };
const mail =
  'Received: from a\r\n\tby b; date\r\nRECEIVED : from c\r\nreceived-spf: pass\r\nDate: x\r\nDatebook: y\r\n' +
  'message-id:<a@b>\r\nFROM\t: me\r\nMeaning: m\r\nResent-From: you\r\n Received: folded\r\n\r\nReceived: body\r\n';

describe('FieldScanner', () => {
  test('counts fields by name in the header section only', () => {
    expect(scan(mail)).toEqual({
      receivedFields: 2,
      hasDate: true,
      hasMessageId: true,
      hasFrom: true,
      finished: true,
    });
  });

  test.each([
    ['', nothing],
    ['\r\nReceived: body\r\n', { ...nothing, finished: true }],
    ['Subject: no end', nothing],
    ['Received', nothing],
    ['Received: no line end yet', nothing],
    ['Receiv\r\ned: x\r\n', nothing],
    ['X-Received: x\r\n', nothing],
    ['d\r\nm\r\nr\r\nf\r\nD: x\r\n', nothing],
  ])('finds in %j no more than there is', (text, facts) => {
    expect(scan(text)).toEqual(facts);
  });

  test('finds the same however the mail is cut', () => {
    const whole = scan(mail);
    fc.assert(
      fc.property(fc.array(fc.nat(mail.length), { maxLength: 20 }), (cuts) => {
        const places = [0, ...cuts.sort((a, b) => a - b), mail.length];
        const pieces = places.slice(1).map((end, i) => mail.slice(places[i], end));
        expect(scan(...pieces)).toEqual(whole);
      }),
    );
    expect(scan(...mail)).toEqual(whole);
  });

  test('starts anew after reset', () => {
    const scanner = new FieldScanner();
    scanner.push(Buffer.from('Received: x\r\nDate: y\r\nFrom: z\r\nMessage-ID: i\r\nSub'));
    scanner.reset();
    scanner.push(Buffer.from('Received: x\r\n\r\n'));
    expect(scanner).toMatchObject({
      ...nothing,
      receivedFields: 1,
      finished: true,
    });
  });
});
