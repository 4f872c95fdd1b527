import { describe, expect, test } from '@jest/globals';
import { BodyType, type Envelope } from '#proto/postrider/v1/mail.ts';
import { decodeFrame, decodeIndex, domainRuns, encodeFrame, encodeIndex } from './pack.ts';

function envelope(queueId: string): Envelope {
  return {
    queueId,
    reversePath: 'a@b',
    forwardPaths: ['c@d'],
    acceptedAtMs: 1_700_000_000_000,
    bodyType: BodyType.BODY_TYPE_7BIT,
    trace: undefined,
    clientAddress: '127.0.0.1',
    clientName: 'client',
    protocol: 'ESMTP',
    prependedLength: 0,
    dataLength: 0,
    hasDotLines: false,
    chunks: [],
  };
}

function frameOf(queueId: string, prepended: string, ...data: string[]): Buffer {
  const pieces = data.map((piece) => Buffer.from(piece));
  const mail = { envelope: envelope(queueId), prepended: Buffer.from(prepended), data: pieces };
  return Buffer.concat(encodeFrame(mail));
}

describe('A pack', () => {
  test('gives back each mail by offset and length', () => {
    const first = frameOf('one', 'Received: x\r\n', 'Subject: 1\r\n', '\r\nbody\r\n');
    const second = frameOf('two', '', '');
    // As views of a larger buffer, as they come from a socket.
    const record = Buffer.concat([Buffer.from('xyz'), first, second]).subarray(3);
    const frame = decodeFrame(record, 0, first.length);
    expect(frame.envelope.queueId).toBe('one');
    expect(Buffer.from(frame.prepended).toString()).toBe('Received: x\r\n');
    expect(Buffer.from(frame.data).toString()).toBe('Subject: 1\r\n\r\nbody\r\n');
    const other = decodeFrame(record, first.length, second.length);
    expect(other.envelope.queueId).toBe('two');
    expect(other.data).toHaveLength(0);
  });

  test.each([
    ['beyond the record', 0, 1_000_000],
    ['shorter than a length', 0, 3],
    ['cut short', 0, 40],
  ])('has no frame %s', (_, offset, length) => {
    expect(() => decodeFrame(frameOf('one', '', 'data'), offset, length)).toThrow(RangeError);
  });

  test('does not take a frame of another length', () => {
    const whole = frameOf('one', '', 'data');
    expect(() => decodeFrame(Buffer.concat([whole, Buffer.from('x')]), 0, whole.length + 1)).toThrow(
      RangeError,
    );
  });
});

describe('The index', () => {
  test('counts equal neighbours among the domains', () => {
    expect(domainRuns(['a@X.y', 'b@x.Y', 'c@z', 'd@x.y', 'postmaster'])).toEqual([
      { domain: 'x.y', count: 2 },
      { domain: 'z', count: 1 },
      { domain: 'x.y', count: 1 },
      { domain: '', count: 1 },
    ]);
  });

  test('survives the header', () => {
    const entry = {
      queueId: '00abcdefghijklmnopqr',
      offset: 1,
      length: 2,
      acceptedAtMs: 3,
      domains: [{ domain: 'x', count: 4 }],
      nullReversePath: true,
      size: 5,
      trace: undefined,
    };
    expect(decodeIndex(encodeIndex({ entries: [entry] }))).toEqual({ entries: [entry] });
  });

  const MAIL = {
    queueId: '00abcdefghijklmnopqr',
    offset: 0,
    length: 1,
    acceptedAtMs: 1,
    domains: [{ domain: 'x', count: 1 }],
    nullReversePath: false,
    size: 1,
    trace: undefined,
  };

  test.each(['', '*', '>', 'a b', 'a.b', '00ABCDEFGHIJKLMNOPQR', '00abcdefghijklmnopqr\r\n'])(
    'of a mail that is called %j is none: its name would be a part of subjects',
    (queueId) => {
      expect(() => decodeIndex(encodeIndex({ entries: [MAIL, { ...MAIL, queueId }] }))).toThrow(RangeError);
    },
  );

  test('of more recipients than there can be is none, before any of them is made', () => {
    const run = (count: number) => ({ domain: 'x', count });
    const read = (...mails: number[][]) =>
      decodeIndex(encodeIndex({ entries: mails.map((counts) => ({ ...MAIL, domains: counts.map(run) })) }));
    expect(() => read([4_294_967_295])).toThrow('4294967295 recipients of one mail');
    expect(() => read([60_000, 60_000])).toThrow('120000 recipients of one mail');
    expect(() => read(...Array(11).fill([100_000]))).toThrow('1100000 recipients in one pack');
    expect(read([50_000], [50_000]).entries).toHaveLength(2);
  });
});
