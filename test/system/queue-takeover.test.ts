import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { QueueRig, until } from '#kit/queue-rig.ts';
import type { FakeWorker } from '#kit/queue-worker.ts';

jest.setTimeout(60_000);

let rig: QueueRig;
let worker: FakeWorker;

beforeEach(async () => {
  rig = await QueueRig.start({ partitions: 4 });
  worker = await rig.worker();
});

afterEach(() => rig.stop());

const one = [{ to: ['a@a.example'] }];

describe('a new owner', () => {
  test('goes on with what the old one remembered', async () => {
    worker.decide = () => 'DEFERRED';
    const first = await rig.openQueue();
    const [queueId] = await rig.accept(one);
    await until(() => worker.acknowledged.length === 1);
    await first.kill();
    worker.decide = () => 'RELAYED';
    await rig.openQueue();
    await until(() => rig.isEmpty());
    expect(worker.jobsOf(queueId!).map(({ attempts }) => attempts)).toEqual([0, 1]);
  });

  test('lets attempts that run end, and acts on them', async () => {
    worker.decide = () => 'keep';
    const first = await rig.openQueue();
    const [queueId] = await rig.accept(one);
    const job = await worker.job(() => true);
    await first.kill();
    await rig.openQueue();
    await pause(2500);
    expect(worker.jobsOf(queueId!)).toHaveLength(1);
    worker.finish(job, 'RELAYED');
    await until(() => rig.isEmpty());
    expect(worker.acknowledged).toEqual([job.attemptId]);
  });

  test('hears outcomes that the old one never acted on', async () => {
    worker.decide = () => 'keep';
    const first = await rig.openQueue();
    const [queueId] = await rig.accept([{ to: ['a@a.example', 'b@b.example'] }]);
    await until(() => worker.taken.length === 2);
    await first.kill();
    for (const job of worker.jobsOf(queueId!)) worker.finish(job, 'RELAYED');
    await rig.openQueue();
    await until(() => rig.isEmpty());
    expect(worker.taken).toHaveLength(2);
    expect(worker.acknowledged).toHaveLength(2);
  });

  test('knows the recipients of a running attempt that no index lists', async () => {
    worker.decide = () => 'keep';
    const first = await rig.openQueue();
    await rig.accept([{ to: ['a@a.example'], unlisted: true }]);
    const job = await worker.job(() => true);
    await first.kill();
    await rig.openQueue();
    await pause(1000);
    worker.finish(job, 'RELAYED');
    await until(() => rig.isEmpty());
    expect(worker.taken).toHaveLength(1);
  });

  test('waits for a worker that is too busy to answer', async () => {
    worker.decide = () => 'keep';
    const first = await rig.openQueue();
    await rig.accept(one);
    const job = await worker.job(() => true);
    await first.kill();
    worker.isMute = true;
    setTimeout(() => {
      worker.isMute = false;
      worker.finish(job, 'RELAYED');
    }, 4000);
    await rig.openQueue();
    await until(() => rig.isEmpty());
    expect(worker.taken).toHaveLength(1);
  });

  test('takes packs that came while nobody was there', async () => {
    const first = await rig.openQueue();
    await first.kill();
    for (let partition = 0; partition < 4; partition++) await rig.accept([...one, ...one], partition);
    await rig.openQueue();
    await until(() => rig.isEmpty());
    expect(worker.taken).toHaveLength(8);
  });

  test('counts an attempt as in doubt whose checkpoint came while nobody was there', async () => {
    worker.decide = () => 'keep';
    const first = await rig.openQueue();
    await rig.accept(one);
    const job = await worker.job(() => true);
    await first.kill();
    expect(await worker.checkpoint(job)).toBe('passed');
    const second = await rig.openQueue();
    const other = await rig.worker();
    await worker.die();
    await until(() => rig.isEmpty());
    expect(second.inDoubt).toEqual([job.attemptId]);
    expect(other.taken).toHaveLength(1);
  });
});

