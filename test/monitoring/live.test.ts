// What is shipped, with a real Prometheus that scrapes a real cluster under mail of every kind: every metric and label that
// alerts and dashboard name is there, panels show something, and what breaks is seen. One run, in this order.
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { waitUntil } from '#kit/wait-until.ts';
import { groupingOf, selectorsOf } from './promql.ts';
import { alerts, dashboards, queriesOf, recordings } from './shipped.ts';
import { WatchedCluster } from './watched-cluster.ts';

/** Set by what tells Prometheus of its targets in Kubernetes; absent here. */
const CLUSTER_LABELS = ['namespace', 'app_kubernetes_io_instance', 'pod'];
/** Set by Prometheus itself. */
const OF_PROMETHEUS = ['up', 'ALERTS'];
const SEEN_WITHIN_MS = 30_000;
const ROUND_MS = 500;

let watched: WatchedCluster;

/** Names of alerts that are pending or firing. */
async function raised(): Promise<string[]> {
  const all = await watched.prometheus.alerts();
  return all.filter(({ state }) => state !== 'inactive').map(({ name }) => name);
}

const isThere = async (expr: string): Promise<boolean> => (await watched.prometheus.query(expr)).length > 0;
const untilThere = (expr: string): Promise<void> => waitUntil(() => isThere(expr), SEEN_WITHIN_MS, expr);

/** A round of mail, some time for Prometheus to look, and whether it sees `expr`. */
async function sendAndSee(expr: string): Promise<boolean> {
  await watched.sendOfEveryKind();
  await pause(ROUND_MS);
  return isThere(expr);
}

beforeAll(async () => {
  watched = await WatchedCluster.start();
  await untilThere('count(up == 1) == 6');
  await watched.misbehave();
  const flows = 'count(count by (outcome) (rate(postrider_queue_outcomes_total[1m]) > 0)) >= 4';
  await waitUntil(() => sendAndSee(flows), SEEN_WITHIN_MS, flows);
}, 120_000);

afterAll(() => watched?.stop(), 60_000);

describe('A cluster that is well', () => {
  test('raises no alert but those for what was done to it', async () => {
    await untilThere('postrider:ingress_trouble:rate5m');
    expect(await watched.prometheus.ruleTroubles()).toEqual([]);
    const expected = [
      'PostriderIngressRefuses',
      'PostriderDnsFails',
      'PostriderDeferredRatioHigh',
      'PostriderFailedRatioHigh',
    ];
    expect((await raised()).filter((name) => !expected.includes(name))).toEqual([]);
  });
});

describe('Without delivery workers', () => {
  test('the alert is raised, and those for who does not answer', async () => {
    for (const index of [0, 1]) await watched.cluster.kill('delivery', index);
    await watched.sendOne();
    await untilThere('ALERTS{alertname="PostriderNoDeliveryWorker"}');
    await untilThere('ALERTS{alertname="PostriderTargetDown", job="postrider-delivery"}');
    await untilThere('ALERTS{alertname="PostriderServiceMissing", service="delivery"}');
  }, 60_000);

  test('it is over when they are back, and the jobs that nobody accepted were sent again', async () => {
    for (const index of [0, 1]) await watched.cluster.restart('delivery', index);
    await waitUntil(async () => !(await raised()).includes('PostriderNoDeliveryWorker'), SEEN_WITHIN_MS);
    await watched.sendOfEveryKind();
    await untilThere('postrider_delivery_attempts_total');
    await untilThere('postrider_queue_jobs_resent_total');
  }, 60_000);
});

describe('Every metric', () => {
  const expressions = (): string[] => [
    ...alerts().map(({ expr }) => expr),
    ...recordings().map(({ expr }) => expr),
    ...dashboards().flatMap((dashboard) => queriesOf(dashboard).map(({ expr }) => expr)),
  ];
  /** Labels of a metric's samples, of all of them together. */
  const labelsOf = async (metric: string): Promise<string[]> => {
    const samples = await watched.prometheus.query(metric);
    return [...new Set(samples.flatMap((sample) => Object.keys(sample.metric)))];
  };

  test('that an alert, a recording or a panel names is exported, with the labels that are asked of it', async () => {
    const missing = new Set<string>();
    for (const { metric, labels } of expressions().flatMap(selectorsOf)) {
      if (OF_PROMETHEUS.includes(metric)) continue;
      const found = await labelsOf(metric);
      if (found.length === 0) missing.add(metric);
      for (const label of labels) {
        if (!found.includes(label) && !CLUSTER_LABELS.includes(label)) missing.add(`${metric}{${label}}`);
      }
    }
    expect([...missing]).toEqual([]);
  });

  test('of ours is in an alert, a recording or a panel: what nobody looks at helps nobody', async () => {
    const samples = await watched.prometheus.query('count by (__name__) ({__name__=~"postrider_.+"})');
    const exported = samples.map(({ metric }) => metric.__name__!.replace(/_(bucket|sum|count)$/, ''));
    const looked = expressions()
      .flatMap(selectorsOf)
      .map(({ metric }) => metric.replace(/_(bucket|sum|count)$/, ''));
    const forgotten = [...new Set(exported)].filter((name) => !looked.includes(name));
    expect(exported.length).toBeGreaterThan(50);
    expect(forgotten).toEqual([]);
  });

  test('has the labels that it is grouped or joined by', async () => {
    const missing = new Set<string>();
    for (const expr of expressions()) {
      const found = (await Promise.all(selectorsOf(expr).map(({ metric }) => labelsOf(metric)))).flat();
      for (const label of groupingOf(expr)) {
        if (!found.includes(label) && !CLUSTER_LABELS.includes(label)) missing.add(`${label} in ${expr}`);
      }
    }
    expect([...missing]).toEqual([]);
  });
});

describe('Every line of every panel', () => {
  const queries = dashboards().flatMap((dashboard) => queriesOf(dashboard));
  test.each(queries.map(({ panel, expr }) => [panel, expr] as const))('%s: %s', async (_panel, expr) => {
    const samples = await watched.prometheus.query(expr);
    expect(samples.length).toBeGreaterThan(0);
    for (const { value } of samples) expect(value).not.toBeNaN();
  });
});

describe('Without NATS', () => {
  test('the alert is raised for every process', async () => {
    await watched.cluster.nats.kill('SIGKILL');
    await untilThere('count(ALERTS{alertname="PostriderNatsDisconnected"}) == 6');
    const all = await watched.prometheus.alerts();
    const { labels } = all.find(({ name }) => name === 'PostriderNatsDisconnected')!;
    expect(labels.map(({ severity }) => severity)).toEqual(Array(6).fill('critical'));
  }, 60_000);
});
