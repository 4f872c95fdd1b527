// Attempts in doubt, as the queue logs them.
import type { Cluster } from './cluster.ts';

/** Queue ids of the lines that the queue instances logged when an attempt was in doubt. */
export function inDoubtOf(cluster: Cluster): Set<string> {
  const ids = new Set<string>();
  for (let index = 0; index < cluster.count('queue'); index += 1) {
    for (const line of cluster.process('queue', index).log().split('\n')) {
      if (!line.includes('in-doubt')) continue;
      const id = /"queue_id":"([^"]+)"/.exec(line)?.[1];
      if (id !== undefined) ids.add(id);
    }
  }
  return ids;
}
