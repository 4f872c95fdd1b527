// What scales a service, and what Prometheus and Grafana are given.
import { describe, expect, jest, test } from '@jest/globals';
import { type Manifest, render } from './helm.ts';
import { ofKind } from './matrix.ts';

jest.setTimeout(60_000);

const FILE = 'scaling-values.yaml';
const nameOf = ({ metadata }: Manifest) => metadata.name;

interface Scaler extends Manifest {
  spec: {
    scaleTargetRef: { name: string };
    metrics?: {
      type: string;
      external?: { metric: { name: string; selector?: unknown }; target: unknown };
    }[];
    triggers?: { type: string; metadata: Record<string, string>; authenticationRef?: unknown }[];
    behavior?: Behavior;
    advanced?: { horizontalPodAutoscalerConfig: { behavior: Behavior } };
    minReplicas?: number;
    minReplicaCount?: number;
    [key: string]: unknown;
  };
}

interface Behavior {
  scaleUp: { stabilizationWindowSeconds: number };
  scaleDown: { stabilizationWindowSeconds: number; policies: { value: number; periodSeconds: number }[] };
}

describe('Autoscaling', () => {
  test('leaves the number of pods to who scales them', async () => {
    const deployments = await ofKind<Manifest & { spec: object }>(FILE, 'Deployment');
    expect(deployments.map(({ spec }) => 'replicas' in spec)).toEqual([false, false, false, false]);
    const others = await ofKind<Manifest & { spec: { replicas: number } }>(
      'default-values.yaml',
      'Deployment',
    );
    expect(others.map(({ spec }) => spec.replicas)).toEqual([2, 2, 2, 2]);
  });

  test('is of one kind per service, each for its own Deployment', async () => {
    const hpas = await ofKind<Scaler>(FILE, 'HorizontalPodAutoscaler');
    const scaled = await ofKind<Scaler>(FILE, 'ScaledObject');
    const names = (parts: string[]) => parts.map((part) => `mta-postrider-${part}`);
    expect(hpas.map(nameOf).sort()).toEqual(names(['ingress', 'queue', 'resolver']));
    expect(scaled.map(nameOf)).toEqual(names(['delivery']));
    for (const scaler of [...hpas, ...scaled]) expect(scaler.spec.scaleTargetRef.name).toBe(nameOf(scaler));
  });

  test('follows sessions, owned mail, and mail that is due and not throttled', async () => {
    const hpas = await ofKind<Scaler>(FILE, 'HorizontalPodAutoscaler');
    const external = (part: string) =>
      hpas
        .find((hpa) => nameOf(hpa).endsWith(part))!
        .spec.metrics!.filter(({ type }) => type === 'External')
        .map(({ external: metric }) => metric);
    const average = (averageValue: string) => ({ type: 'AverageValue', averageValue });
    expect(external('ingress')).toEqual([
      { metric: { name: 'postrider_ingress_sessions' }, target: average('500') },
    ]);
    expect(external('queue')).toEqual([
      {
        metric: { name: 'postrider_queue_mails', selector: { matchLabels: { release: 'mail' } } },
        target: average('50000'),
      },
    ]);
    expect(external('resolver')).toEqual([]);
    const [delivery] = await ofKind<Scaler>(FILE, 'ScaledObject');
    expect(delivery!.spec.triggers).toEqual([
      {
        type: 'prometheus',
        metricType: 'AverageValue',
        metadata: {
          serverAddress: 'http://prometheus.monitoring:9090',
          query: 'sum(postrider_queue_due_unthrottled{namespace="mail",pod=~"mta-postrider-queue-.*"})',
          threshold: '500',
          ignoreNullValues: 'false',
        },
        authenticationRef: { name: 'prometheus' },
      },
    ]);
  });

  test('goes up at once and down slowly', async () => {
    const hpas = await ofKind<Scaler>(FILE, 'HorizontalPodAutoscaler');
    const [delivery] = await ofKind<Scaler>(FILE, 'ScaledObject');
    const behaviors = [
      ...hpas.map(({ spec }) => spec.behavior!),
      delivery!.spec.advanced!.horizontalPodAutoscalerConfig.behavior,
    ];
    expect(behaviors).toHaveLength(4);
    for (const { scaleUp, scaleDown } of behaviors) {
      expect(scaleUp.stabilizationWindowSeconds).toBe(0);
      expect(scaleDown.stabilizationWindowSeconds).toBe(600);
      expect(scaleDown.policies.every(({ value, periodSeconds }) => value <= 2 && periodSeconds >= 60)).toBe(
        true,
      );
    }
  });

  test('of KEDA may have a query of its own, and CPU besides', async () => {
    const objects = await render({
      keda: { prometheus: { serverAddress: 'http://p:9090' } },
      delivery: {
        autoscaling: { type: 'keda', query: 'max(x)', cpuUtilization: 60, minReplicas: 3, maxReplicas: 7 },
      },
    });
    const { spec } = objects.find(({ kind }) => kind === 'ScaledObject') as Scaler;
    expect(spec.triggers!.map(({ type, metadata }) => metadata.query ?? `${type} ${metadata.value}`)).toEqual(
      ['max(x)', 'cpu 60'],
    );
    expect(spec).toMatchObject({ minReplicaCount: 3, maxReplicaCount: 7, fallback: { replicas: 3 } });
  });
});

