// Pods as the chart describes them, wherever they stand: in a Deployment, a StatefulSet, a Job or alone.
import type { Manifest } from './helm.ts';

export interface Probe {
  grpc?: { port: number; service: string };
  httpGet?: { path: string; port: number | string };
}

export interface Container {
  name: string;
  image: string;
  command: string[];
  args: string[];
  env?: { name: string; value?: string; valueFrom?: Record<string, unknown> }[];
  envFrom?: unknown[];
  ports?: { name: string; containerPort: number; protocol: string }[];
  volumeMounts?: { name: string; mountPath: string; readOnly?: boolean; subPath?: string }[];
  startupProbe?: Probe;
  livenessProbe?: Probe;
  readinessProbe?: Probe;
  resources: { limits?: Record<string, string>; requests?: Record<string, string> };
  securityContext: Record<string, unknown>;
}

interface Source {
  secret?: { name: string; items: { key: string; path: string }[] };
  configMap?: { name: string; items: { key: string; path: string }[] };
}

export interface PodSpec {
  serviceAccountName?: string;
  automountServiceAccountToken: boolean;
  enableServiceLinks: boolean;
  hostNetwork?: boolean;
  terminationGracePeriodSeconds?: number;
  securityContext: Record<string, unknown>;
  containers: Container[];
  initContainers?: Container[];
  volumes?: { name: string; projected?: { sources: Source[] }; [kind: string]: unknown }[];
  topologySpreadConstraints?: { labelSelector: { matchLabels: Record<string, string> } }[];
}

export interface Pod {
  /** "Deployment mta-postrider-queue". */
  owner: string;
  /** ingress, queue, ..., nats, provision, smoke. */
  part: string;
  labels: Record<string, string>;
  spec: PodSpec;
}

type Template = { metadata: { labels: Record<string, string> }; spec: PodSpec };

function templateOf(manifest: Manifest): Template | undefined {
  if (manifest.kind === 'Pod') return manifest as unknown as Template;
  if (!['Deployment', 'StatefulSet', 'Job'].includes(manifest.kind)) return undefined;
  return (manifest.spec as { template: Template }).template;
}

/** Every pod that these objects make. */
export function podsOf(manifests: readonly Manifest[]): Pod[] {
  return manifests.flatMap((manifest) => {
    const template = templateOf(manifest);
    if (template === undefined) return [];
    const { labels } = template.metadata;
    const owner = `${manifest.kind} ${manifest.metadata.name}`;
    return [{ owner, part: labels['app.kubernetes.io/component']!, labels, spec: template.spec }];
  });
}

/** A label selector of Kubernetes: equalities and "In". */
export interface Selector {
  matchLabels?: Record<string, string>;
  matchExpressions?: { key: string; operator: string; values: string[] }[];
}

export function selects(
  { matchLabels = {}, matchExpressions = [] }: Selector,
  labels: Record<string, string>,
): boolean {
  return (
    Object.entries(matchLabels).every(([key, value]) => labels[key] === value) &&
    matchExpressions.every(({ key, values }) => values.includes(labels[key] ?? ''))
  );
}
