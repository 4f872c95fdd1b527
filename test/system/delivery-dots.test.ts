// The final dot of delivery workers over a real nats-server: it leaves behind a stored checkpoint, for no owner that was replaced
// and by no worker that was given up; and what a worker that stops owes to those whose dot is out.
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { type DeliveryOwner, until } from '#kit/delivery-owner.ts';
import { DeliveryWorkers } from '#kit/delivery-workers.ts';
import { type Job, OutcomeKind } from '#proto/postrider/v1/job.ts';
import { Transport } from '#proto/postrider/v1/route.ts';

const { DELIVERED, RELAYED, DEFERRED, RETURNED } = OutcomeKind;

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

const to = (...forwardPaths: string[]) => ({ to: forwardPaths });
const idsOf = (jobs: Job[]) => jobs.map(({ attemptId }) => attemptId);

/** Its outcomes are acted on as they come. */
function acting(): () => void {
  let seen = 0;
  const timer = setInterval(() => {
    const news = owner.outcomes.slice(seen);
    seen = owner.outcomes.length;
    for (const worker of owner.workers) {
      owner.acknowledge(
        worker,
        news.map(({ attemptId }) => attemptId),
      );
    }
  }, 20);
  return () => clearInterval(timer);
}

describe('a checkpoint', () => {
  test('is where the next owner finds it, with the recipients that it is for, before the mail is out', async () => {
    const [, sink] = [await stage.start(), await stage.sink()];
    await owner.fence();
    const jobs = await owner.store([to('hang-at-dot@y'), to('a@y', 'hang-at-dot@y')]);
    jobs[1]!.recipients = [1];
    owner.send(stage.site(sink.port), jobs);
    await until(() => sink.taken === 2);
    const stored = await owner.stored();
    expect(stored.flatMap(({ attemptIds }) => attemptIds)).toEqual(expect.arrayContaining(idsOf(jobs)));
    expect(stored.flatMap(({ parts }) => parts)).toEqual([
      { attemptId: jobs[1]!.attemptId, recipients: [1] },
    ]);
  });

  test('is not passed for an owner that has been replaced, by a worker that never heard of the next one', async () => {
    const [, sink] = [await stage.start(), await stage.sink()];
    const jobs = await owner.store([to('a@y')]);
    const old = owner.epoch;
    stage.raiseEpoch(owner);
    await owner.fence();
    expect(jobs[0]!.epoch).toBe(old);
    const site = stage.site(sink.port);
    owner.send(site, jobs);
    expect(await owner.outcomesOf(jobs)).toMatchObject([{ kind: RETURNED, recipients: [] }]);
    const named = (await owner.stored()).flatMap(({ attemptIds }) => attemptIds);
    expect([sink.taken, named]).toEqual([0, expect.not.arrayContaining(idsOf(jobs))]);
    const newer = await owner.store([to('b@y')]);
    owner.send(site, newer);
    expect(await owner.outcomesOf(newer)).toMatchObject([{ kind: RELAYED }]);
  });

  test('is not passed by a worker that was given up, but for what it is sent later', async () => {
    const [worker, sink] = [await stage.start(), await stage.sink()];
    await owner.fence();
    const site = stage.site(sink.port);
    const first = await owner.store([to('a@y')]);
    owner.send(site, first);
    expect(await owner.outcomesOf(first)).toMatchObject([{ kind: RELAYED }]);
    await owner.fence([{ worker: worker.link.instance, through: 1 }]);
    const jobs = await owner.store([to('b@y'), to('c@y')]);
    jobs[1]!.attemptId = `${jobs[1]!.queueId}.2.${owner.epoch.toString(36)}`;
    owner.send(site, jobs);
    expect(await owner.outcomesOf(jobs)).toMatchObject([{ kind: RETURNED }, { kind: RELAYED }]);
    expect(sink.taken).toBe(2);
  });

  test('waits for the stream when that takes nothing, and is passed when it does', async () => {
    const [, sink] = [await stage.start(), await stage.sink()];
    await owner.fence();
    const open = await owner.closeCheckpoints();
    const jobs = await owner.store([to('a@y')]);
    owner.send(stage.site(sink.port), jobs);
    await until(() => sink.commands.includes('DATA'));
    await pause(300);
    expect(sink.taken).toBe(0);
    await open();
    expect(await owner.outcomesOf(jobs)).toMatchObject([{ kind: RELAYED }]);
    expect(sink.taken).toBe(1);
  });
});

