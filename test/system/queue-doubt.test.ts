// What is known of attempts whose final dot may be out, when owners and workers die or fall silent in any order: no mail has more
// copies than one and the attempts of it that were counted as in doubt.
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { FencedCheckpoints } from '#kit/fenced-checkpoint.ts';
import { QueueRig, type RunningQueue, until } from '#kit/queue-rig.ts';
import { type FakeWorker, OK } from '#kit/queue-worker.ts';
import { subjects } from '#libs/nats/layout.ts';
import { type Job, type Outcome, OutcomeBatch, OutcomeKind } from '#proto/postrider/v1/job.ts';
import { RecipientPhase as StoredPhase } from '#proto/postrider/v1/mail.ts';

jest.setTimeout(60_000);

let rig: QueueRig;
let worker: FakeWorker;
let owner: RunningQueue;

beforeEach(async () => {
  rig = await QueueRig.start({ partitions: 1 });
  worker = await rig.worker();
  worker.decide = () => 'keep';
});

afterEach(() => rig.stop());

/** A mail that is out with the worker; its final dot may be sent when `isPassed`. */
async function out(isPassed: 'passed' | 'not yet', to = ['a@a.example']): Promise<Job> {
  owner = await rig.openQueue();
  await rig.accept([{ to }]);
  const job = await worker.job(() => true);
  if (isPassed === 'passed') expect(await worker.checkpoint(job)).toBe('passed');
  return job;
}

/** What a worker says that nobody counts among the living. */
function tellLate(
  job: Job,
  kind: OutcomeKind,
  inDoubt: boolean,
  recipients: Outcome['recipients'] = [],
): void {
  const { attemptId, queueId, recipients: jobRecipients, partition } = job;
  const said = { kind, reply: OK, recipients, tls: '', inDoubt };
  const outcome: Outcome = { attemptId, queueId, jobRecipients, ...said };
  const batch = { worker: worker.instance, accepted: [], outcomes: [outcome], sites: [] };
  rig.link.publish(subjects.outcome(partition), OutcomeBatch.encode(batch).finish());
}

describe('A mail whose final dot may be out', () => {
  test('is in doubt when its worker dies', async () => {
    const job = await out('passed');
    const other = await rig.worker();
    await worker.die();
    await until(() => rig.isEmpty());
    expect([owner.inDoubt, other.taken.length]).toEqual([[job.attemptId], 1]);
  });

  test('is in doubt when its worker and its owner die together', async () => {
    const job = await out('passed');
    await owner.kill();
    await worker.die();
    const other = await rig.worker();
    owner = await rig.openQueue();
    await until(() => rig.isEmpty());
    expect([owner.inDoubt, other.taken.length]).toEqual([[job.attemptId], 1]);
  });

  test('is counted once, however many owners die', async () => {
    const job = await out('passed');
    await owner.kill();
    await worker.die();
    const counted: string[] = [];
    for (let i = 0; i < 2; i++) {
      owner = await rig.openQueue();
      await until(() => owner.inDoubt.length > 0 || i > 0);
      await until(() => owner.queue.partitions.get(0)!.counts().ending === 0);
      counted.push(...owner.inDoubt);
      await owner.kill();
    }
    const other = await rig.worker();
    owner = await rig.openQueue();
    await until(() => rig.isEmpty());
    expect([...counted, ...owner.inDoubt]).toEqual([job.attemptId]);
    expect(other.taken).toHaveLength(1);
  });

  test('is in doubt when its owner gives the partition up, and its worker dies before the next one has it', async () => {
    const job = await out('passed');
    await owner.stop();
    await worker.die();
    const other = await rig.worker();
    owner = await rig.openQueue();
    await until(() => rig.isEmpty());
    expect([owner.inDoubt, other.taken.length]).toEqual([[job.attemptId], 1]);
  });

  test('is in doubt when it was delivered while nobody was there to hear it', async () => {
    const job = await out('not yet');
    await owner.kill();
    expect(await worker.checkpoint(job)).toBe('passed');
    worker.finish(job, 'RELAYED');
    await worker.die();
    const other = await rig.worker();
    owner = await rig.openQueue();
    await until(() => rig.isEmpty());
    expect([owner.inDoubt, other.taken.length]).toEqual([[job.attemptId], 1]);
  });

  test('is held, and not delivered again, where the policy says so', async () => {
    await rig.stop();
    rig = await QueueRig.start({ partitions: 1, policy: { inDoubt: 'hold' } });
    worker = await rig.worker();
    worker.decide = ({ recipients }) => (recipients[0] === 1 ? 'RELAYED' : 'keep');
    owner = await rig.openQueue();
    await rig.accept([{ to: ['a@a.example', 'b@b.example'] }]);
    const job = await worker.job(({ recipients }) => recipients[0] === 0);
    expect(await worker.checkpoint(job)).toBe('passed');
    await until(() => worker.acknowledged.length === 1);
    await owner.kill();
    await worker.die();
    const other = await rig.worker();
    for (let i = 0; i < 2; i++) {
      owner = await rig.openQueue();
      await until(async () => (await rig.states())[0]?.recipients[0]?.phase === 5);
      await owner.kill();
    }
    expect(other.taken).toEqual([]);
    const [state] = await rig.states();
    expect(state!.recipients.map(({ phase, inDoubt }) => [phase, inDoubt])).toEqual([
      [5, true],
      [2, false],
    ]);
  });

  test('is not in doubt when what became of it is stored: a deferral, or that it came back unsent', async () => {
    const job = await out('passed');
    worker.finish(job, 'DEFERRED');
    await until(() => worker.acknowledged.length === 1);
    const again = await worker.job(({ attempts }) => attempts === 1);
    expect(await worker.checkpoint(again)).toBe('passed');
    worker.finish(again, 'RETURNED');
    await until(() => worker.acknowledged.length === 2);
    await owner.kill();
    await worker.die();
    const other = await rig.worker();
    owner = await rig.openQueue();
    await until(() => rig.isEmpty());
    expect([owner.inDoubt, other.taken.length]).toEqual([[], 1]);
  });
});

