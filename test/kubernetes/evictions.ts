// Pods are evicted as `kubectl drain` does it, through the Eviction API, which asks the PodDisruptionBudgets.
import type { Kubectl } from './commands.ts';
import { CommandFailed, command } from './commands.ts';

export interface Pod {
  metadata: { name: string; deletionTimestamp?: string };
  status: { podIP?: string; conditions?: { type: string; status: string }[] };
}

/** The pods of one service that are not about to end, in the order of their names. */
export async function podsOf(kubectl: Kubectl, component: string): Promise<Pod[]> {
  const selector = `--selector=app.kubernetes.io/component=${component}`;
  const { items } = await kubectl.json<{ items: Pod[] }>('get', 'pods', selector);
  const living = items.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
  return living.sort((a, b) => a.metadata.name.localeCompare(b.metadata.name));
}

export function isReady({ status }: Pod): boolean {
  return status.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false;
}

/** False when a PodDisruptionBudget forbids it now. */
export async function evict({ namespace }: Kubectl, name: string): Promise<boolean> {
  const eviction = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name, namespace } };
  const url = `/api/v1/namespaces/${namespace}/pods/${name}/eviction`;
  try {
    await command('kubectl', ['create', '--raw', url, '--filename=-'], JSON.stringify(eviction));
    return true;
  } catch (error) {
    if (error instanceof CommandFailed && error.message.includes('disruption budget')) return false;
    throw error;
  }
}
