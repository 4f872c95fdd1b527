// Records of checkpoints as an owner reads them, and as it writes those that are open again, in records of a bounded size.
import { seats } from '#libs/nats/checkpoint-seats.ts';
import { readMessage } from '#libs/nats/decoding.ts';
import type { StoredRecord } from '#libs/nats/reading.ts';
import { Checkpoint } from '#proto/postrider/v1/job.ts';
import type { OpenCheckpoint } from './checkpoint-ledger.ts';

/** As many as have room in one record together, all of one worker: a record speaks in its name. */
export function partsToCopy(open: Iterable<OpenCheckpoint>): OpenCheckpoint[][] {
  const byWorker = new Map<string, OpenCheckpoint[]>();
  for (const one of open) {
    const some = byWorker.get(one.worker);
    if (some === undefined) byWorker.set(one.worker, [one]);
    else some.push(one);
  }
  const parts: OpenCheckpoint[][] = [];
  for (let rest of byWorker.values()) {
    while (rest.length > 0) {
      const count = seats(rest, ({ recipients }) => recipients.length);
      parts.push(rest.slice(0, count));
      rest = rest.slice(count);
    }
  }
  return parts;
}

/** The record of a part that is not empty. */
export function copyOf(part: readonly OpenCheckpoint[]): Checkpoint {
  const some = part.filter(({ recipients }) => recipients.length > 0);
  return {
    worker: part[0]!.worker,
    attemptIds: part.map(({ attemptId }) => attemptId),
    ended: [],
    parts: some.map(({ attemptId, recipients }) => ({ attemptId, recipients: [...recipients] })),
  };
}

const UNREADABLE: Checkpoint = { worker: '', attemptIds: [], ended: [], parts: [] };

/** One that cannot be read says nothing. */
export function checkpointOf({ data, subject }: StoredRecord): Checkpoint {
  return readMessage(Checkpoint, data, subject) ?? UNREADABLE;
}
