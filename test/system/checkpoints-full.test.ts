// The stream CHECKPOINTS when it is full, on a real nats-server: it drops its oldest records, and what counts must not be among them.
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { QueueRig, type RunningQueue, until } from '#kit/queue-rig.ts';
import type { FakeWorker } from '#kit/queue-worker.ts';
import { attemptIdOf } from '#libs/mail/attempt-id.ts';
import { callApi } from '#libs/nats/api.ts';
import { lastRecord } from '#libs/nats/direct-get.ts';
import { CHECKPOINTS_STREAM, subjects } from '#libs/nats/layout.ts';
import { RecordWriter } from '#libs/nats/records.ts';
import { Fence, Job } from '#proto/postrider/v1/job.ts';
import { newAttempt } from '../../services/delivery/attempt.ts';
import { Checkpoints } from '../../services/delivery/checkpoints.actor.ts';
import { Departure } from '../../services/delivery/departure.ts';

jest.setTimeout(60_000);

const MIB = 1024 * 1024;
const STEP = Buffer.alloc(MIB / 4);
/** Nobody owns it, so nobody removes what is over: as one whose owner is of an older version. */
const ORPHAN = 99;

interface StreamInfo {
  config: { max_bytes: number };
  state: { bytes: number; first_seq: number; last_seq: number };
}

let rig: QueueRig;

beforeEach(async () => {
  rig = await QueueRig.start({ partitions: 1 });
});

afterEach(() => rig.stop());

async function info(): Promise<StreamInfo> {
  const answer = await callApi<StreamInfo>(rig.link, `STREAM.INFO.${CHECKPOINTS_STREAM}`, undefined, 5000);
  if (answer.kind !== 'ok') throw new Error(`no word of the stream: ${answer.kind}`);
  return answer.value;
}

/** Sequence of the last record; 0 when it is gone. */
async function lastOf(subject: string): Promise<number> {
  const last = await lastRecord(rig.link, CHECKPOINTS_STREAM, subject);
  return last.kind === 'found' ? last.record.sequence : 0;
}

async function fill(octets: number): Promise<void> {
  const writer = new RecordWriter(rig.link);
  for (let sent = 0; sent < octets; sent += STEP.length) {
    const record = { subject: subjects.checkpoint(ORPHAN), payload: STEP, id: '', giveUpAfterMs: 10_000 };
    expect(await writer.store(record)).toMatchObject({ kind: 'stored' });
  }
}

/** What counts of the partition is not among the oldest quarter, or the stream has much room. */
async function isSafe(): Promise<boolean> {
  const { config, state } = await info();
  const { first_seq: first, last_seq: last } = state;
  if (state.bytes < config.max_bytes / 4) return true;
  const oldest = first + (last - first) / 4;
  return (await lastOf(subjects.fence(0))) > oldest && (await lastOf(subjects.checkpoint(0))) > oldest;
}

/** One mail whose final dot is out, and remains so. */
async function dotIsOut(): Promise<{ owner: RunningQueue; worker: FakeWorker; job: Job }> {
  const worker = await rig.worker();
  worker.decide = () => 'keep';
  const owner = await rig.openQueue();
  await rig.accept([{ to: ['a@a.example'] }]);
  const job = await worker.job(() => true);
  expect(await worker.checkpoint(job)).toBe('passed');
  return { owner, worker, job };
}

describe('When others fill CHECKPOINTS twice over', () => {
  test('an open checkpoint and the fence before it stay, and the next owner counts what is in doubt', async () => {
    const { owner, worker, job } = await dotIsOut();
    for (let written = 0; written < 72 * MIB; written += 4 * MIB) {
      await fill(4 * MIB);
      await until(isSafe);
    }
    const { config, state } = await info();
    expect(state.bytes).toBeGreaterThan(config.max_bytes / 2);
    expect(state.first_seq).toBeGreaterThan(100);
    expect(owner.troubles.filter((one) => one.includes('began anew'))).toEqual([]);
    await worker.die();
    await owner.kill();
    await rig.worker();
    const next = await rig.openQueue();
    await until(() => next.inDoubt.length > 0);
    expect(next.inDoubt).toEqual([job.attemptId]);
  });
});

describe('When the fence itself was dropped', () => {
  test('an attempt that it shut out does not pass: it waits until the fence is there again, and is refused', async () => {
    const writer = new RecordWriter(rig.link);
    const payload = Fence.encode({ epoch: 7, excluded: [], admitted: undefined }).finish();
    const fence = () => writer.store({ subject: subjects.fence(0), payload, id: '', giveUpAfterMs: 5000 });
    await fence();
    await fill(40 * MIB);
    expect(await lastOf(subjects.fence(0))).toBe(0);
    const departure = new Departure();
    const checkpoints = new Checkpoints({
      link: rig.link,
      departure,
      onPublished: () => {},
      onPassed: () => {},
      onTrouble: () => {},
      random: Math.random,
    });
    const epoch = 6;
    const queueId = '00mail00000000000001';
    const attemptId = attemptIdOf({ queueId, number: 1, epoch });
    const base = { ...Job.decode(new Uint8Array(0)), queueId, attemptId, epoch, fenced: true };
    const said: string[] = [];
    checkpoints.pass(newAttempt(base, 0), {
      passed: () => void said.push('passed'),
      refused: (_, cause) => void said.push(cause),
    });
    await until(() => said.length > 0 || checkpoints.longestWaitSeconds > 0.5);
    expect(said).toEqual([]);
    await fence();
    await until(() => said.length > 0);
    expect(said).toEqual(['fenced']);
  });
});
