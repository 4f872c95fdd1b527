// Who may speak to whom: everything that must, and nothing else.
import { describe, expect, jest, test } from '@jest/globals';
import { NAMESPACE, render } from './helm.ts';
import { matrix, objectsOf, ofKind } from './matrix.ts';
import { type End, mayConnect, type NetworkPolicy } from './network.ts';
import { podsOf, selects } from './pods.ts';

jest.setTimeout(60_000);

const policiesOf = (file: string) => ofKind<NetworkPolicy>(file, 'NetworkPolicy');

/** The pod of a part, as an end of a connection. */
async function ends(file: string): Promise<Record<string, End>> {
  const pods = podsOf(await objectsOf(file));
  return Object.fromEntries(pods.map(({ part, labels }) => [part, { labels, namespace: NAMESPACE }]));
}

const prometheus: End = { labels: { app: 'prometheus' }, namespace: 'monitoring' };
const dns: End = { labels: { 'k8s-app': 'kube-dns' }, namespace: 'kube-system' };
const stranger: End = { labels: { app: 'shop' }, namespace: 'shop' };
const neighbour: End = { labels: { app: 'shop' }, namespace: NAMESPACE };
const internet: End = { address: '203.0.113.9' };
const internet6: End = { address: '2001:db8::9' };
const lan: End = { address: '10.9.8.7' };

describe('NetworkPolicies', () => {
  test.each(matrix)('cover every pod in both directions, with %s', async (file) => {
    const [policies, pods] = [await policiesOf(file), podsOf(await objectsOf(file))];
    for (const { owner, labels } of pods) {
      for (const type of ['Ingress', 'Egress']) {
        const about = policies.filter(({ spec }) => selects(spec.podSelector, labels));
        expect([owner, type, about.some(({ spec }) => spec.policyTypes.includes(type))]).toEqual([
          owner,
          type,
          true,
        ]);
      }
    }
  });

  test('are not there when they are not wanted', async () => {
    const found = await render({ networkPolicy: { enabled: false } });
    expect(found.filter(({ kind }) => kind === 'NetworkPolicy')).toEqual([]);
  });
});

const SERVICES = ['ingress', 'queue', 'resolver', 'delivery'];
const PARTS = [...SERVICES, 'nats', 'provision', 'smoke'];

/** Ports that pods of the chart listen at. */
const PORTS = [2525, 2465, 2587, 12525, 4222, 6222, 8222, 7070, 8086, 9464];

describe('With all defaults', () => {
  test('pods of the chart reach just what they need of each other', async () => {
    const [policies, of] = [await policiesOf('default-values.yaml'), await ends('default-values.yaml')];
    const open = PARTS.flatMap((from) =>
      PARTS.flatMap((to) =>
        PORTS.filter((port) => mayConnect(policies, of[from]!, { to: of[to]!, port })).map(
          (port) => `${from} -> ${to}:${port}`,
        ),
      ),
    );
    expect(open.sort()).toEqual(
      [
        ...[...SERVICES, 'provision'].map((from) => `${from} -> nats:4222`),
        'nats -> nats:6222',
        'delivery -> smoke:2525',
        'smoke -> ingress:2525',
        'smoke -> ingress:2587',
        ...SERVICES.map((to) => `smoke -> ${to}:8086`),
      ].sort(),
    );
  });

  test('strangers reach SMTP alone, Prometheus the metrics, everybody DNS', async () => {
    const [policies, of] = [await policiesOf('default-values.yaml'), await ends('default-values.yaml')];
    const reached = (from: End) =>
      PARTS.flatMap((to) =>
        PORTS.filter((port) => mayConnect(policies, from, { to: of[to]!, port })).map(
          (port) => `${to}:${port}`,
        ),
      );
    for (const from of [stranger, neighbour, internet, lan]) {
      expect(reached(from)).toEqual(['ingress:2525', 'ingress:2587']);
    }
    expect(reached(prometheus).sort()).toEqual(
      ['ingress:2525', 'ingress:2587', ...SERVICES.map((to) => `${to}:9464`), 'nats:8222'].sort(),
    );
    for (const part of PARTS) {
      expect(mayConnect(policies, of[part]!, { to: dns, port: 53, protocol: 'UDP' })).toBe(true);
      expect(mayConnect(policies, of[part]!, { to: dns, port: 53 })).toBe(true);
      expect(mayConnect(policies, of[part]!, { to: stranger, port: 53, protocol: 'UDP' })).toBe(false);
    }
  });

  test('only delivery reaches the Internet, at port 25, and nothing in private networks', async () => {
    const [policies, of] = [await policiesOf('default-values.yaml'), await ends('default-values.yaml')];
    for (const part of PARTS) {
      const mayLeave = part === 'delivery';
      expect([part, mayConnect(policies, of[part]!, { to: internet, port: 25 })]).toEqual([part, mayLeave]);
      expect([part, mayConnect(policies, of[part]!, { to: internet6, port: 25 })]).toEqual([part, mayLeave]);
      expect(mayConnect(policies, of[part]!, { to: lan, port: 25 })).toBe(false);
      expect(mayConnect(policies, of[part]!, { to: internet, port: 443 })).toBe(false);
    }
  });
});

