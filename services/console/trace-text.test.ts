import { describe, expect, test } from '@jest/globals';
import type { TraceSpan } from './trace-spans.ts';
import { tookText, tracesText } from './trace-text.ts';

const ACCEPTED_AT_MS = Date.parse('2026-11-25T08:00:00.000Z');
const MAIL = { queueId: '040mwvuyh1pdq92g0001', acceptedAtMs: ACCEPTED_AT_MS };

interface Given extends Partial<Omit<TraceSpan, 'startMs' | 'endMs'>> {
  name: string;
  /** Milliseconds after acceptance. */
  at: number;
  took: number;
}

function span({ at, took, ...rest }: Given): TraceSpan {
  const startMs = ACCEPTED_AT_MS + at;
  const known = { service: 'postrider-queue', traceId: 'a1', spanId: rest.name, parentSpanId: '', kind: 1 };
  const said = { attributes: {}, events: [], links: [], failed: false };
  return { ...known, ...said, ...rest, startMs, endMs: startMs + took };
}

const ACCEPTED = span({
  name: 'smtp accept',
  service: 'postrider-ingress',
  at: -20,
  took: 30,
  attributes: {
    'network.type': 'ipv6',
    'tls.protocol.version': '',
    'mail.source_domain': '',
    'mail.recipients': 2,
    'mail.size': 2048,
    'mail.commit_ms': 9,
    'smtp.status_code': 250,
  },
});
const DEFERRED = span({
  name: 'deliver attempt',
  service: 'postrider-delivery',
  parentSpanId: 'smtp accept',
  at: 12,
  took: 1500,
  failed: true,
  attributes: {
    'mail.attempt': 1,
    'mail.site': 'mx:b.test',
    'mail.wait_ms': 3,
    'smtp.status_code': 450,
    'smtp.enhanced_code': '4.7.1',
    'server.address': 'mx1.b.test',
    'tls.protocol.version': 'TLSv1.3',
    'mail.outcome': 'deferred',
  },
});
const OUTCOME = span({
  name: 'queue outcome',
  parentSpanId: 'deliver attempt',
  at: 1513,
  took: 0.42,
  events: ['deferred'],
  attributes: { 'mail.outcome': 'deferred', 'mail.next_attempt_at': '2026-11-25T08:05:01.513Z' },
});
const RETRY = span({
  name: 'deliver attempt',
  service: 'postrider-delivery',
  traceId: 'b2',
  at: 301_600,
  took: 20,
  links: [{ traceId: 'a1', spanId: 'smtp accept' }],
  attributes: { 'mail.attempt': 2, 'mail.outcome': 'relayed', 'smtp.status_code': 0 },
});

describe('The traces of a mail', () => {
  test('are trees, with times from its beginning, what was replied and what is linked', () => {
    expect(tracesText(MAIL, [ACCEPTED, DEFERRED, OUTCOME, RETRY])).toBe(
      [
        'Mail 040mwvuyh1pdq92g0001, accepted 2026-11-25 08:00:00.000 UTC: 2 traces; relayed after 5 min.',
        '',
        'trace a1, 2026-11-25 07:59:59.980 UTC',
        '  AT       TOOK    SERVICE   SPAN               WHAT',
        '  +0 ms    30 ms   ingress   smtp accept        client over ipv6, no TLS, 2 recipients, 2.0 KiB, ' +
          'stored in 9 ms, 250 to the client',
        '  +32 ms   1.50 s  delivery  └ deliver attempt  attempt 1, to mx:b.test, TLSv1.3, waited 3 ms, ' +
          '450 4.7.1 from mx1.b.test, deferred',
        '  +1.53 s  0.4 ms  queue       └ queue outcome  deferred, next attempt at 2026-11-25 08:05:01 UTC',
        '',
        'trace b2, 2026-11-25 08:05:01.600 UTC, linked to trace a1',
        '  AT      TOOK   SERVICE   SPAN             WHAT',
        '  +5 min  20 ms  delivery  deliver attempt  attempt 2, no TLS, relayed',
        '',
      ].join('\n'),
    );
  });

  test('show siblings below each other, and a span whose parent is not there at the left', () => {
    const children = ['queue mail', 'resolve'].map((name, i) =>
      span({ name, parentSpanId: 'smtp accept', at: i, took: 1 }),
    );
    const lost = span({ name: 'queue outcome', parentSpanId: 'gone', at: 9, took: 1 });
    const text = tracesText(MAIL, [ACCEPTED, ...children, lost]);
    const names = text
      .split('\n')
      .slice(4, -1)
      .map((line) => line.trim().split(/ {2,}/)[3]);
    expect(text).toContain('; no attempt is known.');
    expect(names).toEqual(['smtp accept', '├ queue mail', '└ resolve', 'queue outcome']);
  });

  test('have no host and no TLS where a mail went into a Maildir', () => {
    const attributes = { ...DEFERRED.attributes, 'mail.site': 'maildir:/mail', 'mail.outcome': 'delivered' };
    const text = tracesText(MAIL, [{ ...DEFERRED, attributes }]);
    expect(text).toContain('  attempt 1, to maildir:/mail, waited 3 ms, delivered\n');
  });

  test('say of a span of somebody else what it says, without what a terminal would act on', () => {
    const other = span({
      name: 'check\u001b[2J',
      at: 0,
      took: 1,
      attributes: { 'spam.score': 5, verdict: 'a\nb' },
    });
    expect(tracesText(MAIL, [other])).toContain('check?[2J  spam.score=5 verdict=a?b\n');
  });

  test('name a linked trace that is not there', () => {
    expect(tracesText(MAIL, [RETRY])).toContain('linked to trace a1 (not kept)\n');
  });
});

describe('A time', () => {
  test.each([
    [-3, '0 ms'],
    [0.04, '0 ms'],
    [0.42, '0.4 ms'],
    [12.4, '12 ms'],
    [1234, '1.23 s'],
    [7_500_000, '2 h 5 min'],
  ])('of %d ms is %s', (ms, text) => {
    expect(tookText(ms)).toBe(text);
  });
});
