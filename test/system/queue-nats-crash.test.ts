import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { QueueRig, until } from '#kit/queue-rig.ts';
import { subjects } from '#libs/nats/layout.ts';
import { RecordWriter } from '#libs/nats/records.ts';

jest.setTimeout(60_000);

const MAILS = 150;
const mailsTo = (domain: string) => Array.from({ length: MAILS }, (_, i) => ({ to: [`r${i}@${domain}`] }));

let rig: QueueRig;

beforeEach(async () => {
  rig = await QueueRig.start({ partitions: 1, policy: { scheduleMs: [1000, 60_000] } });
});

afterEach(() => rig.stop());

describe('A crash of nats-server', () => {
  test('brings no settled mail back, and no older state of one that waits', async () => {
    const worker = await rig.worker();
    worker.decide = () => 'DEFERRED';
    const first = await rig.openQueue();
    const over = await rig.accept(mailsTo('over.example'));
    const waiting = await rig.accept(mailsTo('waits.example'));
    await until(() => worker.acknowledged.length === 2 * MAILS);
    worker.decide = (job) => (over.includes(job.queueId) ? 'RELAYED' : 'DEFERRED');
    await until(() => worker.acknowledged.length === 4 * MAILS);
    await until(async () => (await rig.records('QUEUE', subjects.mail(0, '*'))).length === MAILS);
    const before = await rig.states();
    await first.kill();
    const jobs = worker.taken.length;

    await rig.nats.kill('SIGKILL');
    await rig.nats.restart();
    await until(() => rig.link.connected);
    expect(await rig.states()).toEqual(before);

    await rig.openQueue();
    await pause(1500);
    expect(worker.taken.slice(jobs)).toEqual([]);
    expect((await rig.states()).map(({ queueId }) => queueId).toSorted()).toEqual(waiting.toSorted());
  });
});

describe('A new owner', () => {
  test('removes what an earlier one left that newer records overrule', async () => {
    const writer = new RecordWriter(rig.link);
    const subject = subjects.mail(0, 'left');
    for (const text of ['an old state', 'a newer one', '']) {
      await writer.store({ subject, payload: Buffer.from(text), id: '', giveUpAfterMs: 5000 });
    }
    const running = await rig.openQueue();
    await until(async () => (await rig.records('QUEUE', subject)).length === 0);
    expect(running.troubles).toEqual([]);
    await running.stop();
    const second = await rig.openQueue();
    await until(async () => (await rig.records('QUEUE', subjects.owner(0))).length === 1);
    await second.stop();
  });
});
