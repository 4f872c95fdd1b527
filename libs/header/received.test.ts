import { describe, expect, test } from '@jest/globals';
import { type Arrival, DateLine, receivedField } from './received.ts';

const arrival: Arrival = {
  clientName: 'client.example.net',
  clientAddress: '192.0.2.7',
  hostname: 'mx.example.com',
  protocol: 'ESMTPS',
  queueId: '0amb3kq1x2abcde0001z',
  dateText: 'Mon, 24 Nov 2025 16:30:00 +0000',
};

describe('receivedField', () => {
  test('tells who, from where, by whom, how, which and when', () => {
    expect(receivedField(arrival)).toBe(
      'Received: from client.example.net ([192.0.2.7])\r\n' +
        '\tby mx.example.com with ESMTPS id 0amb3kq1x2abcde0001z;\r\n' +
        '\tMon, 24 Nov 2025 16:30:00 +0000\r\n',
    );
  });

  test.each([
    ['2001:db8::1', '([IPv6:2001:db8::1])'],
    ['::ffff:192.0.2.7', '([192.0.2.7])'],
    ['fe80::1%eth0', '([IPv6:fe80::1])'],
    ['::ffff:0:1', '([IPv6:::ffff:0:1])'],
    ['', 'client.example.net\r\n'],
  ])('shows the client address %s as %s', (clientAddress, shown) => {
    expect(receivedField({ ...arrival, clientAddress })).toContain(shown);
  });

  test('folds so that no line is longer than 78 characters, long names aside', () => {
    const clientAddress = '2001:db8:1111:2222:3333:4444:5555:6666';
    for (const length of [1, 13, 14, 40, 60]) {
      const name = 'n'.repeat(length);
      const field = receivedField({ ...arrival, clientName: name, hostname: name, clientAddress });
      for (const line of field.split('\r\n')) expect(line.length).toBeLessThanOrEqual(78);
      expect(field.replaceAll('\r\n\t', ' ')).not.toMatch(/[\r\n]./);
    }
  });
});

describe('DateLine', () => {
  test('gives the date in UTC and changes with the second', () => {
    const line = new DateLine();
    const start = Date.UTC(2025, 10, 4, 1, 2, 3);
    expect(line.text(start)).toBe('Tue, 04 Nov 2025 01:02:03 +0000');
    expect(line.text(start + 999)).toBe('Tue, 04 Nov 2025 01:02:03 +0000');
    expect(line.text(start + 1000)).toBe('Tue, 04 Nov 2025 01:02:04 +0000');
  });
});