test('A mail that was held and is released stays so, whoever dies before it is tried', async () => {
  await rig.stop();
  rig = await QueueRig.start({ partitions: 1, policy: { inDoubt: 'hold' } });
  worker = await rig.worker();
  worker.decide = () => 'keep';
  const job = await out('passed');
  const other = await rig.worker();
  other.decide = () => 'ignore';
  await worker.die();
  await until(async () => (await rig.states())[0]?.recipients[0]?.phase === StoredPhase.HELD);
  const partition = owner.queue.partitions.get(0)!;
  partition.feed(partition.find(job.queueId)!, { kind: 'flushed', nowMs: owner.context.now(), domain: '' });
  await until(async () => (await rig.states())[0]?.recipients[0]?.phase === StoredPhase.WAITING);
  await owner.kill();
  other.decide = () => 'RELAYED';
  owner = await rig.openQueue();
  await until(() => rig.isEmpty());
  expect(other.taken).toHaveLength(1);
});

test('Of a mail in doubt those recipients are not tried again that the host has answered for', async () => {
  const job = await out('passed', ['a@a.example', 'b@a.example']);
  worker.decide = () => 'RELAYED';
  tellLate(job, OutcomeKind.DEFERRED, true, [{ recipient: 0, kind: OutcomeKind.RELAYED, reply: OK }]);
  await until(() => rig.isEmpty());
  expect(owner.inDoubt).toEqual([job.attemptId]);
  expect(worker.taken.map(({ job: { recipients } }) => recipients)).toEqual([[], [1]]);
});

describe('A worker that was silent while the partition got another owner', () => {
  let other: FakeWorker;

  /** It falls silent; another worker has the mail from another owner. */
  async function replaced(isPassed: 'passed' | 'not yet'): Promise<{ job: Job; again: Job }> {
    const job = await out(isPassed);
    await owner.kill();
    await worker.die();
    other = await rig.worker();
    other.decide = () => 'keep';
    owner = await rig.openQueue();
    return { job, again: await other.job(() => true) };
  }

  test('says in doubt when the mail was delivered again: it was counted', async () => {
    const { job, again } = await replaced('passed');
    other.finish(again, 'RELAYED');
    await until(() => rig.isEmpty());
    tellLate(job, OutcomeKind.DEFERRED, true);
    await pause(300);
    expect([owner.inDoubt, other.taken.length]).toEqual([[job.attemptId], 1]);
  });

  test('says that it has delivered, while another attempt is out: that one is stopped', async () => {
    const { job, again } = await replaced('passed');
    tellLate(job, OutcomeKind.RELAYED, false);
    await until(() => rig.isEmpty());
    await until(() => other.acknowledged.includes(again.attemptId));
    expect([owner.inDoubt, other.taken.length]).toEqual([[job.attemptId], 1]);
  });

  test('says that it has delivered, when the other attempt has passed its checkpoint: both are counted for one copy more', async () => {
    const { job, again } = await replaced('passed');
    expect(await other.checkpoint(again)).toBe('passed');
    tellLate(job, OutcomeKind.RELAYED, false);
    await pause(300);
    other.finish(again, 'RELAYED');
    await until(() => rig.isEmpty());
    expect(owner.inDoubt).toContain(job.attemptId);
  });
});

test('An attempt of an owner that was replaced passes no checkpoint any more', async () => {
  const job = await out('not yet');
  await owner.kill();
  worker.isMute = true;
  const next = await rig.queue();
  await until(() => next.queue.partitions.get(0)?.isOpen === true);
  expect(await worker.checkpoint(job)).toBe('fenced');
  worker.isMute = false;
  worker.decide = () => 'RELAYED';
  await until(() => rig.isEmpty());
  expect([next.inDoubt, worker.taken.length]).toEqual([[], 2]);
});

