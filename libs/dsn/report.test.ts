import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { buildDsn, type DsnRequest } from './report.ts';

const HEADER = 'Received: from client\r\nFrom: <ann@a.example>\r\nSubject: hello\r\n';

const FAILED: DsnRequest = {
  kind: 'failure',
  hostname: 'mx.a.example',
  queueId: '00abcdefghij00000001',
  dsnQueueId: '00dsn0000000000000001',
  reversePath: 'Ann@a.example',
  arrivedAtMs: Date.UTC(2026, 0, 2, 3, 4, 5),
  nowMs: Date.UTC(2026, 0, 2, 4, 0, 0),
  willRetryUntilMs: Date.UTC(2026, 0, 7, 3, 4, 5),
  recipients: [
    {
      forwardPath: 'bob@b.example',
      status: '5.1.1',
      reason: 'no such user',
      diagnostic: { code: 550, enhanced: '5.1.1', text: 'no such user', host: 'mx.b.example' },
      lastAttemptMs: Date.UTC(2026, 0, 2, 3, 59, 59),
    },
  ],
  originalHeaderSection: Buffer.from(HEADER, 'latin1'),
};

interface Part {
  fields: string;
  text: string;
}

/** Reads a multipart as RFC 2046 says, knowing nothing of how it was built. */
function parse(mailData: Buffer): { header: string; parts: Part[]; closed: boolean } {
  const text = mailData.toString('latin1');
  const split = text.indexOf('\r\n\r\n');
  const header = text.slice(0, split + 2);
  const boundary = /boundary="([^"]+)"/.exec(header)![1]!;
  const pieces = `\r\n${text.slice(split + 4)}`.split(`\r\n--${boundary}`);
  const parts = pieces.slice(1, -1).map((piece) => {
    const body = piece.indexOf('\r\n\r\n');
    return { fields: piece.slice(2, body + 2), text: piece.slice(body + 4) };
  });
  return { header, parts, closed: pieces.at(-1) === '--\r\n' };
}

