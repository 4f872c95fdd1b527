// Values that the chart refuses: each with a message that names the key.
import { describe, expect, jest, test } from '@jest/globals';
import { refusal, template, type Values } from './helm.ts';

jest.setTimeout(60_000);

const external = { embedded: { enabled: false }, external: { url: 'nats://nats:4222' } };
const hpa = (more: object) => ({ type: 'hpa', ...more });

const bySchema: [string, Values, string][] = [
  ['an unknown key', { ingres: {} }, `additional properties 'ingres' not allowed`],
  [
    'an unknown key of a service',
    { queue: { replica: 2 } },
    `'/queue': additional properties 'replica' not allowed`,
  ],
  [
    'a key that another service has',
    { queue: { service: {} } },
    `'/queue': additional properties 'service' not allowed`,
  ],
  [
    'an unknown key of the configuration',
    { config: { urk: 1 } },
    `'/config': additional properties 'urk' not allowed`,
  ],
  [
    'an unknown key deep in it',
    { config: { nats: { spoolStream: 3 } } },
    `'/config/nats': additional properties 'spoolStream' not allowed`,
  ],
  ['text for a number', { delivery: { replicas: 'many' } }, `'/delivery/replicas': got string, want integer`],
  [
    'text for yes or no',
    { networkPolicy: { enabled: 'maybe' } },
    `'/networkPolicy/enabled': got string, want boolean`,
  ],
  [
    'a number for a duration',
    { config: { drain: { wait: 10 } } },
    `'/config/drain/wait': got number, want string`,
  ],
  [
    'a duration without a unit',
    { config: { drain: { wait: '10' } } },
    `'/config/drain/wait': '10' does not match`,
  ],
  [
    'a duration in another language',
    { config: { retry: { expireAfter: '5 days' } } },
    `'/config/retry/expireAfter': '5 days' does not match`,
  ],
  [
    'a size of Kubernetes in postrider.yaml',
    { config: { nats: { spoolSizeMax: '10Gi' } } },
    `'/config/nats/spoolSizeMax': '10Gi' does not match`,
  ],
  [
    'a ratio over 1',
    { config: { telemetry: { sampleRatio: 2 } } },
    `'/config/telemetry/sampleRatio': maximum: got 2`,
  ],
  [
    'a route without a destination',
    { config: { routes: [{ domain: 'a.test' }] } },
    `'/config/routes/0': missing property 'to'`,
  ],
  [
    'a size that is none',
    { nats: { embedded: { persistence: { size: 'big' } } } },
    `'/nats/embedded/persistence/size'`,
  ],
  ['two NATS servers', { nats: { embedded: { replicas: 2 } } }, `'/nats/embedded/replicas'`],
  ['another way of scaling', { queue: { autoscaling: { type: 'vpa' } } }, `'/queue/autoscaling/type'`],
  ['a network that is none', { ingress: { service: { proxyProtocol: { trusted: ['lb'] } } } }, `/trusted/0'`],
  [
    'a type of Service that has no address',
    { ingress: { service: { type: 'ExternalName' } } },
    `'/ingress/service/type'`,
  ],
  [
    'an environment that is no list',
    { queue: { extraEnv: { A: 'b' } } },
    `'/queue/extraEnv': got object, want array`,
  ],
];

