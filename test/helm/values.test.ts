// No value is there that nothing obeys: each is changed, alone, and something must come out differently.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, jest, test } from '@jest/globals';
import { parse } from 'yaml';
import { changed, chartLeaves, type Leaf, type Values, valueAt, withValue } from './changed-values.ts';
import { CHART, template } from './helm.ts';

jest.setTimeout(300_000);

const defaults = parse(readFileSync(join(CHART, 'values.yaml'), 'utf8')) as Values;

/** Nothing in it is random. */
const QUIET: Values = { nats: { embedded: { auth: { existingSecret: 'users' } } } };

const enabled = { enabled: true };
const scaling = (type: string) => ({ autoscaling: { type, metric: 'm', cpuUtilization: 50 } });
const scaled = (type: string): Values => ({
  ...QUIET,
  ...Object.fromEntries(['ingress', 'queue', 'resolver', 'delivery'].map((part) => [part, scaling(type)])),
  keda: { prometheus: { serverAddress: 'http://prometheus:9090' } },
});
const exposed = { type: 'LoadBalancer' };

/** Where a value matters: the first that its path begins with or has in it. */
const CIRCUMSTANCES: readonly (readonly [RegExp, Values])[] = [
  [/autoscaling\.query|^keda/, scaled('keda')],
  [/autoscaling\./, scaled('hpa')],
  [
    /^certificate\.certManager/,
    {
      ...QUIET,
      certificate: { certManager: { ...enabled, issuerRef: { name: 'i' }, dnsNames: ['a.test'] } },
    },
  ],
  [
    /^certificate\.selfSigned/,
    { ...QUIET, config: { hostname: 'a.test' }, certificate: { selfSigned: enabled } },
  ],
  [/submissions/, { ...QUIET, certificate: { existingSecret: 's' }, ingress: { service: exposed } }],
  [
    /^ingress\.service/,
    {
      ...QUIET,
      ingress: {
        service: { ...exposed, proxyProtocol: { ...enabled, ...exposed, trusted: ['10.0.0.0/8'] } },
      },
    },
  ],
  [
    /^nats\.external|networkPolicy\.nats\.to/,
    {
      nats: {
        embedded: { enabled: false },
        external: {
          url: 'tls://a:4222',
          credentials: { existingSecret: 's' },
          tls: { existingSecret: 't', clientCertificate: true },
        },
      },
    },
  ],
  [/^metrics\.serviceMonitor/, { ...QUIET, metrics: { serviceMonitor: enabled } }],
  [/^metrics/, { ...QUIET, metrics: { podMonitor: enabled, prometheusRule: enabled, dashboard: enabled } }],
  [
    /^networkPolicy\.(otlp|delivery)/,
    {
      ...QUIET,
      config: { telemetry: { otlpEndpoint: 'http://jaeger:4318' }, smartHost: 'a.test:26' },
    },
  ],
  [/./, QUIET],
];

const circumstances = (path: string) => CIRCUMSTANCES.find(([pattern]) => pattern.test(path))![1];

const outputs = new Map<string, Promise<string>>();

/** What the chart makes of values, refusals included. */
function output(values: Values): Promise<string> {
  const key = JSON.stringify(values);
  const known = outputs.get(key) ?? template(values).then(({ out, err }) => `${out}${err}`);
  outputs.set(key, known);
  return known;
}

/** Undefined when the value at this path is obeyed, otherwise what is wrong. */
async function trouble({ path, schema }: Leaf): Promise<string | undefined> {
  const name = path.join('.');
  const before = circumstances(name);
  const value = changed({ schema }, valueAt(before, path) ?? valueAt(defaults, path));
  if (value === undefined) return `${name}: no other value is known`;
  const [one, other] = await Promise.all([output(before), output(withValue(before, path, value))]);
  if (other.includes(`don't meet the specifications`))
    return `${name}: ${JSON.stringify(value)} is refused: ${other}`;
  return one === other ? `${name}: ${JSON.stringify(value)} changes nothing` : undefined;
}

describe('Every value', () => {
  test('is obeyed: another one gives other objects, or is refused with a reason', async () => {
    const leaves = chartLeaves();
    expect(leaves.length).toBeGreaterThan(200);
    const troubles: string[] = [];
    const one = async () => {
      for (let leaf = leaves.pop(); leaf !== undefined; leaf = leaves.pop()) {
        const found = await trouble(leaf);
        if (found !== undefined) troubles.push(found);
      }
    };
    await Promise.all([one(), one(), one()]);
    expect(troubles).toEqual([]);
  });
});