function unquote(text: string): string {
  return text
    .replace(/=\r\n/g, '')
    .replace(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

describe('a failure report', () => {
  const { header, parts, closed } = parse(buildDsn(FAILED));

  test('goes from the mail system to the reverse-path and asks for no answer', () => {
    expect(header).toBe(
      'From: "Mail Delivery System" <MAILER-DAEMON@mx.a.example>\r\n' +
        'To: <Ann@a.example>\r\n' +
        'Subject: Mail delivery failed\r\n' +
        'Date: Fri, 02 Jan 2026 04:00:00 +0000\r\n' +
        'Message-ID: <00dsn0000000000000001@mx.a.example>\r\n' +
        'Auto-Submitted: auto-replied\r\n' +
        'MIME-Version: 1.0\r\n' +
        'Content-Type: multipart/report; report-type=delivery-status;\r\n' +
        '\tboundary="=_00dsn0000000000000001_0"\r\n' +
        'Content-Transfer-Encoding: 7bit\r\n',
    );
    expect(closed).toBe(true);
  });

  test('says for people what happened', () => {
    expect(parts[0]!.text).toBe(
      'This is the mail system of mx.a.example.\r\n\r\n' +
        'Your message could not be delivered to this recipient, and will not be\r\n' +
        'tried again:\r\n\r\n' +
        '  <bob@b.example>\r\n' +
        '    mx.b.example said: 550 5.1.1 no such user\r\n\r\n' +
        'A report for programs and, where we have it, the header of your message\r\n' +
        'are attached. The message is known here as 00abcdefghij00000001.\r\n',
    );
  });

  test('says for programs what RFC 3464 §2 wants', () => {
    expect(parts[1]!.fields).toContain('Content-Type: message/delivery-status\r\n');
    expect(parts[1]!.text).toBe(
      'Reporting-MTA: dns; mx.a.example\r\n' +
        'X-Postrider-Queue-ID: 00abcdefghij00000001\r\n' +
        'Arrival-Date: Fri, 02 Jan 2026 03:04:05 +0000\r\n\r\n' +
        'Final-Recipient: rfc822; bob@b.example\r\n' +
        'Action: failed\r\n' +
        'Status: 5.1.1\r\n' +
        'Remote-MTA: dns; mx.b.example\r\n' +
        'Diagnostic-Code: smtp; 550 5.1.1 no such user\r\n' +
        'Last-Attempt-Date: Fri, 02 Jan 2026 03:59:59 +0000\r\n',
    );
  });

  test('carries the original header section', () => {
    expect(parts[2]!.fields).toContain('Content-Type: text/rfc822-headers\r\n');
    expect(parts[2]!.fields).toContain('Content-Transfer-Encoding: 7bit\r\n');
    expect(parts[2]!.text).toBe(HEADER);
  });

  test('has two parts when the original header section is not known', () => {
    const bare = parse(buildDsn({ ...FAILED, originalHeaderSection: new Uint8Array(0) }));
    expect(bare.parts).toHaveLength(2);
    expect(bare.closed).toBe(true);
  });
});

describe('a delay report', () => {
  const recipient = { forwardPath: 'bob@b.example', status: '4.4.1', reason: '' };
  const late = (over = {}) =>
    parse(buildDsn({ ...FAILED, kind: 'delay', recipients: [{ ...recipient, ...over }, recipient] }));

  test('says until when it will be tried', () => {
    const { header, parts } = late();
    expect(header).toContain('Subject: Mail delivery is delayed\r\n');
    expect(parts[0]!.text.replace(/\r\n/g, ' ')).toContain('again until Wed, 07 Jan 2026 03:04:05 +0000;');
    expect(parts[0]!.text).toContain('No reply was heard.');
    expect(parts[1]!.text).toContain('Action: delayed\r\nStatus: 4.4.1\r\nWill-Retry-Until: Wed, 07 Jan');
  });

  test('says our own words without a remote host, and the reason when it tells more than the reply', () => {
    const diagnostic = { code: 451, enhanced: '4.4.3', text: 'no route', host: '' };
    const { parts } = late({ reason: 'The resolver is silent.', diagnostic, status: 'strange' });
    expect(parts[1]!.text).toContain('Status: 4.0.0\r\nDiagnostic-Code: x-postrider; 451 4.4.3 no route\r\n');
    expect(parts[1]!.text).not.toContain('Remote-MTA');
    expect(parts[0]!.text).toContain('    The resolver is silent.\r\n    451 4.4.3 no route\r\n');
  });
});

describe('the original header section', () => {
  const third = (section: Buffer) => parse(buildDsn({ ...FAILED, originalHeaderSection: section })).parts[2]!;

  test.each([
    ['8-bit octets', Buffer.from('Subject: gr\u00fc\u00dfe = \t\r\n', 'latin1')],
    ['a line over 998 octets', Buffer.from(`X: ${'y'.repeat(1000)}\r\n`)],
    ['a bare LF', Buffer.from('A: b\nBcc: c\r\n')],
    ['a NUL', Buffer.from('A: b\0\r\n')],
  ])('with %s is carried as quoted-printable', (_, section) => {
    const { fields, text } = third(section);
    expect(fields).toContain('Content-Transfer-Encoding: quoted-printable\r\n');
    expect(Buffer.from(unquote(text), 'latin1')).toEqual(section);
    for (const line of text.split('\r\n')) expect(line.length).toBeLessThanOrEqual(76);
  });

  test('that contains the boundary cannot end its part', () => {
    const evil = Buffer.from('X: a\r\n--=_00dsn0000000000000001_0--\r\nY: --=_00dsn0000000000000001_1\r\n');
    const { parts, closed } = parse(buildDsn({ ...FAILED, originalHeaderSection: evil }));
    expect(parts).toHaveLength(3);
    expect(closed).toBe(true);
    expect(parts[2]!.text).toBe(evil.toString());
  });
});

const nasty = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 60 }),
  fc.constantFrom(
    'a\r\nBcc: x@y',
    'b\nX: 1',
    '\u010d\u010a',
    '\r\n\r\n--',
    'long '.repeat(300),
    'x'.repeat(3000),
  ),
);
const moment = fc.integer({ min: 0, max: Date.UTC(9000, 0) });
const anyRequest: fc.Arbitrary<DsnRequest> = fc.record({
  kind: fc.constantFrom('failure', 'delay'),
  hostname: nasty,
  queueId: nasty,
  dsnQueueId: nasty,
  reversePath: nasty,
  arrivedAtMs: moment,
  nowMs: moment,
  willRetryUntilMs: moment,
  recipients: fc.array(
    fc.record(
      {
        forwardPath: nasty,
        status: nasty,
        reason: nasty,
        diagnostic: fc.record({
          code: fc.integer({ min: 0, max: 999 }),
          enhanced: nasty,
          text: nasty,
          host: nasty,
        }),
        lastAttemptMs: moment,
      },
      { requiredKeys: ['forwardPath', 'status', 'reason'] },
    ),
    { minLength: 1, maxLength: 4 },
  ),
  originalHeaderSection: fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    fc.array(nasty, { maxLength: 5 }).map((lines) => Buffer.from(lines.join('\r\n'), 'latin1')),
  ),
});

describe('any report', () => {
  test('is 7-bit, in legal lines, of three parts at most, with the fields that we gave and no others', () => {
    fc.assert(
      fc.property(anyRequest, (request) => {
        const mailData = buildDsn(request);
        const text = mailData.toString('latin1');
        expect(text).not.toMatch(/[\0\x80-\xff]/);
        expect(text.replace(/\r\n/g, '')).not.toMatch(/[\r\n]/);
        for (const line of text.split('\r\n')) expect(line.length).toBeLessThanOrEqual(998);
        const { header, parts, closed } = parse(mailData);
        expect(closed).toBe(true);
        expect(parts).toHaveLength(request.originalHeaderSection.length === 0 ? 2 : 3);
        const names = header
          .split('\r\n')
          .filter((line) => line !== '' && !line.startsWith('\t'))
          .map((line) => line.slice(0, line.indexOf(':')));
        expect(names.join(' ')).toBe(
          'From To Subject Date Message-ID Auto-Submitted MIME-Version Content-Type Content-Transfer-Encoding',
        );
        const groups = parts[1]!.text.split('\r\n\r\n');
        expect(groups).toHaveLength(1 + request.recipients.length);
        for (const group of groups.slice(1)) expect(group.match(/^Action: /gm)).toHaveLength(1);
      }),
      { numRuns: 500 },
    );
  });

  test('gives back the octets of the header section that it carries', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (octets) => {
        const section = Buffer.concat([Buffer.from('A: '), octets, Buffer.from('\r\n')]);
        const part = parse(buildDsn({ ...FAILED, originalHeaderSection: section })).parts[2]!;
        const decoded = part.fields.includes('quoted-printable') ? unquote(part.text) : part.text;
        expect(Buffer.from(decoded, 'latin1')).toEqual(section);
      }),
      { numRuns: 500 },
    );
  });
});