describe('With other values', () => {
  test('delivery reaches hosts that the configuration names', async () => {
    const file = 'proxy-values.yaml';
    const [policies, of] = [await policiesOf(file), await ends(file)];
    const dovecot: End = { labels: { app: 'dovecot' }, namespace: 'dovecot', address: '10.1.2.3' };
    expect(mayConnect(policies, of.delivery!, { to: dovecot, port: 24 })).toBe(true);
    expect(mayConnect(policies, of.delivery!, { to: { address: '2001:db8::25' }, port: 2526 })).toBe(true);
    expect(mayConnect(policies, of.queue!, { to: dovecot, port: 24 })).toBe(false);
    expect(mayConnect(policies, of.delivery!, { to: dovecot, port: 143 })).toBe(false);
  });

  test('only trusted load balancers reach the ports with PROXY headers', async () => {
    const file = 'proxy-values.yaml';
    const [policies, of] = [await policiesOf(file), await ends(file)];
    for (const port of [12525, 12465, 12587]) {
      expect(mayConnect(policies, lan, { to: of.ingress!, port })).toBe(true);
      expect(mayConnect(policies, internet, { to: of.ingress!, port })).toBe(false);
    }
  });

  test('services reach an external NATS at the ports of its URL, and where it is said to be', async () => {
    const file = 'external-nats-values.yaml';
    const [policies, of] = [await policiesOf(file), await ends(file)];
    const nats: End = { labels: { app: 'nats' }, namespace: 'nats' };
    for (const part of [...SERVICES, 'provision']) {
      for (const port of [4222, 4223]) expect(mayConnect(policies, of[part]!, { to: nats, port })).toBe(true);
      expect(mayConnect(policies, of[part]!, { to: stranger, port: 4222 })).toBe(false);
    }
    // Spans go to https://collector.example.com, wherever that is.
    expect(mayConnect(policies, of.queue!, { to: internet, port: 443 })).toBe(true);
  });

  test('the resolver alone reaches name servers of the configuration', async () => {
    const file = 'external-nats-values.yaml';
    const [policies, of] = [await policiesOf(file), await ends(file)];
    const servers: [string, number][] = [
      ['192.0.2.53', 53],
      ['192.0.2.54', 5353],
      ['2001:db8::53', 5353],
      ['2001:db8::54', 53],
    ];
    for (const [address, port] of servers) {
      for (const protocol of ['UDP', 'TCP']) {
        expect(mayConnect(policies, of.resolver!, { to: { address }, port, protocol })).toBe(true);
        expect(mayConnect(policies, of.delivery!, { to: { address }, port, protocol })).toBe(false);
      }
      expect(mayConnect(policies, of.resolver!, { to: { address }, port: port + 1 })).toBe(false);
    }
  });

  test('only those that are named send mail, scrape, probe and speak to NATS', async () => {
    const file = 'everything-values.yaml';
    const [policies, of] = [await policiesOf(file), await ends(file)];
    expect(mayConnect(policies, internet, { to: of.ingress!, port: 2525 })).toBe(true);
    expect(mayConnect(policies, lan, { to: of.ingress!, port: 2525 })).toBe(false);
    expect(mayConnect(policies, of.smoke!, { to: of.ingress!, port: 2587 })).toBe(true);
    const tools: End = { labels: {}, namespace: 'tools' };
    expect(mayConnect(policies, tools, { to: of.nats!, port: 4222 })).toBe(true);
    expect(mayConnect(policies, { address: '10.0.0.7' }, { to: of.queue!, port: 8086 })).toBe(true);
    expect(mayConnect(policies, { address: '10.0.0.7' }, { to: of.nats!, port: 8222 })).toBe(true);
    const jaeger: End = { labels: { app: 'jaeger' }, namespace: NAMESPACE };
    expect(mayConnect(policies, of.queue!, { to: jaeger, port: 4318 })).toBe(true);
    expect(mayConnect(policies, of.queue!, { to: neighbour, port: 4318 })).toBe(false);
    expect(mayConnect(policies, of.delivery!, { to: internet, port: 8025 })).toBe(true);
    expect(mayConnect(policies, of.queue!, { to: neighbour, port: 16686 })).toBe(true);
    expect(mayConnect(policies, of.nats!, { to: neighbour, port: 16686 })).toBe(false);
    expect(mayConnect(policies, of.delivery!, { to: internet, port: 2525 })).toBe(true);
    expect(mayConnect(policies, of.delivery!, { to: internet, port: 25 })).toBe(false);
  });

  test('nobody scrapes when nobody may', async () => {
    const file = 'closed-values.yaml';
    const [policies, of] = [await policiesOf(file), await ends(file)];
    const scraped = Object.values(of).filter((to) => mayConnect(policies, prometheus, { to, port: 9464 }));
    expect(scraped).toEqual([]);
  });
});
