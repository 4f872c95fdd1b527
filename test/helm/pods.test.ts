// What every pod of the chart is: restricted, told its secrets by files, asked for its health at ports that are there.
import { describe, expect, jest, test } from '@jest/globals';
import { parse } from 'yaml';
import { parseConfig } from '#libs/config/load.ts';
import type { Config } from '#libs/config/schema.ts';
import { type Manifest, render } from './helm.ts';
import { matrix, objectsOf, ofKind } from './matrix.ts';
import { type Pod, podsOf, type Selector, selects } from './pods.ts';

jest.setTimeout(60_000);

const SERVICES = ['ingress', 'queue', 'resolver', 'delivery'] as const;

const pods = async (file: string) => podsOf(await objectsOf(file));
const services = async (file: string) =>
  (await pods(file)).filter(({ part }) => (SERVICES as readonly string[]).includes(part));

async function configOf(file: string): Promise<Config> {
  const maps = await ofKind<Manifest & { data?: Record<string, string> }>(file, 'ConfigMap');
  const text = maps.map(({ data }) => data?.['postrider.yaml']).find((found) => found !== undefined)!;
  return parseConfig('postrider.yaml', text);
}

/** What the Pod Security Standard "restricted" forbids in it, and what we forbid besides. */
function offences({ owner, spec }: Pod): string[] {
  const { securityContext: pod } = spec;
  const found: string[] = [];
  const must = (isSo: boolean, what: string) => {
    if (!isSo) found.push(`${owner}: ${what}`);
  };
  must(pod.runAsNonRoot === true && pod.runAsUser === 10001, 'a user that is not root');
  must((pod.seccompProfile as { type: string }).type === 'RuntimeDefault', 'seccomp');
  must(spec.automountServiceAccountToken === false, 'no token');
  must(spec.enableServiceLinks === false, 'no environment of Services');
  for (const { name, securityContext, resources } of [...spec.containers, ...(spec.initContainers ?? [])]) {
    must(securityContext.allowPrivilegeEscalation === false, `${name}: no privilege escalation`);
    must(securityContext.readOnlyRootFilesystem === true, `${name}: read-only root`);
    must(JSON.stringify(securityContext.capabilities) === '{"drop":["ALL"]}', `${name}: no capability`);
    must(resources.limits?.memory !== undefined, `${name}: a limit of memory`);
    must(resources.requests?.cpu !== undefined, `${name}: a request of CPU`);
  }
  const kinds = (spec.volumes ?? []).flatMap(({ name: _, ...kind }) => Object.keys(kind));
  must(
    kinds.every((kind) => kind === 'projected' || kind === 'emptyDir'),
    `only volumes that nothing of the node is in: ${kinds}`,
  );
  return found;
}

describe('Every pod', () => {
  test.each(matrix)('is restricted, with %s', async (file) => {
    const found = await pods(file);
    expect(found.length).toBeGreaterThanOrEqual(5);
    expect(found.flatMap(offences)).toEqual([]);
  });

  test.each(matrix)('has no secret in its environment and mounts none by subPath, with %s', async (file) => {
    for (const { spec } of await pods(file)) {
      for (const { env = [], envFrom, volumeMounts = [] } of spec.containers) {
        expect(envFrom).toBeUndefined();
        expect(env.filter(({ valueFrom }) => valueFrom && !('fieldRef' in valueFrom))).toEqual([]);
        expect(env.filter(({ name }) => /PASS|SECRET|TOKEN|CRED|NATS_URL/i.test(name))).toEqual([]);
        expect(volumeMounts.filter(({ subPath }) => subPath !== undefined)).toEqual([]);
      }
    }
  });

  test.each(matrix)('mounts volumes that it has, with %s', async (file) => {
    for (const { spec, owner } of await pods(file)) {
      const claims = owner.startsWith('StatefulSet') ? ['data'] : [];
      const names = [...(spec.volumes ?? []).map(({ name }) => name), ...claims];
      const mounted = spec.containers.flatMap(({ volumeMounts = [] }) =>
        volumeMounts.map(({ name }) => name),
      );
      expect(mounted.filter((name) => !names.includes(name))).toEqual([]);
      for (const { ports = [] } of spec.containers) {
        const all = ports.flatMap(({ name, containerPort }) => [name, containerPort]);
        expect(new Set(all).size).toBe(all.length);
        expect(ports.filter(({ name }) => name.length > 15)).toEqual([]);
      }
    }
  });
});

/** Files of the configuration that a pod of this service reads. */
function filesOf(config: Config, part: string): string[] {
  const { credentials = {}, tls: natsTls = {} } = config.nats;
  const certificate = part === 'ingress' ? Object.values(config.tls ?? {}) : [];
  return [...Object.values(credentials), ...Object.values(natsTls), ...certificate] as string[];
}