describe('an attempt that its owner cancels', () => {
  test('goes back when it waits, is dropped when its dot is not out, and goes on when it is', async () => {
    const [worker, sink] = [await stage.start({ siteConnectionsMax: 2 }), await stage.sink()];
    sink.behaviour.slowMs = 1500;
    const jobs = await owner.store([to('a@y'), to('slow-after-dot@y'), to('b@y'), to('c@y')]);
    const site = stage.site(sink.port);
    owner.send(site, [jobs[0]!]);
    await owner.outcomesOf([jobs[0]!]);
    owner.send(site, [jobs[1]!]);
    await until(() => sink.taken === 2);
    sink.behaviour.delayMs = 700;
    owner.send(site, jobs.slice(2));
    await until(() => sink.commands.filter((line) => line.startsWith('EHLO')).length === 2);
    owner.cancel(worker.link.instance, idsOf(jobs));
    const kinds = (await owner.outcomesOf(jobs)).map(({ kind }) => kind);
    expect(kinds).toEqual([RELAYED, RELAYED, RETURNED, RETURNED]);
    expect(sink.taken).toBe(2);
  }, 20_000);

  test('is dropped between MAIL and its dot', async () => {
    const [worker, sink] = [await stage.start({ siteConnectionsMax: 1 }), await stage.sink()];
    const jobs = await owner.store([to('a@y'), to('b@y')]);
    const site = stage.site(sink.port);
    owner.send(site, [jobs[0]!]);
    await owner.outcomesOf([jobs[0]!]);
    const open = await owner.closeCheckpoints();
    owner.send(site, [jobs[1]!]);
    await until(() => sink.commands.filter((line) => line === 'DATA').length === 2);
    owner.cancel(worker.link.instance, [jobs[1]!.attemptId]);
    expect(await owner.outcomesOf([jobs[1]!])).toMatchObject([{ kind: RETURNED }]);
    await open();
    expect(sink.taken).toBe(1);
  });
});

describe('a worker that stops', () => {
  test('waits for the reply to a dot that is out, longer than for attempts that have not come so far', async () => {
    const stopActing = acting();
    const worker = await stage.start({}, { attempts: '1 s', dots: '10 s' });
    const sink = await stage.sink();
    sink.behaviour.slowMs = 2500;
    const jobs = await owner.store([to('slow-after-dot@y'), to('a@y')]);
    const site = stage.site(sink.port);
    owner.send(site, [jobs[0]!]);
    await until(() => sink.taken === 1);
    const open = await owner.closeCheckpoints();
    owner.send(site, [jobs[1]!]);
    await until(() => sink.commands.filter((line) => line === 'DATA').length === 2);
    await worker.stop();
    const [slow, unsent] = await owner.outcomesOf(jobs);
    expect(slow!.inDoubt).toBeUndefined();
    expect([slow!.kind, unsent!.kind]).toEqual([RELAYED, RETURNED]);
    expect(sink.taken).toBe(1);
    await open();
    stopActing();
  }, 30_000);

  test('hands a site over when its host has answered, and not before: its limit holds', async () => {
    const stopActing = acting();
    const limits = { siteConnectionsMax: 1 };
    const first = await stage.start(limits, { attempts: '1 s', dots: '10 s' });
    const sink = await stage.sink();
    sink.behaviour.slowMs = 3000;
    const site = stage.site(sink.port);
    const slow = await owner.store([to('slow-after-dot@y')]);
    owner.send(site, slow);
    await until(() => sink.taken === 1);
    await stage.start(limits);
    const stopping = first.stop();
    const others = await owner.store(Array.from({ length: 100 }, () => to('b@y')));
    const isThere = () => others.some((job) => owner.told(job).some(({ kind }) => kind === RELAYED));
    for (const job of others) {
      if (isThere()) break;
      owner.send(site, [job]);
      await pause(100);
    }
    await stopping;
    expect([isThere(), sink.connectionsMost]).toEqual([true, 1]);
    expect(await owner.outcomesOf(slow)).toMatchObject([{ kind: RELAYED }]);
    stopActing();
  }, 30_000);

  test('tells what has no reply by then as in doubt, but for recipients that have theirs', async () => {
    const stopActing = acting();
    const worker = await stage.start({}, { attempts: '1 s', dots: '200 ms' });
    const [smtp, lmtp] = [await stage.sink(), await stage.sink({ protocol: 'lmtp' })];
    const jobs = await owner.store([to('550@y', 'hang-at-dot@y'), to('a@y', '450@y', 'hang-at-dot@y')]);
    owner.send(stage.site(smtp.port), [jobs[0]!]);
    owner.send(stage.site(lmtp.port, { transport: Transport.LMTP }), [jobs[1]!]);
    await until(() => smtp.taken === 1 && lmtp.taken === 1);
    await worker.stop();
    const [first, second] = await owner.outcomesOf(jobs);
    expect(first).toMatchObject({ kind: DEFERRED, inDoubt: true, recipients: [{ recipient: 0 }] });
    expect(second).toMatchObject({ kind: DEFERRED, inDoubt: true });
    expect(second!.recipients.map(({ recipient }) => recipient)).toContain(1);
    for (const { kind } of second!.recipients) expect([DELIVERED, DEFERRED]).toContain(kind);
    stopActing();
  }, 30_000);
});