test('An owner that was replaced and does not know it counts and removes nothing of what the next one began', async () => {
  const job = await out('passed');
  const stale = owner;
  stale.seemDead();
  const next = await rig.openQueue();
  worker.finish(job, 'RELAYED');
  await until(() => rig.isEmpty());
  await rig.accept([{ to: ['b@b.example'] }]);
  const later = await worker.job(({ attemptId }) => attemptId !== job.attemptId);
  expect(await worker.checkpoint(later)).toBe('passed');
  await until(() => stale.lost.length === 1);
  await pause(1500);
  await next.kill();
  await worker.die();
  const other = await rig.worker();
  owner = await rig.openQueue();
  await until(() => rig.isEmpty());
  expect([stale.inDoubt, owner.inDoubt, other.taken.length]).toEqual([[], [later.attemptId], 1]);
});

test('A job that was held up on its way and sent again passes nowhere but where it was sent again', async () => {
  const held: Job[] = [];
  worker.decide = (job) => {
    held.push(job);
    return 'ignore';
  };
  owner = await rig.openQueue();
  await rig.accept([{ to: ['a@a.example'] }]);
  await until(() => held.length > 0);
  await worker.die();
  const other = await rig.worker();
  await until(() => rig.isEmpty());
  expect(other.taken.map(({ job }) => job.attemptId)).not.toContain(held[0]!.attemptId);
  // A worker that the owner never heard of, in a part of the cluster that was cut off.
  expect(await new FencedCheckpoints(rig.link).pass(held[0]!)).toBe('fenced');
  expect(owner.inDoubt).toEqual([]);
});

test('An attempt of an owner that was replaced goes on in the name of the next one, when its worker tells of it', async () => {
  const job = await out('not yet');
  await owner.kill();
  owner = await rig.openQueue();
  await until(async () => (await worker.checkpoint(job)) === 'passed');
  worker.finish(job, 'RELAYED');
  await until(() => rig.isEmpty());
  expect([owner.inDoubt, worker.taken.length]).toEqual([[], 1]);
});

test('A worker that lives and does not answer keeps its mails from being started, and no others', async () => {
  const job = await out('passed');
  await owner.kill();
  worker.isMute = true;
  const other = await rig.worker();
  owner = await rig.queue();
  await until(() => owner.queue.partitions.get(0)?.isOpen === true);
  const [fresh] = await rig.accept([{ to: ['b@b.example'] }]);
  worker.decide = () => 'RELAYED';
  await until(() => other.jobsOf(fresh!).length + worker.jobsOf(fresh!).length === 1);
  expect(worker.jobsOf(job.queueId).length + other.jobsOf(job.queueId).length).toBe(1);
  worker.isMute = false;
  worker.finish(job, 'RELAYED');
  await until(() => rig.isEmpty());
  expect(owner.inDoubt).toEqual([]);
  expect(other.jobsOf(job.queueId)).toEqual([]);
});

test('What a silent worker may have of a mail is not started when something is heard of the rest', async () => {
  await out('passed', ['a@a.example', 'b@b.example']);
  await until(() => worker.taken.length === 2);
  const [first, second] = worker.taken.map(({ job }) => job);
  expect(await worker.checkpoint(second!)).toBe('passed');
  await owner.kill();
  worker.isMute = true;
  owner = await rig.openQueue();
  worker.finish(first!, 'RELAYED');
  await until(() => worker.acknowledged.includes(first!.attemptId));
  const [fresh] = await rig.accept([{ to: ['c@c.example'] }]);
  await worker.job(({ queueId }) => queueId === fresh);
  expect(worker.jobsOf(first!.queueId)).toHaveLength(2);
  worker.isMute = false;
  worker.decide = () => 'RELAYED';
  worker.finish(second!, 'RELAYED');
  worker.finish(worker.jobsOf(fresh!)[0]!, 'RELAYED');
  await until(() => rig.isEmpty());
  expect([owner.inDoubt, worker.taken.length]).toEqual([[], 3]);
});

test('A mail is counted and delivered once more at most when nats-server dies with what was just said to it', async () => {
  const job = await out('not yet');
  await rig.nats.kill('SIGKILL');
  await rig.nats.restart();
  await until(async () => (await worker.checkpoint(job)) === 'passed');
  const other = await rig.worker();
  await worker.die();
  await until(() => rig.isEmpty(), 30_000);
  expect([owner.inDoubt, other.taken.length]).toEqual([[job.attemptId], 1]);
});

test('What is over leaves nothing behind', async () => {
  const job = await out('passed');
  worker.decide = () => 'RELAYED';
  await rig.accept(Array.from({ length: 20 }, (_, i) => ({ to: [`u${i}@a.example`] })));
  await until(() => worker.taken.length === 21);
  const checkpoints = () => rig.records('CHECKPOINTS', subjects.checkpoint(0));
  expect((await checkpoints()).length).toBeGreaterThan(0);
  worker.finish(job, 'RELAYED');
  await until(async () => (await checkpoints()).length === 0);
});