describe('Every service', () => {
  test.each(matrix)('finds every file that its configuration names, with %s', async (file) => {
    const config = await configOf(file);
    const found = (await pods(file)).filter(({ part }) => part !== 'nats' && part !== 'smoke');
    for (const { part, spec } of found) {
      const sources = spec.volumes!.find(({ name }) => name === 'etc')!.projected!.sources;
      const paths = sources.flatMap(({ secret, configMap }) => (secret ?? configMap)!.items);
      expect(paths.map(({ path }) => `/etc/postrider/${path}`).sort()).toEqual(
        ['/etc/postrider/postrider.yaml', ...filesOf(config, part)].sort(),
      );
    }
  });

  test.each(matrix)('listens where it is asked, with %s', async (file) => {
    const config = await configOf(file);
    for (const { part, spec } of await services(file)) {
      const service = part as (typeof SERVICES)[number];
      const [container] = spec.containers;
      const { ports, startupProbe, livenessProbe, readinessProbe } = container!;
      const smtp = service === 'ingress' ? config.listeners.map(({ port }) => port!) : [];
      const metrics = config.telemetry.metricsPorts[service];
      const health = config.health.ports[service];
      expect(ports!.map(({ containerPort }) => containerPort)).toEqual([...smtp, metrics, health]);
      const asked = [startupProbe, livenessProbe, readinessProbe].map((probe) => probe!.grpc);
      expect(asked).toEqual(['started', 'live', 'ready'].map((name) => ({ port: health, service: name })));
      expect(container!.command).toEqual([`postrider-${part}`]);
      expect(config.admin.address).toBe('127.0.0.1');
    }
  });

  test.each(matrix)(
    'may take as long to stop as it waits for, and time to hand over, with %s',
    async (file) => {
      const { drain } = await configOf(file);
      const waits = {
        ingress: drain.wait + drain.sessions,
        queue: drain.wait,
        resolver: drain.wait,
        delivery: drain.wait + drain.attempts + drain.dots,
      };
      for (const { part, spec } of await services(file)) {
        const waitedMs = waits[part as keyof typeof waits];
        expect(spec.terminationGracePeriodSeconds! * 1000).toBeGreaterThanOrEqual(waitedMs + 30_000);
      }
    },
  );
});

interface Selecting extends Manifest {
  spec: {
    selector: Selector & Record<string, string>;
    ports?: { name: string; port: number; targetPort: number | string }[];
  };
}

const selectorOf = ({ kind, spec }: Selecting): Selector =>
  kind === 'Service' ? { matchLabels: spec.selector } : spec.selector;

describe('Every selector', () => {
  test.each(matrix)('selects the pods of one part and no others, with %s', async (file) => {
    const all = await pods(file);
    const kinds = ['Deployment', 'StatefulSet', 'Service', 'PodDisruptionBudget'];
    const objects = (await Promise.all(kinds.map((kind) => ofKind<Selecting>(file, kind)))).flat();
    for (const object of objects) {
      const chosen = all.filter(({ labels }) => selects(selectorOf(object), labels));
      expect([object.metadata.name, chosen.length]).toEqual([object.metadata.name, 1]);
      expect(object.metadata.labels?.['app.kubernetes.io/component']).toBe(chosen[0]!.part);
    }
    for (const { labels, spec } of all) {
      for (const { labelSelector } of spec.topologySpreadConstraints ?? []) {
        expect(selects(labelSelector, labels)).toBe(true);
      }
    }
  });

  test.each(matrix)('of a Service leads to ports that its pods have, with %s', async (file) => {
    const all = await pods(file);
    for (const service of await ofKind<Selecting>(file, 'Service')) {
      const [pod] = all.filter(({ labels }) => selects(selectorOf(service), labels));
      const known = pod!.spec.containers.flatMap(({ ports = [] }) =>
        ports.flatMap(({ name, containerPort }) => [name, containerPort]),
      );
      for (const { targetPort } of service.spec.ports!) expect(known).toContain(targetPort);
    }
  });

  test.each(matrix)('has an account that is there, with %s', async (file) => {
    const accounts = (await ofKind(file, 'ServiceAccount')).map(({ metadata }) => metadata.name);
    for (const { part, spec } of await pods(file)) {
      if (part === 'smoke') continue;
      expect([...accounts, 'default', 'outbound']).toContain(spec.serviceAccountName);
    }
  });
});

describe('Pods are replaced', () => {
  test('when the configuration changes, and only then', async () => {
    const checksums = async (values: Record<string, unknown>) =>
      podsOf(await render(values)).map(({ spec: _, ...pod }) => JSON.stringify(pod));
    const before = await checksums({});
    expect(await checksums({})).toEqual(before);
    const [one, other] = await Promise.all(
      [{}, { config: { hostname: 'mx.example.com' } }].map(async (values) => {
        const found = (await render(values)).filter(({ kind }) => kind === 'Deployment');
        return found.map(({ spec }) => {
          const { template } = spec as { template: { metadata: { annotations: Record<string, string> } } };
          return template.metadata.annotations['checksum/config'];
        });
      }),
    );
    expect(one).toHaveLength(4);
    one!.forEach((checksum, i) => {
      expect(other![i]).not.toBe(checksum);
    });
  });
});

describe('What the chart adds to pods', () => {
  test('is what the values say', async () => {
    const [ingress] = (await pods('everything-values.yaml')).filter(({ part }) => part === 'ingress');
    const text = JSON.stringify(ingress);
    const added = parse(
      '[{e: f}, "mail-in", 300, "--max-old-space-size=700", "/scratch", {pool: mail}, "high", "ndots", "pull"]',
    ) as (string | number | object)[];
    for (const one of added) {
      expect(text).toContain(typeof one === 'object' ? JSON.stringify(one).slice(1, -1) : String(one));
    }
    const [delivery] = (await pods('everything-values.yaml')).filter(({ part }) => part === 'delivery');
    expect(delivery!.spec).toMatchObject({ hostNetwork: true, dnsPolicy: 'ClusterFirstWithHostNet' });
    expect(delivery!.spec.containers[0]!.image).toBe('registry.example.com/mail/postrider:9.9.9');
  });
});
