// What leaves SPOOL while something stays in it, with a real nats-server.
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { QueueRig, type RunningQueue, until } from '#kit/queue-rig.ts';
import type { FakeWorker } from '#kit/queue-worker.ts';
import { QUARANTINE_STREAM, subjects } from '#libs/nats/layout.ts';
import { RecordWriter } from '#libs/nats/records.ts';
import { deleteRecord } from '#libs/nats/trimming.ts';
import { encodeIndex } from '#libs/pack/pack.ts';

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

/** Stores octets that are nothing. */
async function storeNonsense(subject: string, headers: Record<string, string> = {}): Promise<void> {
  const record = { subject, payload: Buffer.from([0x0f, 0xff, 0x07]), id: '', headers };
  const stored = await new RecordWriter(rig.link).store({ ...record, giveUpAfterMs: 5000 });
  expect(stored.kind).toBe('stored');
}

const aside = () => rig.records(QUARANTINE_STREAM, 'quarantine.*');

describe('a record that cannot be read', () => {
  test.each<[string, Record<string, string>]>([
    ['without an index', {}],
    ['with an index of nothing', { 'Postrider-Index': encodeIndex({ entries: [] }) }],
    ['with an index that is nonsense', { 'Postrider-Index': 'Dw8PDw8P/w==' }],
  ])('among packs, %s, is put aside and holds nothing', async (_, headers) => {
    await storeNonsense(subjects.spool(0), headers);
    for (let i = 0; i < 20; i++) await rig.accept([{ to: ['a@a.example'] }]);
    await until(() => worker.acknowledged.length === 20);
    await until(() => rig.isEmpty());
    expect(first.quarantined).toHaveLength(1);
    const [copy] = await aside();
    expect([copy!.header('Postrider-Was-Subject'), [...copy!.data]]).toEqual(['spool.0', [0x0f, 0xff, 0x07]]);
  });

  test('among packs that a new owner finds is put aside, too, once', async () => {
    await first.kill();
    await storeNonsense(subjects.spool(0));
    await rig.accept([{ to: ['a@a.example'] }]);
    const second = await rig.openQueue();
    await until(() => rig.isEmpty());
    await second.kill();
    await rig.openQueue();
    expect(await aside()).toHaveLength(1);
  });

  test('in place of a state is put aside, and so is one in place of lines', async () => {
    await first.kill();
    await storeNonsense(subjects.mail(0, '00mail'));
    await storeNonsense(subjects.settle(0));
    const second = await rig.openQueue();
    await until(() => second.quarantined.length === 2);
    await until(async () => (await rig.records('QUEUE', subjects.mail(0, '*'))).length === 0);
    const from = (await aside()).map((copy) => copy.header('Postrider-Was-Subject'));
    expect(from.sort()).toEqual(['queue.0.m.00mail', 'settle.0']);
  });
});

/** The worker gives back every job of the mail, until its owner gives it up. */
async function untilLostAtWorker(queueId: string): Promise<void> {
  const given = new Set<string>();
  await until(() => {
    for (const job of worker.jobsOf(queueId)) {
      if (!given.has(job.attemptId)) worker.miss(job);
      given.add(job.attemptId);
    }
    return first.contentLost.length === 1;
  }, 30_000);
}

describe('a mail whose content is gone', () => {
  test('from its pack before it could leave it is settled loudly, and holds no other', async () => {
    worker.decide = () => 'keep';
    const [queueId] = await rig.accept([{ to: ['a@a.example'] }]);
    const job = await worker.job(() => true);
    await deleteRecord(rig.link, 'SPOOL_0', job.ref!.sequence);
    worker.decide = (one) => (one.queueId === queueId ? 'DEFERRED' : 'RELAYED');
    worker.finish(job, 'DEFERRED');
    for (let i = 0; i < 20; i++) await rig.accept([{ to: ['a@a.example'] }]);
    await until(() => rig.isEmpty(), 30_000);
    expect(first.contentLost).toEqual([queueId]);
    await until(() => worker.unacknowledged.size === 0);
    expect(await aside()).toEqual([]);
  });

  test('from STORE is settled when a worker does not find it, and its state goes', async () => {
    worker.decide = (one) => (one.attempts === 0 ? 'DEFERRED' : 'keep');
    const [queueId] = await rig.accept([{ to: ['a@a.example'] }]);
    const job = await worker.job((one) => one.attempts === 1);
    await deleteRecord(rig.link, 'STORE_0', job.ref!.sequence);
    await untilLostAtWorker(queueId!);
    await until(() => rig.isEmpty());
  });

  test('but for its envelope is reported to its sender', async () => {
    const lost = await rig.chunk(Buffer.alloc(1000, 'a'));
    await deleteRecord(rig.link, lost.stream, lost.sequence);
    worker.decide = (_, site) => (site.key.includes('a.example') ? 'keep' : 'RELAYED');
    const [queueId] = await rig.accept([{ to: ['a@a.example'], from: 'me@home.example', chunks: [lost] }]);
    await worker.job((job) => job.queueId === queueId);
    await untilLostAtWorker(queueId!);
    const report = await worker.job((job) => job.queueId !== queueId);
    expect(worker.taken.find(({ job }) => job === report)!.site.key).toBe('smtp:home.example:25');
    await until(() => rig.isEmpty());
  });

  test('whose recipients nobody knows is settled, too', async () => {
    await first.kill();
    // Of the first one not even the recipients are known: its frame is cut off.
    const nothing = { offset: 0, length: 1_000_000, acceptedAtMs: Date.now(), domains: [], size: 1 };
    const entry = { ...nothing, queueId: '00mailwithoutcontent', nullReversePath: false, trace: undefined };
    await storeNonsense(subjects.spool(0), { 'Postrider-Index': encodeIndex({ entries: [entry] }) });
    await rig.accept([{ to: ['c@c.example'] }]);
    const second = await rig.openQueue();
    await until(() => second.contentLost.length === 1, 30_000);
    expect(second.contentLost).toEqual(['00mailwithoutcontent']);
    await until(() => rig.isEmpty());
    // What there was of it is kept.
    expect((await aside()).map(({ data }) => [...data])).toEqual([[0x0f, 0xff, 0x07]]);
  });
});
