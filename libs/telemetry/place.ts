// What runs here and where: the version of this release, and the pod when an orchestrator names one. For the resource of
// every span and the target_info of the metrics.
import { readFileSync } from 'node:fs';

/** Version of package.json, such as "0.1.0". */
export function releaseVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

const ATTRIBUTE_OF = {
  POD_NAME: 'k8s.pod.name',
  POD_NAMESPACE: 'k8s.namespace.name',
  NODE_NAME: 'k8s.node.name',
};

/** The names of the semantic conventions for what the environment says (downward API); nothing for what it does not. */
export function placeAttributes(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const found: Record<string, string> = {};
  for (const [variable, attribute] of Object.entries(ATTRIBUTE_OF)) {
    const value = env[variable];
    if (value !== undefined && value !== '') found[attribute] = value;
  }
  return found;
}
