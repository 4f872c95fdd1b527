import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { QueueRig, until } from '#kit/queue-rig.ts';
import { subjects } from '#libs/nats/layout.ts';

jest.setTimeout(60_000);

const MAILS = 150;
const mailsTo = (domain: string) => Array.from({ length: MAILS }, (_, i) => ({ to: [`r${i}@${domain}`] }));

let rig: QueueRig;

beforeEach(async () => {
  rig = await QueueRig.start({ partitions: 1, policy: { scheduleMs: [1000, 60_000] } });
});

afterEach(() => rig.stop());

describe('A state that JetStream brings back after a crash', () => {
  test('does not bring its mail back, whose data was removed when it was settled', async () => {
    const worker = await rig.worker();
    worker.decide = () => 'DEFERRED';
    const first = await rig.openQueue();
    const over = await rig.accept(mailsTo('over.example'));
    const waiting = await rig.accept(mailsTo('waits.example'));
    await until(() => worker.acknowledged.length === 2 * MAILS);
    worker.decide = (job) => (over.includes(job.queueId) ? 'RELAYED' : 'DEFERRED');
    await until(async () => (await rig.states()).length === MAILS);
    await until(() => worker.acknowledged.length === 4 * MAILS);
    // The empty records that replaced the states expire after a second.
    await until(async () => (await rig.records('QUEUE', subjects.mail(0, '*'))).length === MAILS);
    await first.kill();
    const jobs = worker.taken.length;

    await rig.nats.kill('SIGKILL');
    await rig.nats.restart();
    await until(() => rig.link.connected);
    const broughtBack = (await rig.states()).length - MAILS;

    const second = await rig.openQueue();
    await pause(1500);
    expect(second.zombies.count).toBe(broughtBack);
    expect(worker.taken.slice(jobs).filter(({ job }) => over.includes(job.queueId))).toEqual([]);
    const left = (await rig.states()).map(({ queueId }) => queueId);
    expect(left.toSorted()).toEqual(waiting.toSorted());
    // nats-server 2.15.1 does bring them back; a version that does not makes this test one of nothing.
    expect(broughtBack).toBeGreaterThan(0);
  });
});
