// What a worker has to tell reaches whoever owns the partition at last, whole, however often owners and the nats-server change; and a
// worker that is asked to stop while there is no nats-server ends.
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { type DeliveryOwner, until } from '#kit/delivery-owner.ts';
import { DeliveryWorkers } from '#kit/delivery-workers.ts';
import { waitUntil } from '#kit/wait-until.ts';
import { type Job, type Outcome, OutcomeKind } from '#proto/postrider/v1/job.ts';

const { RELAYED, FAILED } = OutcomeKind;
const RECIPIENTS = 800;

let stage: DeliveryWorkers;
let owner: DeliveryOwner;

beforeAll(async () => {
  stage = await DeliveryWorkers.open();
}, 60_000);

afterAll(() => stage?.close());

beforeEach(() => {
  owner = stage.owner();
});

afterEach(() => stage.clear(), 30_000);

/** What was being said is lost. */
async function loseWords(): Promise<void> {
  await stage.nats.kill('SIGKILL');
  await pause(300);
  await stage.restartNats();
}

/** How many recipients have each kind: who is not listed has that of the whole. */
function kindsOf({ kind, recipients }: Outcome, count: number): Map<OutcomeKind, number> {
  const kinds = new Map<OutcomeKind, number>([[kind, count - recipients.length]]);
  for (const one of recipients) kinds.set(one.kind, (kinds.get(one.kind) ?? 0) + 1);
  return kinds;
}

test('Outcomes reach the last of several owners, whole, and nobody else ends their telling', async () => {
  const [worker, sink] = [await stage.start({ timeoutScale: 1 }), await stage.sink()];
  sink.behaviour.delayMs = 20;
  const small = await owner.store(Array.from({ length: 60 }, (_, i) => ({ to: [`r${i}@y`] })));
  const paths = Array.from({ length: RECIPIENTS }, (_, i) => (i % 4 === 0 ? `550-words-${i}@y` : `r${i}@y`));
  const large = await owner.store([{ to: paths }, { to: paths }]);
  const jobs = [...small, ...large];
  owner.send(stage.site(sink.port), jobs);
  for (let change = 1; change <= 3; change++) {
    await until(() => sink.taken >= change * 10);
    await loseWords();
    stage.raiseEpoch(owner);
    await waitUntil(async () => (await owner.inflight()).length > 0, 15_000, 'the next owner to be answered');
  }
  const outcomes = await owner.outcomesOf(jobs, 30_000);
  for (const { kind } of outcomes.slice(0, small.length)) expect(kind).toBe(RELAYED);
  for (const outcome of outcomes.slice(small.length)) {
    const kinds = kindsOf(outcome, RECIPIENTS);
    expect([kinds.get(RELAYED), kinds.get(FAILED)]).toEqual([RECIPIENTS * 0.75, RECIPIENTS * 0.25]);
  }
  expect([sink.taken, Math.max(...sink.timesTaken.values())]).toEqual([jobs.length, 1]);

  const ids = jobs.map(({ attemptId }) => attemptId);
  const untold = async () => (await owner.inflight())[0]!.unacknowledged.length;
  owner.epoch -= 1;
  owner.acknowledge(worker.link.instance, ids);
  owner.epoch += 1;
  expect(await untold()).toBe(jobs.length);
  owner.acknowledge(worker.link.instance, ids);
  expect(await untold()).toBe(0);
}, 60_000);

test('An owner that acts on nothing is served so far and no further, others go on, and it gets the rest when it acts', async () => {
  const [worker, sink] = [await stage.start({ timeoutScale: 1 }), await stage.sink()];
  const site = stage.site(sink.port);
  // Some 145 KB of words each, of which 32 MiB are kept.
  const paths = [...Array.from({ length: 300 }, (_, i) => `550-words-${i}@y`), 'r@y'];
  const jobs = await owner.store(Array.from({ length: 300 }, () => ({ to: paths })));
  const isTold = (job: Job) => owner.told(job).length > 0;
  const isTaken = async (some: Job[]) => {
    owner.send(site, some);
    const isAccepted = () => owner.accepted.includes(some[0]!.attemptId);
    const isHeard = await until(isAccepted, 5000).then(
      () => true,
      () => false,
    );
    if (isHeard) await until(() => some.every(isTold));
    return isHeard;
  };
  let from = 0;
  while (from < jobs.length && (await isTaken(jobs.slice(from, from + 10)))) from += 10;
  const told = jobs.filter(isTold);
  expect(told.length).toBeGreaterThan(150);
  expect(told.length).toBeLessThan(280);

  const other = stage.owner(1);
  const another = await other.store([{ to: ['other@y'] }]);
  other.send(site, another);
  expect(await other.outcomesOf(another)).toMatchObject([{ kind: RELAYED }]);

  owner.acknowledge(
    worker.link.instance,
    told.map(({ attemptId }) => attemptId),
  );
  owner.send(site, jobs);
  await owner.outcomesOf(jobs, 30_000);
  expect(Math.max(...sink.timesTaken.values())).toBe(1);
}, 60_000);

test.each(['SIGKILL', 'SIGSTOP'] as const)(
  'A worker that is asked to stop while the nats-server has %s ends, and leaves its hosts',
  async (signal) => {
    const worker = await stage.start({ timeoutScale: 1 }, { attempts: '1 s', dots: '1 s' });
    const sink = await stage.sink();
    const jobs = await owner.store([{ to: ['hang-at-dot@y'] }, { to: ['b@y'] }]);
    owner.send(stage.site(sink.port), jobs);
    await until(() => sink.taken === 2);
    await stage.nats.kill(signal);
    const atMs = performance.now();
    await worker.stop();
    expect(performance.now() - atMs).toBeLessThan(20_000);
    await until(() => sink.connectionsNow === 0);
    if (signal === 'SIGSTOP') await stage.nats.kill('SIGCONT');
    else await stage.restartNats();
  },
  60_000,
);
