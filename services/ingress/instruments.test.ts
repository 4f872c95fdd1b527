import { describe, expect, test } from '@jest/globals';
import type { Metrics } from '#libs/telemetry/metrics.ts';
import { Instruments } from './instruments.ts';

describe('Instruments', () => {
  test('count refusals by code, and hand each count on once', () => {
    const added: [string, number, unknown][] = [];
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
      certificateSeconds: undefined,
    };
    const instruments = new Instruments(metrics, readings);
    for (const reply of ['250 Ok', '354 Go', '452 4.3.1 Full', '550 5.7.1 No', '452 4.3.1 Full']) {
      instruments.replied(`${reply}\r\n`);
    }
    instruments.accepted = 7;
    instruments.sweep();
    instruments.sweep();
    expect(added).toEqual([
      ['postrider_ingress_mails_accepted_total', 7, undefined],
      ['postrider_ingress_refusals_total', 2, { class: '4xx', code: '452' }],
      ['postrider_ingress_refusals_total', 1, { class: '5xx', code: '550' }],
    ]);
  });
});
