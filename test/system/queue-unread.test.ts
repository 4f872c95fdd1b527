// Mails whose recipients stand in their envelopes only, taken over while these cannot be read: nobody may be sent a second copy
// meanwhile, and the others do not wait for them.
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { QueueRig, type RunningQueue, until } from '#kit/queue-rig.ts';
import type { FakeWorker } from '#kit/queue-worker.ts';
import { subjects } from '#libs/nats/layout.ts';
import type { Job } from '#proto/postrider/v1/job.ts';

jest.setTimeout(60_000);

let rig: QueueRig;
let worker: FakeWorker;
let job: Job;

beforeEach(async () => {
  rig = await QueueRig.start({ partitions: 1, policy: { inDoubt: 'hold' } });
  worker = await rig.worker();
  worker.decide = () => 'keep';
  const owner = await rig.openQueue();
  await rig.accept([{ to: ['a@a.example', 'b@a.example'], unlisted: true }]);
  job = await worker.job(() => true);
  expect(await worker.checkpoint(job)).toBe('passed');
  await owner.kill();
});

afterEach(() => rig.stop());

/** The next owner, for which no record answers until it is told to. */
async function blindOwner(): Promise<{ owner: RunningQueue; see: () => void }> {
  const owner = await rig.queue();
  const { direct } = owner.context;
  const bySequence = direct.bySequence.bind(direct);
  direct.bySequence = async () => ({ kind: 'unavailable' });
  await until(() => owner.queue.partitions.get(0)?.isOpen === true);
  const see = () => {
    direct.bySequence = bySequence;
  };
  return { owner, see };
}

describe('A mail whose recipients cannot be read', () => {
  test('is held, once they can be, when its worker is gone with an open checkpoint', async () => {
    await worker.die();
    const other = await rig.worker();
    const { owner, see } = await blindOwner();
    const [fresh] = await rig.accept([{ to: ['c@c.example'] }]);
    await other.job(({ queueId }) => queueId === fresh);
    see();
    await until(async () => (await rig.states())[0]?.recipients.every(({ phase }) => phase === 5) === true);
    await until(async () => (await rig.records('CHECKPOINTS', subjects.checkpoint(0))).length === 0);
    expect([owner.inDoubt, other.taken.length]).toEqual([[job.attemptId], 1]);
  });

  test('is adopted, once they can be, from the worker that has it', async () => {
    const { owner, see } = await blindOwner();
    worker.decide = () => 'RELAYED';
    const [fresh] = await rig.accept([{ to: ['c@c.example'] }]);
    await worker.job(({ queueId }) => queueId === fresh);
    worker.finish(job, 'RELAYED');
    await until(() => worker.acknowledged.length === 1);
    see();
    await until(() => rig.isEmpty());
    expect([owner.inDoubt, worker.taken.length, worker.acknowledged.at(-1)]).toEqual([[], 2, job.attemptId]);
  });
});
