// Records that can be read and say what cannot be, in the streams that an owner reads, with a real nats-server: each is put aside or
// passed over, by the owner that runs and by the one that takes over, and mail goes on.
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { QueueRig, type RunningQueue, until } from '#kit/queue-rig.ts';
import type { FakeWorker } from '#kit/queue-worker.ts';
import { QUARANTINE_STREAM, subjects } from '#libs/nats/layout.ts';
import { RecordWriter } from '#libs/nats/records.ts';
import { encodeIndex } from '#libs/pack/pack.ts';
import { Checkpoint, Fence } from '#proto/postrider/v1/job.ts';
import { MailState, type PackEntry, SettleBatch } from '#proto/postrider/v1/mail.ts';

jest.setTimeout(60_000);

const ID = '00abcdefghijklmnopqr';

let rig: QueueRig;
let worker: FakeWorker;
let first: RunningQueue;

beforeEach(async () => {
  rig = await QueueRig.start();
  [worker, first] = await Promise.all([rig.worker(), rig.openQueue()]);
});

afterEach(() => rig.stop());

async function store(
  subject: string,
  payload: Uint8Array,
  headers: Record<string, string> = {},
): Promise<void> {
  const stored = await new RecordWriter(rig.link).store({
    subject,
    payload,
    id: '',
    headers,
    giveUpAfterMs: 5000,
  });
  expect(stored.kind).toBe('stored');
}

async function isDelivered(): Promise<void> {
  const [id] = await rig.accept([{ to: ['behind@b.example'] }]);
  await until(() => worker.jobsOf(id!).length === 1, 25_000);
}

function packOf(other: Partial<PackEntry>): Promise<void> {
  const mail = {
    queueId: ID,
    offset: 0,
    length: 1,
    acceptedAtMs: Date.now(),
    nullReversePath: false,
    size: 1,
  };
  const domains = [{ domain: 'a.example', count: 1 }];
  const entries = [{ ...mail, domains, trace: undefined, ...other }];
  return store(subjects.spool(0), Buffer.from('x'), { 'Postrider-Index': encodeIndex({ entries }) });
}

function stateOf(other: Partial<MailState>, token = ID): Promise<void> {
  const ref = { stream: 'STORE_0', sequence: 1, offset: 0, length: 9 };
  const said = { delayReported: false, endedAttempts: [], recipients: [] };
  const mail = { queueId: ID, ref, acceptedAtMs: 1, nullReversePath: false, size: 1, trace: undefined };
  return store(subjects.mail(0, token), MailState.encode({ ...mail, ...said, ...other }).finish());
}

const aside = () => rig.records(QUARANTINE_STREAM, 'quarantine.*');

describe('What can be read and cannot be', () => {
  test('as a pack is put aside at once, and ends nobody', async () => {
    const run = (count: number) => ({ domains: [{ domain: 'a.example', count }] });
    const packs = [
      run(4_294_967_295),
      { queueId: '' },
      { queueId: '*' },
      { queueId: 'a b' },
      { queueId: 'a.b' },
    ];
    for (const pack of packs) await packOf(pack);
    await until(async () => (await aside()).length === packs.length);
    await isDelivered();
    await until(() => rig.isEmpty());
  });

  test('as a state is put aside by the next owner, and keeps no partition closed', async () => {
    await first.kill();
    await stateOf({ ref: undefined });
    await stateOf({ ref: { stream: 'a b', sequence: 1, offset: 0, length: 9 } }, '00abcdefghijklmnopqs');
    await stateOf({ queueId: '*' }, 'star');
    await stateOf({ queueId: 'a b' }, 'two');
    await stateOf({}, '00abcdefghijklmnopqt');
    await store(
      subjects.settle(0),
      SettleBatch.encode({ packs: [{ sequence: Number.MAX_SAFE_INTEGER, entries: [9] }] }).finish(),
    );
    await rig.openQueue();
    await until(async () => (await aside()).length === 5);
    await isDelivered();
    await until(() => rig.isEmpty());
  });

  test('as a checkpoint costs an owner no more than a change', async () => {
    const parts = [{ attemptId: 'nobody', recipients: [4_294_967_295] }];
    for (const attemptIds of [['', '.', '...'], [`${ID}.1.zzzzzzzzz`]]) {
      await store(
        subjects.checkpoint(0),
        Checkpoint.encode({ worker: 'a b', attemptIds, ended: [''], parts }).finish(),
      );
    }
    await until(() => first.queue.partitions.get(0)?.isOpen === true, 25_000);
    await isDelivered();
    await first.kill();
    await rig.openQueue();
    await isDelivered();
  });

  test('as a fence is written over', async () => {
    for (const octets of [
      Buffer.from([0x0f, 0xff]),
      Buffer.alloc(0),
      Fence.encode({ epoch: 0, excluded: [], admitted: undefined }).finish(),
    ]) {
      await store(subjects.fence(0), octets);
    }
    await isDelivered();
    await first.kill();
    await rig.openQueue();
    await isDelivered();
  });
});
