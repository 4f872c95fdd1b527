import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { QueueRig, type RunningQueue, siteOf, until } from '#kit/queue-rig.ts';
import { BUSY, type FakeWorker, GONE } from '#kit/queue-worker.ts';
import { subjects } from '#libs/nats/layout.ts';
import { SettleBatch } from '#proto/postrider/v1/mail.ts';

jest.setTimeout(60_000);

let rig: QueueRig;
let worker: FakeWorker;
let first: RunningQueue;

beforeEach(async () => {
  rig = await QueueRig.start();
  [worker, first] = await Promise.all([rig.worker(), rig.openQueue()]);
});

afterEach(() => rig.stop());

describe('the queue, with a mail', () => {
  test('that is accepted by its host settles it and forgets it', async () => {
    const [queueId] = await rig.accept([{ to: ['a@a.example', 'b@a.example'] }, { to: ['c@b.example'] }]);
    await until(() => worker.acknowledged.length === 2);
    await until(() => rig.isEmpty());
    const [job] = worker.jobsOf(queueId!);
    expect(job).toMatchObject({ queueId, partition: 0, recipients: [], attempts: 0, ownTrace: false });
    expect(job!.startByMs).toBeGreaterThan(Date.now() + 200_000);
    const lines = await rig.records('SETTLE', subjects.settle(0));
    const settled = lines.flatMap(({ data }) => SettleBatch.decode(data).packs);
    expect(settled.at(-1)!.sequence).toBe(1);
    expect(rig.asked.sort()).toEqual(['a.example', 'b.example']);
    expect(first.troubles).toEqual([]);
  });

  test('that is deferred moves it out of its pack and tries it again on time', async () => {
    worker.decide = (job) => (job.attempts === 0 ? 'DEFERRED' : 'RELAYED');
    const [queueId] = await rig.accept([{ to: ['a@a.example'] }]);
    await until(async () => (await rig.states()).length === 1);
    const deferredAtMs = Date.now();
    const [state] = await rig.states();
    expect(state).toMatchObject({ queueId, recipients: [{ attempts: 1, lastReply: BUSY }] });
    await until(async () => (await rig.packs()).length === 0);
    const again = await worker.job((job) => job.attempts === 1);
    expect(Date.now() - deferredAtMs).toBeGreaterThan(1000);
    expect(Date.now() - deferredAtMs).toBeLessThan(20_000);
    expect(again.ref).toMatchObject({ stream: 'STORE_0', sequence: state!.ref!.sequence, offset: 0 });
    await until(() => rig.isEmpty());
    expect(worker.acknowledged).toHaveLength(2);
  });

  test('whose recipients have different fates remembers each of them', async () => {
    worker.decide = (_, site) => (site.key.includes('busy') ? 'DEFERRED' : 'RELAYED');
    await rig.accept([{ to: ['a@ok.example', 'b@busy.example', 'c@ok.example'] }]);
    await until(async () => (await rig.states())[0]?.recipients[1]?.attempts === 1);
    await first.kill();
    worker.taken.length = 0;
    worker.decide = () => 'RELAYED';
    await rig.openQueue();
    await until(() => rig.isEmpty());
    expect(worker.taken.map(({ job }) => job.recipients)).toEqual([[1]]);
  });

  test('with more recipients than its index lists finds them in the envelope', async () => {
    await rig.accept([{ to: ['a@a.example', 'b@b.example'], unlisted: true }]);
    await until(() => rig.isEmpty());
    expect(worker.taken.map(({ site }) => site.key).sort()).toEqual([
      'smtp:a.example:25',
      'smtp:b.example:25',
    ]);
  });

  test('in chunks removes them when it is settled', async () => {
    const chunks = [await rig.chunk(Buffer.alloc(1000, 'a')), await rig.chunk(Buffer.alloc(1000, 'b'))];
    await rig.accept([{ to: ['a@a.example'], chunks }]);
    await until(() => worker.acknowledged.length === 1);
    await until(() => rig.isEmpty());
  });

  test('in chunks that was deferred removes them, too', async () => {
    worker.decide = (job) => (job.attempts === 0 ? 'DEFERRED' : 'RELAYED');
    const chunks = [await rig.chunk(Buffer.alloc(1000, 'a'))];
    await rig.accept([{ to: ['a@a.example'], chunks }]);
    await until(() => worker.acknowledged.length === 2);
    await until(() => rig.isEmpty());
  });

  test('with very many recipients remembers what became of each', async () => {
    const to = Array.from({ length: 20_000 }, (_, i) => `user${i}@host${i % 7}.example`);
    worker.decide = (_, site) => (site.key.includes('host3') ? 'DEFERRED' : 'RELAYED');
    await rig.accept([{ to, unlisted: true }]);
    await until(() => worker.unacknowledged.size === 0 && worker.taken.length === 7);
    await first.kill();
    worker.taken.length = 0;
    worker.decide = () => 'RELAYED';
    await rig.openQueue();
    await until(() => rig.isEmpty());
    expect(worker.taken).toHaveLength(1);
    expect(worker.taken[0]!.job.recipients).toHaveLength(Math.ceil((20_000 - 3) / 7));
  });
});

