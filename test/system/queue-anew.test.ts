// The stream of checkpoints is made anew while everybody stays connected: its fences and records are gone, and nobody is told so.
import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { FencedCheckpoints } from '#kit/fenced-checkpoint.ts';
import { QueueRig, type RunningQueue, until } from '#kit/queue-rig.ts';
import type { FakeWorker } from '#kit/queue-worker.ts';
import { callApi } from '#libs/nats/api.ts';
import { subjects } from '#libs/nats/layout.ts';
import { provision } from '#libs/nats/provision.ts';
import { Fence, type Job } from '#proto/postrider/v1/job.ts';

jest.setTimeout(60_000);

let rig: QueueRig;
let worker: FakeWorker;
let owner: RunningQueue;
let job: Job;

beforeEach(async () => {
  rig = await QueueRig.start({ partitions: 1 });
  worker = await rig.worker();
  worker.decide = () => 'keep';
  owner = await rig.openQueue();
  await rig.accept([{ to: ['a@a.example'] }]);
  job = await worker.job(() => true);
});

afterEach(() => rig.stop());

async function remake(): Promise<void> {
  expect(await callApi(rig.link, 'STREAM.DELETE.CHECKPOINTS', undefined, 3000)).toMatchObject({ kind: 'ok' });
  await provision(rig.link, rig.layout);
}

const epochs = async () => {
  const fences = await rig.records('CHECKPOINTS', subjects.fence(0));
  return fences.map(({ data }) => Fence.decode(data).epoch);
};

test('An attempt passes behind the fence of its owner again, at once, and what passed before is still known', async () => {
  await rig.accept([{ to: ['b@a.example'] }]);
  const passedBefore = await worker.job(({ attemptId }) => attemptId !== job.attemptId);
  expect(await worker.checkpoint(passedBefore)).toBe('passed');
  const partition = owner.queue.partitions.get(0)!;
  await remake();
  const beganMs = performance.now();
  expect(await worker.checkpoint(job)).toBe('passed');
  // Without a word of the worker the owner looks every ten seconds.
  expect(performance.now() - beganMs).toBeLessThan(3000);
  expect(await epochs()).toEqual([partition.epoch]);
  const records = () => rig.records('CHECKPOINTS', subjects.checkpoint(0));
  await until(async () => (await records()).length >= 2);
  await owner.kill();
  await worker.die();
  const other = await rig.worker();
  owner = await rig.openQueue();
  await until(() => rig.isEmpty());
  expect(owner.inDoubt.sort()).toEqual([job.attemptId, passedBefore.attemptId].sort());
  expect(other.taken).toHaveLength(2);
});

test('An attempt of an owner that has been replaced does not pass, though the fence that shut it out is gone', async () => {
  const stale = { ...job };
  await owner.kill();
  owner = await rig.openQueue();
  await remake();
  expect(await new FencedCheckpoints(rig.link).pass(stale)).toBe('fenced');
  worker.finish(job, 'RELAYED');
  await until(() => rig.isEmpty());
  expect(owner.inDoubt).toEqual([]);
});
