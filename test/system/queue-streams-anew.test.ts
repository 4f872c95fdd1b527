// Streams that somebody deletes while the queue runs, with a real nats-server: what was only there is lost, and told; everything
// else goes on as soon as the stream is there again, and no number of the old one means anything in the new one.
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { QueueRig, type RunningQueue, until } from '#kit/queue-rig.ts';
import type { FakeWorker } from '#kit/queue-worker.ts';
import { callApi } from '#libs/nats/api.ts';
import { provision } from '#libs/nats/provision.ts';
import { streamsOf } from '#libs/nats/streams.ts';

jest.setTimeout(60_000);

let rig: QueueRig;
let worker: FakeWorker;
let first: RunningQueue;

beforeEach(async () => {
  rig = await QueueRig.start();
  [worker, first] = await Promise.all([rig.worker(), rig.openQueue()]);
  for (let mail = 0; mail < 5; mail++) await rig.accept([{ to: ['before@a.example'] }]);
  await until(() => worker.taken.length === 5);
});

afterEach(() => rig.stop());

async function call(name: string, payload?: object): Promise<void> {
  expect((await callApi(rig.link, name, payload, 5000)).kind).toBe('ok');
}

/** As an operator would who does not know what we want: its numbers begin with 1 again. */
const madeByHand = (stream: string) =>
  call(`STREAM.CREATE.${stream}`, streamsOf(rig.layout).find(({ name }) => name === stream)!);
const madeByUs = () => provision(rig.link, rig.layout);

/** The newest mail is tried. */
async function isDelivered(): Promise<void> {
  const [id] = await rig.accept([{ to: ['behind@b.example'] }]);
  await until(() => worker.jobsOf(id!).length === 1, 25_000);
}

describe('A stream that is deleted and made anew under a running owner', () => {
  test.each(['SPOOL_0', 'STORE_0', 'SETTLE', 'QUEUE', 'CHECKPOINTS', 'QUARANTINE'])(
    'holds up no mail that comes then (%s)',
    async (stream) => {
      await call(`STREAM.DELETE.${stream}`);
      await madeByUs();
      await isDelivered();
    },
  );

  test('tells of what only it had, also when its numbers begin with 1 again', async () => {
    worker.decide = () => 'keep';
    const [lost] = await rig.accept([{ to: ['lost@a.example'] }]);
    await until(() => worker.jobsOf(lost!).length === 1);
    await call('STREAM.DELETE.SPOOL_0');
    await madeByHand('SPOOL_0');
    await until(() => first.contentLost.includes(lost!), 25_000);
    await until(() => first.queue.partitions.get(0)?.isOpen === true, 25_000);
  });

  test('has no number that a line, or the epoch of an owner, of the one before it speaks of', async () => {
    const before = first.queue.partitions.get(0)!.epoch;
    for (const stream of ['SPOOL_0', 'QUEUE']) await call(`STREAM.DELETE.${stream}`);
    await madeByUs();
    await isDelivered();
    await first.kill();
    // Pack number 1 of before is settled; number 1 of now would be taken for it.
    worker.decide = () => 'keep';
    const [id] = await rig.accept([{ to: ['later@b.example'] }]);
    const next = await rig.openQueue();
    await until(() => worker.jobsOf(id!).length === 1, 25_000);
    expect(next.queue.partitions.get(0)!.epoch).toBeGreaterThan(before + 1_000_000);
  });
});