const byTemplates: [string, Values, string][] = [
  [
    'a duration that is too long',
    { config: { drain: { attempts: '16 min' } } },
    'config.drain.attempts: expected something between 1 s and 15 min; found "16 min"',
  ],
  [
    'a duration that is too short, in a list',
    { config: { retry: { schedule: ['1 min', '999 ms'] } } },
    'config.retry.schedule: expected something between 1 s and 7 d; found "999 ms"',
  ],
  [
    'a size that is too small',
    { config: { limits: { messageSizeMax: '63 KiB' } } },
    'config.limits.messageSizeMax: expected something between 64 KiB and 2 GiB; found "63 KiB"',
  ],
  [
    'listeners',
    { config: { listeners: [{ port: 25 }] } },
    'config.listeners: the chart sets it: ports and addresses follow',
  ],
  [
    'certificate files',
    { config: { tls: { certificate: 'a', key: 'b' } } },
    'config.tls: the chart sets it: the certificate is',
  ],
  ['ports of health', { config: { health: { address: '::' } } }, 'config.health: the chart sets it'],
  [
    'ports of metrics',
    { config: { telemetry: { metricsPorts: { queue: 1 } } } },
    'config.telemetry.metricsPorts: the chart sets it',
  ],
  ['the port for operators', { config: { admin: { port: 1 } } }, 'config.admin: the chart sets it'],
  ['the address of NATS', { config: { nats: { url: 'nats://a' } } }, 'config.nats.url: the chart sets it'],
  [
    'credentials',
    { config: { nats: { credentials: { credsFile: 'f' } } } },
    'config.nats.credentials: the chart sets it',
  ],
  [
    'who makes streams',
    { config: { nats: { provision: 'auto' } } },
    'config.nats.provision: the chart sets it',
  ],
  [
    'a grace period that is too short',
    { delivery: { terminationGracePeriodSeconds: 384 } },
    'delivery.terminationGracePeriodSeconds: 384 is less than what config.drain lets it wait for and 15 s to hand over: 385',
  ],
  [
    'one that a longer drain makes too short',
    { config: { drain: { sessions: '5 min' } }, ingress: { terminationGracePeriodSeconds: 120 } },
    'ingress.terminationGracePeriodSeconds: 120 is less than',
  ],
  [
    'two NATS',
    { nats: { external: { url: 'nats://nats:4222' } } },
    'nats.external.url: with an external NATS, set',
  ],
  ['no NATS', { nats: { embedded: { enabled: false } } }, 'nats.external.url: without nats.embedded.enabled'],
  [
    'more copies than servers',
    { config: { nats: { replicas: 3 } }, nats: { embedded: { replicas: 1 } } },
    'config.nats.replicas: 3 copies need as many servers: nats.embedded.replicas is 1',
  ],
  [
    'streams that are larger than the volume',
    { config: { nats: { spoolSizeMax: '4 GiB' } } },
    'nats.embedded.persistence.size: 20Gi gives JetStream 18432 MiB, and the streams of waiting mail reserve 24576 MiB',
  ],
  [
    'a client certificate from nowhere',
    { nats: { ...external, external: { url: 'tls://n:4222', tls: { clientCertificate: true } } } },
    'nats.external.tls.clientCertificate',
  ],
  [
    'two certificates',
    { certificate: { existingSecret: 's', selfSigned: { enabled: true } }, config: { hostname: 'a.test' } },
    'certificate: only one of',
  ],
  [
    'a certificate for nobody',
    { certificate: { selfSigned: { enabled: true } } },
    'certificate.selfSigned.enabled',
  ],
  [
    'a certificate without names',
    { certificate: { certManager: { enabled: true } } },
    'certificate.certManager.dnsNames',
  ],
  [
    'no port at all',
    { ingress: { service: { ports: { smtp: { enabled: false }, submission: { enabled: false } } } } },
    'ingress.service.ports: none is left',
  ],
  [
    'a PROXY header from everybody',
    { ingress: { service: { proxyProtocol: { enabled: true } } } },
    'ingress.service.proxyProtocol.trusted: from which networks',
  ],
  [
    'everybody as a neighbour',
    {
      config: { relayNetworks: ['10.0.0.0/8'] },
      ingress: { service: { type: 'LoadBalancer', externalTrafficPolicy: 'Cluster' } },
    },
    'ingress.service.externalTrafficPolicy: Cluster replaces every client',
  ],
  [
    'a least number over the largest',
    { queue: { autoscaling: hpa({ minReplicas: 9, maxReplicas: 3 }) } },
    'queue.autoscaling.minReplicas: more than maxReplicas',
  ],
  ['scaling by nothing', { resolver: { autoscaling: hpa({}) } }, 'resolver.autoscaling: by what?'],
  [
    'KEDA without Prometheus',
    { delivery: { autoscaling: { type: 'keda' } } },
    'keda.prometheus.serverAddress: delivery.autoscaling',
  ],
  [
    'scraping twice',
    { metrics: { podMonitor: { enabled: true }, serviceMonitor: { enabled: true } } },
    'metrics: only one of',
  ],
  [
    'a route of the test domain',
    { config: { routes: [{ domain: 'helm-test.postrider.invalid', to: 'a:25' }] } },
    'config.routes: the route of helm-test.postrider.invalid is that of `helm test`',
  ],
];

describe('The schema refuses', () => {
  test.each(bySchema)('%s', async (_, values, message) => {
    expect(await refusal(values)).toContain(message);
  });
});

describe('The chart refuses', () => {
  test.each(byTemplates)('%s', async (_, values, message) => {
    expect(await refusal(values)).toContain(message);
  });

  test('everything at once, a line each', async () => {
    const message = await refusal({ config: { admin: {} }, nats: { embedded: { enabled: false } } });
    expect(message).toContain('- config.admin: ');
    expect(message).toContain('- nats.external.url: ');
  });

  test('nothing that is just enough', async () => {
    const values = {
      config: {
        drain: { wait: '10 s', sessions: '60 s', attempts: '60 s', dots: '300 s' },
        nats: { spoolSizeMax: '3 GiB' },
        retry: { schedule: ['1 s', '7 d'] },
        limits: { messageSizeMax: '2 GiB' },
      },
      ingress: { terminationGracePeriodSeconds: 85 },
      queue: { terminationGracePeriodSeconds: 25 },
      delivery: { terminationGracePeriodSeconds: 385 },
    };
    expect(await template(values)).toMatchObject({ code: 0, err: '' });
  });
});
