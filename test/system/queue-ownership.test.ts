// Who owns partitions while instances stand still and come back, and what an owner may do that does not know whether it is one.
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { Cluster } from '#kit/cluster.ts';
import { readMetric } from '#kit/cluster-metrics.ts';
import { QueueRig, until } from '#kit/queue-rig.ts';

jest.setTimeout(120_000);

const PARTITIONS = 16;
const one = [{ to: ['a@a.example'] }];

describe('An owner that does not know whether it still is one', () => {
  let rig: QueueRig;

  beforeEach(async () => {
    rig = await QueueRig.start({ partitions: 2 });
  });

  afterEach(() => rig.stop());

  test('sends nothing of a partition until somebody can tell, and goes on with those that it knows of', async () => {
    const worker = await rig.worker();
    const owner = await rig.openQueue();
    const { direct } = owner.context;
    const lastOf = direct.lastOf.bind(direct);
    const asked: string[] = [];
    let answers = false;
    direct.lastOf = async (stream, subject) => {
      if (answers || !subject.endsWith('.0.owner')) return lastOf(stream, subject);
      asked.push(subject);
      return { kind: 'unavailable' };
    };
    await rig.nats.kill('SIGKILL');
    await rig.nats.restart();
    await until(() => owner.link.connected && rig.link.connected && worker.link.connected);
    const [doubted] = await rig.accept(one, 0);
    const [sure] = await rig.accept(one, 1);
    await until(() => worker.jobsOf(sure!).length === 1);
    const sent = () => worker.jobsOf(doubted!);
    await until(() => asked.length >= 3 || sent().length > 0, 20_000);
    expect(sent()).toEqual([]);
    answers = true;
    await until(() => worker.jobsOf(doubted!).length === 1);
    await until(() => rig.isEmpty());
  });

  test('or whose heartbeats nobody confirms sends nothing', async () => {
    const worker = await rig.worker();
    const owner = await rig.openQueue();
    owner.seemDead();
    await until(() => !owner.queue.hasLease);
    await rig.accept(one, 0);
    const isThere = () => [...owner.queue.partitions.values()].some(({ mails }) => mails.size === 1);
    await until(() => isThere() || worker.taken.length > 0);
    await pause(500);
    expect(worker.taken).toEqual([]);
    await rig.openQueue();
    await until(() => rig.isEmpty());
    expect(worker.taken).toHaveLength(1);
  });
});

describe('Two instances of the queue', () => {
  test('own every partition but for a moment when one of them stood still and is back', async () => {
    const cluster = await Cluster.start({
      instances: { queue: 2 },
      config: { nats: { partitions: PARTITIONS } },
    });
    const owned = async (index: number) =>
      (await readMetric(cluster.metricsUrl('queue', index), 'postrider_queue_partitions')) ?? 0;
    try {
      const all = async () => ((await owned(0)) + (await owned(1)) === PARTITIONS ? true : undefined);
      await cluster.until('all to be owned', all);
      const frozen = cluster.process('queue', 0);
      process.kill(frozen.pid!, 'SIGSTOP');
      await cluster.until('the other to own all', async () =>
        (await owned(1)) === PARTITIONS ? true : undefined,
      );
      process.kill(frozen.pid!, 'SIGCONT');
      let longestMs = 0;
      let wholeAtMs = performance.now();
      const shares = { back: 0 };
      await cluster.until(
        'the one that is back to own its share',
        async () => {
          const [first, second] = [await owned(0), await owned(1)];
          // One that has not noticed yet counts what it owned before.
          if (first + second >= PARTITIONS) wholeAtMs = performance.now();
          longestMs = Math.max(longestMs, performance.now() - wholeAtMs);
          shares.back = first;
          return first > 0 && second < PARTITIONS && first + second === PARTITIONS ? true : undefined;
        },
        40_000,
      );
      expect(longestMs).toBeLessThan(3000);
      expect(shares.back).toBeGreaterThan(0);
    } finally {
      await cluster.stop();
    }
  });
});
