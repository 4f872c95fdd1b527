// Passes the checkpoint of one attempt as a delivery worker does, for tests of those who act on checkpoints: stored behind the
// newest fence of the partition, and refused when that is of a newer owner than the job, or of one that has given the worker up.
//
// Fails: `unavailable` when JetStream does not answer in time; the checkpoint may be stored then.

import { setTimeout as pause } from 'node:timers/promises';
import { partsOfAttemptId } from '#libs/mail/attempt-id.ts';

import { lastRecord } from '#libs/nats/direct-get.ts';
import { CHECKPOINTS_STREAM, subjects } from '#libs/nats/layout.ts';
import type { Link } from '#libs/nats/link.ts';
import { RecordWriter } from '#libs/nats/records.ts';
import { Checkpoint, Fence, type Job, OutcomeBatch } from '#proto/postrider/v1/job.ts';

const TRIES = 20;
const MOMENT_MS = 50;

export type Passage = 'passed' | 'fenced' | 'unavailable';

interface KnownFence {
  sequence: number;
  fence: Fence;
}

export class FencedCheckpoints {
  readonly #link: Link;
  readonly #writer: RecordWriter;
  /** By partition. */
  readonly #fences = new Map<number, KnownFence>();

  constructor(link: Link) {
    this.#link = link;
    this.#writer = new RecordWriter(link);
  }

  /** `passed`: the final dot may be sent. `fenced`: somebody else may be sent the job by now. */
  async pass(
    job: Pick<Job, 'attemptId' | 'partition' | 'epoch' | 'recipients' | 'fenced'>,
  ): Promise<Passage> {
    const { attemptId, partition, recipients } = job;
    const worker = this.#link.instance;
    const parts = recipients.length === 0 ? [] : [{ attemptId, recipients }];
    const payload = Checkpoint.encode({ worker, attemptIds: [attemptId], ended: [], parts }).finish();
    for (let tries = 0; tries < TRIES; tries++) {
      const known = this.#fences.get(partition) ?? (await this.#read(partition));
      if (known === undefined) continue;
      if (this.#isFenced(job, known.fence)) return 'fenced';
      if (job.fenced === true && known.fence.epoch < job.epoch) {
        this.#fences.delete(partition);
        await this.#missFence(partition);
        continue;
      }
      const stored = await this.#writer.store({
        subject: subjects.checkpoint(partition),
        payload,
        id: '',
        fence: { subject: subjects.fence(partition), sequence: known.sequence },
        giveUpAfterMs: 2000,
      });
      if (stored.kind === 'stored') return 'passed';
      this.#fences.delete(partition);
    }
    return 'unavailable';
  }

  /** As a worker does: its owner is told, and gets a moment. */
  async #missFence(partition: number): Promise<void> {
    const batch = { worker: this.#link.instance, accepted: [], outcomes: [], sites: [], unfenced: true };
    this.#link.publish(subjects.outcome(partition), OutcomeBatch.encode(batch).finish());
    await pause(MOMENT_MS);
  }

  #isFenced({ attemptId, epoch }: Pick<Job, 'attemptId' | 'epoch'>, fence: Fence): boolean {
    if (fence.epoch !== epoch) return fence.epoch > epoch;
    const { number, epoch: leasedBy } = partsOfAttemptId(attemptId);
    const mine = fence.excluded.filter(({ worker }) => worker === this.#link.instance);
    const { admitted } = fence;
    const isAdmitted = admitted === undefined || admitted.workers.includes(this.#link.instance);
    const all = isAdmitted ? mine : [...mine, admitted];
    return all.some(({ through }) => leasedBy < epoch || number <= through);
  }

  async #read(partition: number): Promise<KnownFence | undefined> {
    const last = await lastRecord(this.#link, CHECKPOINTS_STREAM, subjects.fence(partition));
    if (last.kind === 'unavailable') return undefined;
    const known =
      last.kind === 'missing'
        ? { sequence: 0, fence: { epoch: 0, excluded: [], admitted: undefined } }
        : { sequence: last.record.sequence, fence: Fence.decode(last.record.data) };
    this.#fences.set(partition, known);
    return known;
  }
}
