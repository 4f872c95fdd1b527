// Who may speak to whom by the chart's NetworkPolicies: decided as Kubernetes does, for pods of the chart and for strangers.
import ipaddr from 'ipaddr.js';
import type { Manifest } from './helm.ts';
import { type Selector, selects } from './pods.ts';

interface Peer {
  podSelector?: Selector;
  namespaceSelector?: Selector;
  ipBlock?: { cidr: string; except?: string[] };
}

interface Rule {
  from?: Peer[];
  to?: Peer[];
  ports?: { port: number; protocol: string }[];
}

export interface NetworkPolicy extends Manifest {
  spec: { podSelector: Selector; policyTypes: string[]; ingress?: Rule[]; egress?: Rule[] };
}

/** One end of a connection: a pod with labels in a namespace, an address, or both. */
export interface End {
  labels?: Record<string, string>;
  namespace?: string;
  address?: string;
}

function isIn(address: string, cidr: string): boolean {
  const [parsed, network] = [ipaddr.parse(address), ipaddr.parseCIDR(cidr)];
  return parsed.kind() === network[0].kind() && parsed.match(network);
}

function matches(peer: Peer, end: End, policyNamespace: string): boolean {
  const { ipBlock, podSelector, namespaceSelector } = peer;
  if (ipBlock !== undefined) {
    const { address } = end;
    if (address === undefined || !isIn(address, ipBlock.cidr)) return false;
    return !(ipBlock.except ?? []).some((cidr) => isIn(address, cidr));
  }
  if (end.labels === undefined) return false;
  const isThere =
    namespaceSelector === undefined
      ? end.namespace === policyNamespace
      : selects(namespaceSelector, { 'kubernetes.io/metadata.name': end.namespace ?? '' });
  return isThere && selects(podSelector ?? {}, end.labels);
}

/** What one side of a connection says: `side` is the pod that is asked about, `other` the end behind it. */
function allowedBy(
  policies: readonly NetworkPolicy[],
  direction: 'ingress' | 'egress',
  { side, other, port, protocol }: { side: End; other: End; port: number; protocol: string },
): boolean {
  const type = direction === 'ingress' ? 'Ingress' : 'Egress';
  const about = policies.filter(
    ({ spec, metadata }) =>
      spec.policyTypes.includes(type) &&
      side.namespace === metadata.namespace &&
      selects(spec.podSelector, side.labels ?? {}),
  );
  if (about.length === 0) return true;
  return about.some(({ spec, metadata }) =>
    (spec[direction] ?? []).some((rule) => {
      const peers = direction === 'ingress' ? rule.from : rule.to;
      const isPort =
        rule.ports === undefined || rule.ports.some((one) => one.port === port && one.protocol === protocol);
      return (
        isPort && (peers === undefined || peers.some((peer) => matches(peer, other, metadata.namespace!)))
      );
    }),
  );
}

/** True when both ends let the connection through. */
export function mayConnect(
  policies: readonly NetworkPolicy[],
  from: End,
  { to, port, protocol = 'TCP' }: { to: End; port: number; protocol?: string },
): boolean {
  return (
    allowedBy(policies, 'egress', { side: from, other: to, port, protocol }) &&
    allowedBy(policies, 'ingress', { side: to, other: from, port, protocol })
  );
}
