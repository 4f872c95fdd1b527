// Attempts in doubt, as the queue logs them.
import type { Cluster } from './cluster.ts';

/** How many attempts of each queue id the queue instances said were in doubt; one that two owners say counts once. */
export function inDoubtOf(cluster: Cluster): Map<string, number> {
  const logs = Array.from({ length: cluster.count('queue') }, (_, index) =>
    cluster.process('queue', index).log(),
  );
  return inDoubtIn(logs);
}

/** The same, of these logs. */
export function inDoubtIn(logs: readonly string[]): Map<string, number> {
  const attempts = new Map<string, Set<string>>();
  for (const line of logs.flatMap((log) => log.split('\n'))) {
    if (!line.includes('in-doubt')) continue;
    const queueId = /"queue_id":"([^"]+)"/.exec(line)?.[1];
    const attemptId = /"attempt_id":"([^"]+)"/.exec(line)?.[1] ?? '';
    if (queueId === undefined) continue;
    const known = attempts.get(queueId);
    if (known === undefined) attempts.set(queueId, new Set([attemptId]));
    else known.add(attemptId);
  }
  return new Map([...attempts].map(([queueId, ids]) => [queueId, ids.size]));
}