describe('the queue, with a site', () => {
  test('whose worker gives jobs back does not go in circles', async () => {
    worker.decide = () => 'RETURNED';
    await rig.accept([{ to: ['a@a.example'] }]);
    await worker.job(() => true);
    await pause(2500);
    expect(worker.taken.length).toBeGreaterThanOrEqual(2);
    expect(worker.taken.length).toBeLessThanOrEqual(4);
    worker.decide = () => 'RELAYED';
    await until(() => rig.isEmpty());
  });

  test('that is suspended waits until it may be tried, then probes it with one mail', async () => {
    worker.decide = () => 'keep';
    await rig.accept([{ to: ['a@a.example'] }]);
    const probe = await worker.job(() => true);
    const suspendedUntilMs = Date.now() + 2000;
    const status = { siteKey: siteOf('a.example').key, window: 0, suspendedUntilMs, reason: BUSY };
    worker.status(0, status);
    worker.finish(probe, 'RETURNED');
    await rig.accept([{ to: ['b@a.example'] }, { to: ['c@a.example'] }]);
    await until(() => worker.taken.length === 2);
    expect(Date.now()).toBeGreaterThanOrEqual(suspendedUntilMs);
    await pause(1500);
    expect(worker.taken).toHaveLength(2);
    worker.decide = () => 'RELAYED';
    worker.finish(worker.taken[1]!.job, 'RELAYED');
    await until(() => rig.isEmpty());
  });

  test('that nobody serves yet sends the job again when somebody does', async () => {
    await worker.die();
    await rig.accept([{ to: ['a@a.example'] }]);
    await pause(500);
    const late = await rig.worker();
    await until(() => rig.isEmpty());
    expect(late.taken).toHaveLength(1);
    expect(first.inDoubt).toEqual([]);
  });
});

describe('the queue, with a domain', () => {
  test('that the resolver cannot tell of tries it again', async () => {
    rig.routes.set('a.example', { deferred: BUSY });
    await rig.accept([{ to: ['a@a.example'] }]);
    await until(async () => (await rig.states()).length === 1);
    rig.routes.delete('a.example');
    await until(() => rig.isEmpty());
  });

  test('that takes no mail tells the sender', async () => {
    rig.routes.set('a.example', { failed: GONE });
    await rig.accept([{ to: ['a@a.example'], from: 'me@home.example' }]);
    const report = await worker.job(() => true);
    expect(report.queueId.slice(0, 2)).toBe('00');
    await until(() => rig.isEmpty());
    expect(worker.taken.map(({ site }) => site.key)).toEqual(['smtp:home.example:25']);
  });
});
