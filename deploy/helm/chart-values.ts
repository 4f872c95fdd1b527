// The values of the chart and what may be written there: the source of values.schema.json. `config` is postrider.yaml and
// comes from libs/config. Pure.
import { z } from 'zod';
import { configJsonSchema, inputSchema, type JsonSchema } from '#libs/config/json-schema.ts';
import { duration } from '#libs/config/units.ts';

/** A group of keys, all of them optional: values.yaml has the defaults. Unknown keys are refused. */
const keys = <T extends z.ZodRawShape>(shape: T) => z.strictObject(shape).partial();

/** What Kubernetes itself checks. */
const object = z.looseObject({});
const objects = z.array(object);
const texts = z.record(z.string(), z.string());
const count = z.number().int().min(0);
/** Whole numbers only, because the chart calculates with them. */
const quantity = z.string().regex(/^[1-9][0-9]*(k|M|G|T|Ki|Mi|Gi|Ti)?$/);
const port = z.number().int().min(1).max(65_535);
const cidr = z.string().regex(/^[0-9a-fA-F.:]+\/[0-9]{1,3}$/);
const dnsName = z.string().regex(/^(\*\.)?[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/);
const prometheusDuration = z.string().regex(/^([0-9]+(ms|s|m|h))?$/);

const image = keys({
  registry: z.string(),
  repository: z.string().min(1),
  tag: z.union([z.string(), z.number()]),
  digest: z.string().regex(/^(sha256:[0-9a-f]{64})?$/),
  pullPolicy: z.enum(['Always', 'IfNotPresent', 'Never']),
});

const scheduling = {
  priorityClassName: z.string(),
  nodeSelector: texts,
  affinity: object,
  tolerations: objects,
};

const resources = keys({ requests: object, limits: object, claims: objects });

const autoscaling = keys({
  type: z.enum(['none', 'hpa', 'keda']),
  minReplicas: z.number().int().min(1),
  maxReplicas: z.number().int().min(1),
  metric: z.string().regex(/^[a-zA-Z_:]*[a-zA-Z0-9_:.-]*$/),
  metricSelector: object,
  query: z.string(),
  target: z.string().regex(/^[1-9][0-9]*(m|k|M)?$/),
  cpuUtilization: z.number().int().min(0).max(1000),
  behavior: object,
});

const share = z.union([count, z.string().regex(/^[0-9]{1,3}%$/)]);

const service = {
  replicas: count,
  resources,
  autoscaling,
  pdb: keys({ enabled: z.boolean(), maxUnavailable: share, minAvailable: share }),
  topologySpreadConstraints: objects,
  strategy: object,
  terminationGracePeriodSeconds: z.number().int().min(1),
  annotations: texts,
  podAnnotations: texts,
  podLabels: texts,
  ...scheduling,
  hostNetwork: z.boolean(),
  dnsConfig: object,
  podSecurityContext: object,
  securityContext: object,
  serviceAccount: keys({ create: z.boolean(), name: z.string(), annotations: texts }),
  extraEnv: objects,
  extraVolumes: objects,
  extraVolumeMounts: objects,
  extraContainers: objects,
  initContainers: objects,
};

const smtpService = {
  type: z.enum(['ClusterIP', 'NodePort', 'LoadBalancer']),
  externalTrafficPolicy: z.enum(['Local', 'Cluster']),
  annotations: texts,
  loadBalancerClass: z.string(),
  loadBalancerSourceRanges: z.array(cidr),
  externalIPs: z.array(z.string()),
  ipFamilyPolicy: z.enum(['', 'SingleStack', 'PreferDualStack', 'RequireDualStack']),
};

const smtpPort = keys({ enabled: z.boolean(), nodePort: z.number().int().min(0).max(65_535) });

const ingress = keys({
  ...service,
  service: keys({
    ...smtpService,
    ports: keys({ smtp: smtpPort, submissions: smtpPort, submission: smtpPort }),
    proxyProtocol: keys({
      ...smtpService,
      enabled: z.boolean(),
      trusted: z.array(cidr),
      headerWaitMax: duration('100 ms', '30 s'),
    }),
  }),
});

const certificate = keys({
  existingSecret: z.string(),
  certManager: keys({
    enabled: z.boolean(),
    issuerRef: keys({ name: z.string(), kind: z.enum(['Issuer', 'ClusterIssuer']), group: z.string() }),
    dnsNames: z.array(dnsName),
    duration: z.string(),
    renewBefore: z.string(),
  }),
  selfSigned: keys({ enabled: z.boolean(), days: z.number().int().min(1).max(3650) }),
});

const nats = keys({
  image,
  embedded: keys({
    enabled: z.boolean(),
    replicas: z.union([z.literal(1), z.literal(3), z.literal(5)]),
    persistence: keys({ enabled: z.boolean(), size: quantity, storageClassName: z.string() }),
    auth: keys({ existingSecret: z.string() }),
    tls: keys({ existingSecret: z.string() }),
    resources: keys({ requests: object, limits: z.looseObject({ memory: quantity.optional() }) }),
    topologySpreadConstraints: objects,
    podAnnotations: texts,
    podLabels: texts,
    ...scheduling,
    extraEnv: objects,
  }),
  external: keys({
    url: z.string(),
    credentials: keys({
      existingSecret: z.string(),
      kind: z.enum(['password', 'nkey', 'creds']),
      perService: z.boolean(),
    }),
    tls: keys({ existingSecret: z.string(), clientCertificate: z.boolean() }),
  }),
});

const monitor = keys({
  enabled: z.boolean(),
  namespace: z.string(),
  labels: texts,
  interval: prometheusDuration,
  scrapeTimeout: prometheusDuration,
  relabelings: objects,
  metricRelabelings: objects,
});

const metrics = keys({
  podMonitor: monitor,
  serviceMonitor: monitor,
  prometheusRule: keys({ enabled: z.boolean(), runbooks: z.string(), namespace: z.string(), labels: texts }),
  dashboard: keys({ enabled: z.boolean(), namespace: z.string(), labels: texts, annotations: texts }),
});

const networkPolicy = keys({
  enabled: z.boolean(),
  dns: keys({ port, to: objects }),
  metrics: keys({ from: objects }),
  probesFrom: objects,
  smtp: keys({ from: objects }),
  nats: keys({ to: objects, from: objects }),
  otlp: keys({ to: objects }),
  extraEgress: objects,
  delivery: keys({ internet: objects, named: objects, extraEgress: objects }),
});

/** Everything but `config`. */
const chart = keys({
  /** Helm passes it on when the chart is part of another one. */
  global: object,
  nameOverride: z.string().max(40),
  fullnameOverride: z.string().max(40),
  extraLabels: texts,
  image,
  imagePullSecrets: objects,
  revisionHistoryLimit: count,
  listenAddress: z.string().min(1),
  certificate,
  ingress,
  queue: keys(service),
  resolver: keys(service),
  delivery: keys(service),
  keda: keys({
    pollingInterval: z.number().int().min(1),
    prometheus: keys({ serverAddress: z.string().regex(/^(https?:\/\/.+)?$/), authenticationRef: object }),
  }),
  nats,
  provision: keys({
    enabled: z.boolean(),
    backoffLimit: count,
    timeoutSeconds: z.number().int().min(1).max(9999),
    resources,
    ...scheduling,
  }),
  metrics,
  networkPolicy,
  tests: keys({
    enabled: z.boolean(),
    domain: dnsName,
    timeoutSeconds: z.number().int().min(1).max(9999),
    resources,
    ...scheduling,
  }),
  extraObjects: z.array(z.union([object, z.string()])),
});

/** Keys of `config` that the chart sets itself: anything passes here, and templates/_validate.tpl refuses it with the reason. */
const SET_BY_CHART: Readonly<Record<string, readonly string[]>> = {
  '': ['listeners', 'tls', 'health', 'admin'],
  nats: ['url', 'credentials', 'tls', 'provision'],
  telemetry: ['metricsAddress', 'metricsPorts'],
};

function configPart(): JsonSchema {
  const config = configJsonSchema() as { properties: Record<string, JsonSchema> };
  for (const [group, names] of Object.entries(SET_BY_CHART)) {
    const { properties } = group === '' ? config : (config.properties[group] as typeof config);
    for (const name of names) properties[name] = { description: 'Refused: the chart sets it.' };
  }
  return config;
}

/** values.schema.json. */
export function valuesSchema(): JsonSchema {
  const { properties, ...rest } = inputSchema(chart) as { properties: JsonSchema };
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'Values of the chart postrider',
    ...rest,
    properties: { ...properties, config: configPart() },
  };
}
