// Records that say again which checkpoints are open, in the name of their workers. Pure.
import type { Checkpoint } from '#proto/postrider/v1/job.ts';
import type { OpenCheckpoint } from './checkpoint-ledger.ts';

/** Attempts in one record: far below the payload limit of NATS. */
export const IDS_MAX = 1000;

/** Those of one record have one worker. */
export function copiesOf(open: Iterable<OpenCheckpoint>): OpenCheckpoint[][] {
  const byWorker = new Map<string, OpenCheckpoint[]>();
  for (const one of open) {
    const some = byWorker.get(one.worker);
    if (some === undefined) byWorker.set(one.worker, [one]);
    else some.push(one);
  }
  const copies: OpenCheckpoint[][] = [];
  for (const some of byWorker.values()) {
    for (let from = 0; from < some.length; from += IDS_MAX) copies.push(some.slice(from, from + IDS_MAX));
  }
  return copies;
}

/** The record; at least one is open. */
export function recordOf(open: readonly [OpenCheckpoint, ...OpenCheckpoint[]]): Checkpoint {
  const parts = open.filter(({ recipients }) => recipients.length > 0);
  return {
    worker: open[0].worker,
    attemptIds: open.map(({ attemptId }) => attemptId),
    ended: [],
    parts: parts.map(({ attemptId, recipients }) => ({ attemptId, recipients: [...recipients] })),
  };
}
