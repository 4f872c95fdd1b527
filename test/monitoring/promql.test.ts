import { describe, expect, test } from '@jest/globals';
import { groupingOf, selectorsOf } from './promql.ts';

describe('Of an expression', () => {
  test.each([
    ['up == 0', [{ metric: 'up', labels: [] }]],
    [
      'sum by (le, job) (rate(a_bucket{code=~"4..", x!="}"}[5m])) > 7 * 86400',
      [{ metric: 'a_bucket', labels: ['code', 'x'] }],
    ],
    [
      'max_over_time(a:b:sum[10m] offset 1h) and on (job) b or vector(0)',
      [
        { metric: 'a:b:sum', labels: [] },
        { metric: 'b', labels: [] },
      ],
    ],
    [
      'label_replace(count by (n) (a{s="p"}) unless c, "service", "q", "", "")',
      [
        { metric: 'a', labels: ['s'] },
        { metric: 'c', labels: [] },
      ],
    ],
    [
      'histogram_quantile(0.99, a) * on (i) group_left (name) target_info',
      [
        { metric: 'a', labels: [] },
        { metric: 'target_info', labels: [] },
      ],
    ],
  ])('%s the metrics are found', (expr, selectors) => {
    expect(selectorsOf(expr)).toEqual(selectors);
  });

  test('the labels are found that it groups by', () => {
    expect(groupingOf('sum by (a, b) (x) / on (a) group_left () y')).toEqual(['a', 'b']);
  });
});
