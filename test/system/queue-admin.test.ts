import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { QueueRig, type RunningQueue, siteOf, until } from '#kit/queue-rig.ts';
import { BUSY, type FakeWorker } from '#kit/queue-worker.ts';
import { QueueAdmin } from '../../services/queue/admin.actor.ts';

jest.setTimeout(60_000);

let rig: QueueRig;
let worker: FakeWorker;
let queues: RunningQueue[];
let admins: QueueAdmin[];

beforeEach(async () => {
  rig = await QueueRig.start({ partitions: 4, policy: { scheduleMs: [600_000] } });
  [worker, ...queues] = await Promise.all([rig.worker(), rig.queue(), rig.queue()]);
  const around = { instances: () => 2, clocks: () => CLOCKS };
  admins = queues.map(({ context, queue }) => new QueueAdmin({ ...context, ...around, queue }));
  const held = () => queues.reduce((sum, { queue }) => sum + queue.partitions.size, 0);
  await until(() => held() === 4);
});

afterEach(async () => {
  for (const admin of admins) admin.stop();
  await rig.stop();
});

/** As the instance that is asked sees them. */
const CLOCKS = { differMs: 12_300, instance: 'queue-b', isAhead: true };

const ALL = { domain: '', limit: 0 };

async function acceptEverywhere(domain: string): Promise<string[]> {
  const ids: string[] = [];
  for (let partition = 0; partition < 4; partition++) {
    ids.push(...(await rig.accept([{ to: [`user@${domain}`] }], partition)));
  }
  return ids;
}

describe('the operator', () => {
  test('sees what waits in all instances, oldest first, from any of them', async () => {
    worker.decide = () => 'DEFERRED';
    const ids = await acceptEverywhere('a.example');
    await until(() => worker.acknowledged.length === 4);
    for (const admin of admins) {
      const { mails, summary } = await admin.list(ALL);
      expect(mails.map(({ queueId }) => queueId)).toEqual(ids);
      expect(summary).toEqual({
        mails: 4,
        phases: [{ phase: 'deferred', recipients: 4 }],
        instances: 2,
        answered: 2,
        clocks: CLOCKS,
        partitionsMissed: 0,
      });
      const [mail] = mails;
      expect(mail).toMatchObject({ reversePath: 'sender@rig.example', moreRecipients: 0 });
      expect(mail!.recipients).toMatchObject([
        { forwardPath: 'user@a.example', phase: 'deferred', site: siteOf('a.example').key, attempts: 1 },
      ]);
      expect(mail!.recipients[0]!.lastReply).toEqual(BUSY);
      expect(mail!.recipients[0]!.nextAttemptAtMs).toBeGreaterThan(Date.now() + 500_000);
    }
    const cut = await admins[0]!.list({ domain: 'a.example', limit: 2 });
    expect(cut.mails.map(({ queueId }) => queueId)).toEqual(ids.slice(0, 2));
    expect(cut.summary.mails).toBe(4);
    expect((await admins[0]!.list({ domain: 'b.example', limit: 0 })).summary.mails).toBe(0);
  });

  test('is told when an instance does not answer', async () => {
    admins[1]!.stop();
    const { summary } = await admins[0]!.list(ALL);
    expect(summary).toMatchObject({ instances: 2, answered: 1 });
  });

  test('makes deferred mail due, by domain, by queue id, or all of it', async () => {
    worker.decide = () => 'DEFERRED';
    const [first] = await acceptEverywhere('a.example');
    await acceptEverywhere('b.example');
    await until(() => worker.acknowledged.length === 8);
    worker.decide = () => 'RELAYED';
    expect((await admins[0]!.flush({ queueId: first!, domain: '' })).recipients).toBe(1);
    await until(() => worker.acknowledged.length === 9);
    expect((await admins[1]!.flush({ queueId: '', domain: 'b.example' })).recipients).toBe(4);
    await until(() => worker.acknowledged.length === 13);
    expect((await admins[0]!.flush({ queueId: '', domain: '' })).recipients).toBe(3);
    await until(() => rig.isEmpty());
    expect((await admins[0]!.flush({ queueId: '', domain: '' })).recipients).toBe(0);
  });

  test('is told of mail whose owner changes: it is not listed, and not made due', async () => {
    worker.decide = () => 'DEFERRED';
    const [first] = await acceptEverywhere('a.example');
    await until(() => worker.acknowledged.length === 4);
    const partition = queues.map(({ queue }) => queue.partitions.get(0)).find((one) => one !== undefined)!;
    worker.decide = () => 'RELAYED';
    for (const phase of ['opening', 'closing'] as const) {
      partition.phase = phase;
      expect((await admins[0]!.list(ALL)).summary).toMatchObject({ mails: 3, partitionsMissed: 1 });
      const flushed = await admins[1]!.flush({ queueId: first!, domain: '' });
      expect(flushed).toEqual({ recipients: 0, instances: 2, answered: 2, partitionsMissed: 1 });
    }
    partition.phase = 'open';
    const flushed = await admins[1]!.flush({ queueId: first!, domain: '' });
    expect(flushed).toEqual({ recipients: 1, instances: 2, answered: 2, partitionsMissed: 0 });
    await until(() => worker.acknowledged.length === 5);
  });

  test('sees that a site is suspended, and has it tried at once', async () => {
    worker.decide = () => 'keep';
    await rig.accept([{ to: ['user@a.example'] }], 0);
    const job = await worker.job(() => true);
    const until1 = Date.now() + 300_000;
    worker.status(0, { siteKey: siteOf('a.example').key, window: 0, suspendedUntilMs: until1, reason: BUSY });
    worker.finish(job, 'RETURNED');
    await until(async () => (await admins[0]!.list(ALL)).mails[0]?.recipients[0]?.phase === 'site suspended');
    const [mail] = (await admins[1]!.list(ALL)).mails;
    expect(mail!.recipients[0]!.lastReply).toEqual(BUSY);
    expect(Math.abs(mail!.recipients[0]!.nextAttemptAtMs - until1)).toBeLessThan(1000);
    worker.decide = () => 'RELAYED';
    expect((await admins[1]!.flush({ queueId: '', domain: 'a.example' })).recipients).toBe(1);
    await until(() => rig.isEmpty());
  });
});
