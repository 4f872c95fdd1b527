import { describe, expect, test } from '@jest/globals';
import type { Metrics } from '#libs/telemetry/metrics.ts';
import { Instruments } from './instruments.ts';

type Added = [name: string, n: number, labels: unknown];

/** Instruments, and what they have handed on. */
function instrumentsWith(): { instruments: Instruments; added: Added[] } {
  const added: Added[] = [];
  const metrics: Pick<Metrics, 'counter' | 'gauge' | 'histogram'> = {
    counter: (name) => ({ add: (n, labels) => added.push([name, n, labels]) }),
    gauge: () => {},
    histogram: () => ({ record: () => {} }),
  };
  const zero = () => 0;
  const readings = {
    sessions: zero,
    memoryOctets: zero,
    waitingMails: zero,
    waitingSeconds: zero,
    packsInFlight: zero,
    chunksInFlight: zero,
    certificateSeconds: undefined,
  };
  return { instruments: new Instruments(metrics, readings), added };
}

describe('Instruments', () => {
  test('count refusals by code and subject, and hand each count on once', () => {
    const { instruments, added } = instrumentsWith();
    for (const reply of [
      '250 Ok',
      '354 Go',
      '452 4.3.1 Full',
      '550 5.7.1 No',
      '452 4.3.1 Full',
      '452 4.5.3 Many',
    ]) {
      instruments.replied(`${reply}\r\n`);
    }
    instruments.accepted = 7;
    instruments.sweep();
    instruments.sweep();
    expect(added).toEqual([
      ['postrider_ingress_mails_accepted_total', 7, undefined],
      ['postrider_ingress_refusals_total', 2, { class: '4xx', code: '452', subject: '3' }],
      ['postrider_ingress_refusals_total', 1, { class: '4xx', code: '452', subject: '5' }],
      ['postrider_ingress_refusals_total', 1, { class: '5xx', code: '550', subject: '7' }],
    ]);
  });

  test('count clients by role, mx clients by their address, and all by their TLS once they are gone', () => {
    const { instruments, added } = instrumentsWith();
    instruments.spoke({ role: 'mx', clientAddress: '10.42.0.1' });
    instruments.spoke({ role: 'mx', clientAddress: '8.8.8.8' });
    instruments.spoke({ role: 'relay', clientAddress: '10.42.0.2' });
    for (const version of ['', 'TLSv1.3', 'TLSv1.3', 'TLSv9']) instruments.left(version);
    instruments.headerRefused('invalid');
    instruments.sweep();
    instruments.sweep();
    expect(added).toEqual([
      ['postrider_ingress_sessions_accepted_total', 2, { role: 'mx' }],
      ['postrider_ingress_sessions_accepted_total', 1, { role: 'relay' }],
      ['postrider_ingress_sessions_ended_total', 1, { tls: 'none' }],
      ['postrider_ingress_sessions_ended_total', 2, { tls: 'TLSv1.3' }],
      ['postrider_ingress_sessions_ended_total', 1, { tls: 'other' }],
      ['postrider_ingress_mx_clients_total', 1, { address: 'private' }],
      ['postrider_ingress_mx_clients_total', 1, { address: 'public' }],
      ['postrider_ingress_proxy_headers_refused_total', 1, { reason: 'invalid' }],
    ]);
  });
});