interface Rules extends Manifest {
  spec: { groups: { name: string; rules: { alert?: string; record?: string; expr: string }[] }[] };
}

interface Monitor extends Manifest {
  spec: {
    selector: { matchLabels: Record<string, string>; matchExpressions?: { values: string[] }[] };
    podMetricsEndpoints?: { port: string }[];
    endpoints?: { port: string }[];
    podTargetLabels?: string[];
    targetLabels?: string[];
  };
}

const LABELS = ['app.kubernetes.io/instance', 'app.kubernetes.io/component'];

describe('Monitoring', () => {
  test('scrapes the pods of all services, by one of both ways', async () => {
    const [podMonitor] = await ofKind<Monitor>(FILE, 'PodMonitor');
    expect(podMonitor!.metadata.labels).toMatchObject({ release: 'prometheus' });
    expect(podMonitor!.spec.podMetricsEndpoints!.map(({ port }) => port)).toEqual(['metrics']);
    expect(podMonitor!.spec.selector.matchExpressions![0]!.values).toHaveLength(4);
    expect(podMonitor!.spec.podTargetLabels).toEqual(LABELS);
    const [serviceMonitor] = await ofKind<Monitor>('everything-values.yaml', 'ServiceMonitor');
    expect(serviceMonitor!.spec.targetLabels).toEqual(LABELS);
    const services = await ofKind('everything-values.yaml', 'Service');
    const { matchLabels } = serviceMonitor!.spec.selector;
    const chosen = services.filter(({ metadata }) =>
      Object.entries(matchLabels).every(([key, value]) => metadata.labels?.[key] === value),
    );
    expect(chosen.map(nameOf).sort()).toEqual(
      ['delivery', 'ingress', 'queue', 'resolver'].map((part) => `mail-${part}-headless`),
    );
  });

  test('has every alert, with templates of Prometheus as they are', async () => {
    const [rules] = await ofKind<Rules>(FILE, 'PrometheusRule');
    const all = rules!.spec.groups.flatMap(({ rules: ofGroup }) => ofGroup);
    expect(all.filter(({ alert }) => alert !== undefined).length).toBeGreaterThan(5);
    expect(all.filter(({ record }) => record !== undefined).length).toBeGreaterThan(0);
    expect(JSON.stringify(all)).toContain('{{ $labels.');
    const names = rules!.spec.groups.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
  });

  test('has a dashboard that Grafana finds', async () => {
    const maps = await ofKind<Manifest & { data: Record<string, string> }>(FILE, 'ConfigMap');
    const dashboards = maps.find(({ metadata }) => metadata.name.endsWith('-dashboards'))!;
    expect(dashboards.metadata.labels).toMatchObject({ grafana_dashboard: '1' });
    const texts = Object.values(dashboards.data);
    expect(texts.length).toBeGreaterThan(0);
    for (const text of texts) expect(JSON.parse(text)).toMatchObject({ panels: expect.any(Array) });
    expect(JSON.stringify(dashboards).length).toBeLessThan(1_000_000);
  });

  test('is not there unless it is wanted', async () => {
    for (const kind of ['PodMonitor', 'ServiceMonitor', 'PrometheusRule', 'ScaledObject']) {
      expect(await ofKind('default-values.yaml', kind)).toEqual([]);
    }
  });
});
