// The queue while a stream that it stores in is in trouble: others go on, and what waited is stored soon after.
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, describe, expect, jest, test } from '@jest/globals';
import { QueueRig, type RunningQueue, until } from '#kit/queue-rig.ts';
import type { FakeWorker } from '#kit/queue-worker.ts';
import { callApi } from '#libs/nats/api.ts';

jest.setTimeout(120_000);

const PARTITIONS = 8;
const mailsTo = (count: number) => Array.from({ length: count }, (_, i) => ({ to: [`r${i}@grey.example`] }));

let rig: QueueRig;
let worker: FakeWorker;
let running: RunningQueue;

/** Eight partitions in two streams, and hosts that defer everything for long. */
async function start(scheduleMs = [600_000]): Promise<void> {
  rig = await QueueRig.start({ partitions: PARTITIONS, spoolStreams: 2, policy: { scheduleMs } });
  worker = await rig.worker();
  worker.decide = () => 'DEFERRED';
  running = await rig.openQueue();
}

afterEach(() => rig.stop());

/** Changes the configuration of a stream. */
async function reconfigure(stream: string, change: object): Promise<void> {
  const info = await callApi<{ config: object }>(rig.link, `STREAM.INFO.${stream}`, undefined, 5000);
  if (info.kind !== 'ok') throw new Error(`no ${stream}`);
  const config = { ...info.value.config, ...change };
  const updated = await callApi(rig.link, `STREAM.UPDATE.${stream}`, config, 5000);
  if (updated.kind !== 'ok') throw new Error(`${stream}: ${JSON.stringify(updated)}`);
}

/** Mails whose outcome somebody acted on. */
function acknowledged(): Set<string> {
  const queueIds = new Map(worker.taken.map(({ job }) => [job.attemptId, job.queueId]));
  return new Set(worker.acknowledged.map((id) => queueIds.get(id)!));
}

const areAcknowledged = (queueIds: readonly string[]) => () => {
  const known = acknowledged();
  return queueIds.every((id) => known.has(id));
};

const inStream = (n: number) => [...Array(PARTITIONS).keys()].filter((p) => p % 2 === n);

/** One second of mail: some for each partition; what the healthy ones were given. */
async function feed(perPartition: number): Promise<{ healthy: string[]; others: string[] }> {
  const healthy: string[] = [];
  const others: string[] = [];
  for (const p of inStream(0)) healthy.push(...(await rig.accept(mailsTo(perPartition), p)));
  for (const p of inStream(1)) others.push(...(await rig.accept(mailsTo(perPartition), p)));
  return { healthy, others };
}

describe('A STORE stream', () => {
  test('that refuses for good takes nothing from the rate of the other one, and is named', async () => {
    await start();
    await reconfigure('STORE_1', { sealed: true, deny_delete: true, deny_purge: true });
    const stuck: string[] = [];
    for (let second = 0; second < 8; second++) {
      const { healthy, others } = await feed(25);
      stuck.push(...others);
      // 100 mails that were accepted in this second are remembered within the next ones, as without trouble.
      await until(areAcknowledged(healthy), 3000);
    }
    const done = acknowledged();
    expect(stuck.filter((id) => done.has(id))).toEqual([]);
    expect(running.troubles.join('\n')).toMatch(/STORE_1: refused: .*sealed.* \(10109\)/);
    expect(running.lost).toEqual([]);
  });

  test('that nobody answers for takes nothing either, and all is moved when it is back', async () => {
    await start();
    await reconfigure('STORE_1', { subjects: ['elsewhere'] });
    const stuck: string[] = [];
    for (let second = 0; second < 8; second++) {
      const { healthy, others } = await feed(25);
      stuck.push(...others);
      await until(areAcknowledged(healthy), 3000);
    }
    const done = acknowledged();
    expect(stuck.filter((id) => done.has(id))).toEqual([]);
    await reconfigure('STORE_1', { subjects: inStream(1).map((p) => `store.${p}`) });
    await until(areAcknowledged(stuck), 15_000);
    expect(running.lost).toEqual([]);
  });
});

describe('A nats-server that stands still for 12 s', () => {
  test('costs 12 s: all that was told is acted on within five more', async () => {
    await start([1000, 600_000]);
    const ids: string[] = [];
    for (let p = 0; p < PARTITIONS; p++) {
      // A host each: all of them can be out at a time.
      const mails = Array.from({ length: 20 }, (_, i) => ({ to: [`r@h${i}.p${p}.example`] }));
      ids.push(...(await rig.accept(mails, p)));
    }
    await until(areAcknowledged(ids));
    // The second attempts are of mails that have a state: their outcomes need a round of storing.
    worker.decide = () => 'keep';
    await until(() => ids.every((id) => worker.jobsOf(id).length === 2));
    const second = worker.taken.slice(-ids.length).map(({ job }) => job);
    for (const job of second.slice(0, 80)) worker.finish(job, 'DEFERRED');
    // Rounds are under way.
    await until(() => worker.acknowledged.length > ids.length);
    await rig.nats.kill('SIGSTOP');
    for (const job of second.slice(80)) worker.finish(job, 'DEFERRED');
    await pause(12_000);
    await rig.nats.kill('SIGCONT');
    await until(() => worker.unacknowledged.size === 0, 5000);
    expect(running.lost).toEqual([]);
  });
});