describe('two queue instances', () => {
  test('share the partitions, and hand them over when one stops', async () => {
    await rig.stop();
    const partitions = 16;
    rig = await QueueRig.start({ partitions });
    worker = await rig.worker();
    const [first, second] = await Promise.all([rig.queue(), rig.queue()]);
    const held = () => [first, second].map(({ queue }) => queue.partitions.size);
    await until(() => held().every((count) => count > 0) && held()[0]! + held()[1]! === partitions);
    for (let partition = 0; partition < partitions; partition++) await rig.accept(one, partition);
    await until(() => rig.isEmpty());
    const stoppedAtMs = Date.now();
    await first.stop();
    await until(() => second.queue.partitions.size === partitions);
    expect(Date.now() - stoppedAtMs).toBeLessThan(3000);
    for (let partition = 0; partition < partitions; partition++) await rig.accept(one, partition);
    await until(() => rig.isEmpty());
    expect(worker.taken).toHaveLength(2 * partitions);
    expect([...first.lost, ...second.lost]).toEqual([]);
  });

  test('never both act for a mail, although one only seemed dead', async () => {
    const old = await rig.openQueue();
    old.seemDead();
    const next = await rig.openQueue();
    for (let partition = 0; partition < 4; partition++) {
      await rig.accept(
        Array.from({ length: 10 }, (_, i) => ({ to: [`u${i}@a.example`] })),
        partition,
      );
    }
    await until(() => rig.isEmpty());
    // Workers do not take jobs of the older epoch.
    expect(worker.taken).toHaveLength(40);
    expect(next.lost).toEqual([]);
    // It notices at the latest when it looks at its claim.
    await until(() => old.queue.partitions.size === 0, 20_000);
    expect(old.lost.sort()).toEqual([0, 1, 2, 3]);
  });

  test('are told apart by the fence when the old one has something to remember', async () => {
    worker.decide = () => 'keep';
    const old = await rig.openQueue();
    await rig.accept(one);
    const job = await worker.job(() => true);
    old.seemDead();
    const next = await rig.openQueue();
    worker.finish(job, 'DEFERRED');
    await until(() => old.lost.includes(0));
    await until(() => worker.acknowledged.length === 1);
    const [state] = await rig.states();
    expect(state!.recipients[0]!.attempts).toBe(1);
    worker.decide = () => 'RELAYED';
    await until(() => rig.isEmpty());
    expect(worker.taken.map(({ job: { attempts } }) => attempts)).toEqual([0, 1]);
    expect(next.lost).toEqual([]);
  });
});

describe('an owner whose worker dies', () => {
  test('before the checkpoint repeats the attempt', async () => {
    worker.decide = () => 'keep';
    const { inDoubt } = await rig.openQueue();
    await rig.accept(one);
    const job = await worker.job(() => true);
    const other = await rig.worker();
    await worker.die();
    await until(() => rig.isEmpty());
    expect(other.taken).toHaveLength(1);
    expect(other.taken[0]!.job.attemptId).not.toBe(job.attemptId);
    expect(inDoubt).toEqual([]);
  });

  test('after the checkpoint repeats it, too, and counts it once as in doubt', async () => {
    worker.decide = () => 'keep';
    const { inDoubt } = await rig.openQueue();
    const [queueId] = await rig.accept([...one, ...one]);
    await until(() => worker.taken.length === 2);
    const [job] = worker.jobsOf(queueId!);
    void worker.checkpoint(job!);
    await pause(100);
    const other = await rig.worker();
    await worker.die();
    await until(() => rig.isEmpty());
    expect(other.taken).toHaveLength(2);
    expect(inDoubt).toEqual([job!.attemptId]);
  });

  test('after the checkpoint holds the mail when the policy says so, until an operator releases it', async () => {
    worker.decide = () => 'keep';
    const { queue, inDoubt } = await rig.queue({ inDoubt: 'hold' });
    const [queueId] = await rig.accept(one);
    const job = await worker.job(() => true);
    void worker.checkpoint(job);
    await pause(100);
    const other = await rig.worker();
    await worker.die();
    await until(async () => (await rig.states()).length === 1);
    expect(inDoubt).toEqual([job.attemptId]);
    await pause(500);
    expect(other.taken).toHaveLength(0);
    const partition = queue.partitions.get(0)!;
    partition.feed(partition.find(queueId!)!, { kind: 'flushed', nowMs: Date.now(), domain: '' });
    await until(() => rig.isEmpty());
    expect(other.taken).toHaveLength(1);
  });

  test('believes an outcome that it hears late', async () => {
    worker.decide = () => 'ignore';
    await rig.openQueue();
    const [queueId] = await rig.accept(one);
    // An attempt that this owner does not know: the mail is with nobody, as far as it knows.
    await pause(300);
    worker.decide = () => 'DEFERRED';
    const known = await worker.job(() => true);
    await until(() => worker.acknowledged.includes(known.attemptId));
    worker.finish({ ...known, attemptId: `${queueId}.zz.1` }, 'RELAYED');
    await until(() => rig.isEmpty());
    expect(worker.taken).toHaveLength(1);
    expect(worker.unacknowledged.size).toBe(0);
  });
});

describe('an owner whose nats-server is killed', () => {
  test('goes on where it was when the server is back', async () => {
    worker.decide = (job) => (job.attempts === 0 ? 'DEFERRED' : 'RELAYED');
    const { lost, inDoubt } = await rig.openQueue();
    await rig.accept(Array.from({ length: 50 }, (_, i) => ({ to: [`u${i}@a.example`] })));
    await until(() => worker.taken.length >= 50);
    await rig.nats.kill('SIGKILL');
    await pause(1000);
    await rig.nats.restart();
    await until(() => rig.isEmpty(), 40_000);
    const attempts = new Map<string, number>();
    for (const { job } of worker.taken) attempts.set(job.queueId, (attempts.get(job.queueId) ?? 0) + 1);
    expect([...attempts.values()]).toEqual(Array(50).fill(2));
    expect([...lost, ...inDoubt]).toEqual([]);
  });
});
