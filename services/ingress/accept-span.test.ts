import { describe, expect, test } from '@jest/globals';
import type { Transaction } from '#libs/smtp/server-session.ts';
import type { LiveSpan, SpanAttributes } from '#libs/telemetry/tracing.ts';
import { AcceptSpan } from './accept-span.ts';

const transaction: Transaction = {
  reversePath: 'Someone@A.Example',
  bodyType: '7BIT',
  declaredSize: 0,
  forwardPaths: ['one@b.example', 'two@c.example'],
};
const from = { clientAddress: '192.0.2.1', listenerRole: 'mx', tlsVersion: 'TLSv1.3' } as const;

/** A span, and what was said to it. */
function spanWith(sent: Transaction = transaction, came: typeof from | { tlsVersion: '' } = from) {
  const said = { attributes: {} as SpanAttributes, failed: '', ends: 0 };
  const live: LiveSpan = {
    context: { traceId: Buffer.alloc(16), spanId: Buffer.alloc(8), flags: 1 },
    set: (attributes) => Object.assign(said.attributes, attributes),
    fail: (reason) => {
      said.failed = reason;
    },
    event: () => {},
    end: () => {
      said.ends++;
    },
  };
  return { span: new AcceptSpan(live, { ...from, ...came }, sent), said };
}

const begun = {
  'network.type': 'ipv4',
  'tls.protocol.version': 'TLSv1.3',
  'mail.listener_role': 'mx',
  'mail.source_domain': 'a.example',
  'mail.recipients': 2,
};

describe('The span of an acceptance', () => {
  test('tells how a mail came and that it was stored, with no address', () => {
    const { span, said } = spanWith();
    span.dataEnded(1000);
    span.stored({ queueId: 'q', octets: 77, atMs: 1012 });
    expect(said).toEqual({
      attributes: {
        ...begun,
        'mail.queue_id': 'q',
        'mail.size': 77,
        'smtp.status_code': 250,
        'mail.commit_ms': 12,
      },
      failed: '',
      ends: 1,
    });
    expect(JSON.stringify(said)).not.toMatch(/someone|one@|192\.0/i);
  });

  test('tells the null reverse-path and a connection without TLS by empty values', () => {
    const { said } = spanWith({ ...transaction, reversePath: '' }, { tlsVersion: '' });
    expect(said.attributes).toMatchObject({ 'mail.source_domain': '', 'tls.protocol.version': '' });
  });

  test.each([
    ['full', 452],
    ['unavailable', 451],
    ['too-big', 552],
  ] as const)('tells a commit that failed: %s', (trouble, code) => {
    const { span, said } = spanWith();
    span.dataEnded(1000);
    span.refused(trouble, 31_000);
    expect(said).toEqual({
      attributes: { ...begun, 'smtp.status_code': code, 'mail.commit_ms': 30_000 },
      failed: trouble,
      ends: 1,
    });
  });

  test.each([
    [550, 'the data was refused'],
    [0, 'the client is gone'],
  ])('tells data that came to nothing: %i', (code, reason) => {
    const { span, said } = spanWith();
    span.abandoned(code);
    expect(said).toEqual({ attributes: { ...begun, 'smtp.status_code': code }, failed: reason, ends: 1 });
  });
});
