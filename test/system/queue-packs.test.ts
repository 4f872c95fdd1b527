// What leaves SPOOL while something stays in it, with a real nats-server.
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { QueueRig, type RunningQueue, until } from '#kit/queue-rig.ts';
import type { FakeWorker } from '#kit/queue-worker.ts';

jest.setTimeout(90_000);

let rig: QueueRig;
let worker: FakeWorker;
let first: RunningQueue;

beforeEach(async () => {
  rig = await QueueRig.start();
  [worker, first] = await Promise.all([rig.worker(), rig.openQueue()]);
});

afterEach(() => rig.stop());

describe('a mail whose attempt takes very long', () => {
  test('leaves its pack, and the attempt goes on with the next owner', async () => {
    worker.decide = () => 'keep';
    await rig.accept([{ to: ['slow@a.example'] }]);
    const job = await worker.job(() => true);
    await until(async () => (await rig.states()).length === 1, 20_000);
    await until(async () => (await rig.packs()).length === 0);
    await first.kill();
    const next = await rig.openQueue();
    await until(() => next.queue.partitions.get(0)?.counts().attempts === 1);
    worker.finish(job, 'RELAYED');
    await until(() => rig.isEmpty());
    expect(worker.taken).toHaveLength(1);
  });

  test('is sent with its new place when its worker finds it gone from its pack', async () => {
    worker.decide = () => 'keep';
    await rig.accept([{ to: ['slow@a.example'] }]);
    const job = await worker.job(() => true);
    await until(async () => (await rig.packs()).length === 0, 20_000);
    worker.decide = () => 'RELAYED';
    worker.finish(job, 'RETURNED');
    await until(() => rig.isEmpty());
    expect(worker.taken.map((one) => one.job.ref?.stream)).toEqual(['SPOOL_0', 'STORE_0']);
    expect(worker.taken[1]!.job.attempts).toBe(0);
  });
});
