// Whole delivery workers over a real nats-server: jobs in, mail out, outcomes told until somebody acted on them.
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { type DeliveryOwner, until } from '#kit/delivery-owner.ts';
import { DeliveryWorkers } from '#kit/delivery-workers.ts';
import { connectLink } from '#libs/nats/link.ts';
import { clockMs, Presence } from '#libs/nats/presence.ts';
import { type Job, OutcomeKind } from '#proto/postrider/v1/job.ts';
import { Transport } from '#proto/postrider/v1/route.ts';

const { DELIVERED, RELAYED, FAILED, RETURNED } = OutcomeKind;

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

describe('a job', () => {
  test('is accepted, passes its checkpoint, is carried out, and its outcome is told until it is acknowledged', async () => {
    const [worker, sink] = [await stage.start(), await stage.sink()];
    const jobs = await owner.store([to('a@y')]);
    owner.send(stage.site(sink.port), jobs);
    expect(await owner.outcomesOf(jobs)).toMatchObject([
      { queueId: jobs[0]!.queueId, kind: RELAYED, reply: { code: 250, host: 'mx.test[127.0.0.1]' } },
    ]);
    expect(owner.accepted).toEqual(idsOf(jobs));
    expect(owner.checkpoints).toEqual(idsOf(jobs));
    expect(sink.mails).toMatchObject([{ queueId: jobs[0]!.queueId, forwardPaths: ['a@y'] }]);
    await until(() => owner.told(jobs[0]!).length >= 2);
    owner.acknowledge(worker.link.instance, idsOf(jobs));
    await pause(300);
    const times = owner.told(jobs[0]!).length;
    await pause(2500);
    expect(owner.told(jobs[0]!)).toHaveLength(times);
    expect(sink.taken).toBe(1);
  }, 30_000);

  test('that comes again is answered with what is known, and never runs twice', async () => {
    const [worker, sink] = [await stage.start(), await stage.sink()];
    const jobs = await owner.store([to('slow-after-dot@y')]);
    const site = stage.site(sink.port);
    owner.send(site, jobs);
    await until(() => owner.accepted.length === 1);
    owner.send(site, jobs);
    await until(() => owner.accepted.length === 2);
    await owner.outcomesOf(jobs);
    owner.acknowledge(worker.link.instance, idsOf(jobs));
    await pause(50);
    const times = owner.told(jobs[0]!).length;
    owner.send(site, jobs);
    await until(() => owner.told(jobs[0]!).length === times + 1);
    expect(sink.taken).toBe(1);
  });

  test('of an owner that is not the owner any more is ignored', async () => {
    const [, sink] = [await stage.start(), await stage.sink()];
    const jobs = await owner.store([to('a@y')]);
    stage.raiseEpoch(owner);
    await owner.inflight();
    owner.send(stage.site(sink.port), jobs);
    await pause(200);
    expect([owner.accepted, sink.taken]).toEqual([[], 0]);
  });

  test('that was held up on its way is not taken: it may run elsewhere', async () => {
    const link = await connectLink({ url: stage.nats.url, service: 'queue' });
    const heartbeats = new Presence(link, { service: 'queue', watch: [], holds: () => new Uint8Array(0) });
    const [, sink] = [await stage.start(), await stage.sink()];
    await heartbeats.start();
    const [late, timely] = [await owner.store([to('a@y')]), await owner.store([to('b@y')])];
    owner.send(stage.site(sink.port), late, { owner: link.instance, clockMs: clockMs() - 3000 });
    owner.send(stage.site(sink.port), timely, { owner: link.instance, clockMs: clockMs() });
    await owner.outcomesOf(timely);
    expect([owner.accepted, sink.taken]).toEqual([idsOf(timely), 1]);
    owner.acknowledge([...owner.workers][0]!, idsOf(timely));
    await heartbeats.leave();
    await link.close();
  });

  test('is given back when no connection becomes free in time', async () => {
    const [, sink] = [await stage.start({ siteConnectionsMax: 1 }), await stage.sink()];
    const jobs = await owner.store([to('slow-after-dot@y'), to('b@y')]);
    jobs[1]!.startWithinMs = 100;
    owner.send(stage.site(sink.port), jobs);
    expect(await owner.outcomesOf(jobs)).toMatchObject([{ kind: RELAYED }, { kind: RETURNED }]);
    expect(sink.taken).toBe(1);
  });

  test('whose mail is gone goes back, and its owner is told that it is', async () => {
    const [, sink] = [await stage.start(), await stage.sink()];
    const jobs = await owner.store([to('a@y'), to('b@y')]);
    jobs[0]!.ref!.sequence = 1_000_000;
    owner.send(stage.site(sink.port), jobs);
    expect(await owner.outcomesOf(jobs)).toMatchObject([
      {
        kind: RETURNED,
        contentMissing: true,
        reply: { code: 451, text: expect.stringContaining('SPOOL_0 1000000') },
      },
      { kind: RELAYED },
    ]);
  });
});

describe('a worker whose clock is not that of the owner', () => {
  const real = Date.now.bind(Date);

  afterEach(() => void jest.restoreAllMocks());

  test.each([400_000, -400_000])(
    'by %i ms delivers, and suspends a site that is down for its backoff',
    async (ms) => {
      jest.spyOn(Date, 'now').mockImplementation(() => real() + ms);
      const [, sink] = [await stage.start(), await stage.sink()];
      const [within, by] = [await owner.store([to('a@y')]), await owner.store([to('b@y')])];
      await owner.fence();
      // Of an owner of now, and of one that knows only times.
      within[0]!.startByMs = real() + 300_000;
      within[0]!.startWithinMs = 300_000;
      by[0]!.startByMs = real() + 300_000;
      for (const jobs of [within, by]) {
        owner.send(stage.site(sink.port), jobs);
        expect(await owner.outcomesOf(jobs)).toMatchObject([{ kind: RELAYED }]);
      }
      await sink.refuse();
      const jobs = await owner.store([to('c@y')]);
      owner.send(stage.site(sink.port), jobs);
      expect(await owner.outcomesOf(jobs)).toMatchObject([{ kind: RETURNED }]);
      const { suspendedForMs } = owner.sites.find(({ window }) => window === 0)!;
      expect(suspendedForMs).toBeGreaterThan(400);
      expect(suspendedForMs).toBeLessThanOrEqual(550);
    },
  );

  test('since somebody set it while a job waited does not give that back', async () => {
    const [, sink] = [await stage.start({ siteConnectionsMax: 1 }), await stage.sink()];
    const jobs = await owner.store([to('slow-after-dot@y'), to('b@y')]);
    await owner.fence();
    for (const job of jobs) job.startWithinMs = 60_000;
    owner.send(stage.site(sink.port), jobs);
    await until(() => sink.taken === 1);
    jest.spyOn(Date, 'now').mockImplementation(() => real() + 400_000);
    expect(await owner.outcomesOf(jobs)).toMatchObject([{ kind: RELAYED }, { kind: RELAYED }]);
  });
});

describe('a worker whose clock is set again and again', () => {
  const real = Date.now.bind(Date);
  const DAY_MS = 86_400_000;

  let setting: NodeJS.Timeout | undefined;

  afterEach(() => {
    clearInterval(setting);
    jest.restoreAllMocks();
  });

  test('carries out each job once, gives none back, and suspends for no longer than its backoff', async () => {
    let aheadMs = 0;
    jest.spyOn(Date, 'now').mockImplementation(() => real() + aheadMs);
    const steps = [DAY_MS, -DAY_MS, 1000, -DAY_MS / 2, 0];
    setting = setInterval(() => {
      steps.push(steps.shift()!);
      aheadMs = steps[0]!;
    }, 15);
    const [, sink] = [await stage.start({ siteConnectionsMax: 2 }), await stage.sink()];
    sink.behaviour.delayMs = 5;
    const jobs = await owner.store(Array.from({ length: 60 }, (_, i) => to(`r${i}@y`)));
    await owner.fence();
    for (const job of jobs) job.startWithinMs = 20_000;
    owner.send(stage.site(sink.port), jobs);
    for (const outcome of await owner.outcomesOf(jobs)) expect(outcome.kind).toBe(RELAYED);
    expect([sink.timesTaken.size, sink.taken]).toEqual([60, 60]);
    await sink.refuse();
    const down = await owner.store([to('c@y')]);
    owner.send(stage.site(sink.port), down);
    expect(await owner.outcomesOf(down)).toMatchObject([{ kind: RETURNED }]);
    const { suspendedForMs } = owner.sites.find(({ window }) => window === 0)!;
    expect(suspendedForMs).toBeGreaterThan(400);
    expect(suspendedForMs).toBeLessThanOrEqual(550);
  });
});

describe('what is in flight', () => {
  test('is told to a new owner: what runs, how far it is, and what nobody acted on', async () => {
    const [worker, sink] = [await stage.start(), await stage.sink()];
    const jobs = await owner.store([to('a@y'), to('slow-after-dot@y')]);
    owner.send(stage.site(sink.port), jobs);
    await owner.outcomesOf([jobs[0]!]);
    await until(() => sink.taken === 2);
    stage.raiseEpoch(owner);
    expect(await owner.inflight()).toMatchObject([
      {
        worker: worker.link.instance,
        running: [{ attemptId: jobs[1]!.attemptId, queueId: jobs[1]!.queueId, checkpointed: true }],
        unacknowledged: [{ attemptId: jobs[0]!.attemptId, kind: RELAYED }],
      },
    ]);
    await owner.outcomesOf(jobs);
    owner.acknowledge(worker.link.instance, idsOf(jobs));
    await pause(50);
    expect(await owner.inflight()).toMatchObject([{ running: [], unacknowledged: [] }]);
  });
});

describe('a site', () => {
  test('gets many mails of one pack over few connections, each mail once', async () => {
    const [, sink] = [await stage.start({ siteConnectionsMax: 3 }), await stage.sink()];
    const jobs = await owner.store(Array.from({ length: 500 }, (_, i) => to(`r${i}@y`)));
    owner.send(stage.site(sink.port), jobs);
    for (const outcome of await owner.outcomesOf(jobs)) expect(outcome.kind).toBe(RELAYED);
    expect(sink.timesTaken.size).toBe(500);
    expect(Math.max(...sink.timesTaken.values())).toBe(1);
    expect([sink.connectionsMost, sink.connectionsTotal]).toEqual([3, 3]);
  });

  test('gets the mails of other streams while one of them gives no answer', async () => {
    const [, sink] = [await stage.start({ siteConnectionsMax: 2 }), await stage.sink()];
    const site = stage.site(sink.port);
    const [good, bad] = await Promise.all(
      [20, 100].map((length) => owner.store(Array.from({ length }, () => to('a@y')))),
    );
    for (const [i, job] of bad!.entries()) job.ref = { ...job.ref!, stream: 'SPOOL_9', sequence: i + 1 };
    owner.send(site, good!.slice(0, 1));
    await owner.outcomesOf(good!.slice(0, 1));
    owner.send(site, [...bad!, ...good!.slice(1)]);
    for (const outcome of await owner.outcomesOf(good!)) expect(outcome.kind).toBe(RELAYED);
    for (const { kind, contentMissing } of await owner.outcomesOf(bad!)) {
      expect([kind, contentMissing]).toEqual([RETURNED, undefined]);
    }
    expect(sink.taken).toBe(20);
  }, 20_000);

  test('that refuses further connections keeps those that it has, and is not down', async () => {
    const [, sink] = [await stage.start({ siteConnectionsMax: 8 }), await stage.sink()];
    sink.behaviour.connectionsMax = 2;
    const jobs = await owner.store(Array.from({ length: 200 }, (_, i) => to(`r${i}@y`)));
    owner.send(stage.site(sink.port), jobs);
    for (const outcome of await owner.outcomesOf(jobs)) expect(outcome.kind).toBe(RELAYED);
    expect(Math.max(...sink.timesTaken.values())).toBe(1);
    expect(owner.sites.filter(({ suspendedUntilMs }) => suspendedUntilMs > 0)).toEqual([]);
  });

  test('whose host is down is suspended, which its owners are told, and probed afterwards', async () => {
    const [, sink] = [await stage.start(), await stage.sink()];
    await sink.refuse();
    const site = stage.site(sink.port);
    const jobs = await owner.store([to('a@y'), to('b@y')]);
    owner.send(site, [jobs[0]!]);
    expect(await owner.outcomesOf([jobs[0]!])).toMatchObject([
      { kind: RETURNED, reply: { text: expect.stringContaining('ECONNREFUSED') } },
    ]);
    const status = owner.sites.find(({ window }) => window === 0);
    expect(status).toMatchObject({
      siteKey: site.key,
      reason: { text: expect.stringContaining('ECONNREFUSED') },
    });
    // The backoff of the stage, 500 ms.
    expect(status!.suspendedForMs).toBeGreaterThan(400);
    expect(status!.suspendedForMs).toBeLessThanOrEqual(550);
    expect(status!.suspendedUntilMs).toBeGreaterThan(Date.now());
    await sink.listen();
    await pause(status!.suspendedForMs! + 50);
    owner.send(site, [jobs[1]!]);
    expect(await owner.outcomesOf([jobs[1]!])).toMatchObject([{ kind: RELAYED }]);
    await until(() => owner.sites.at(-1)!.suspendedForMs === 0);
    expect(owner.sites.at(-1)!.window).toBeGreaterThan(0);
  });

  test('may be LMTP or a Maildir, and then delivers', async () => {
    const root = await mkdtemp(join(tmpdir(), 'postrider-maildir-'));
    const [, sink] = [await stage.start(), await stage.sink({ protocol: 'lmtp' })];
    const jobs = await owner.store([to('a@y', 'data-550@y'), to('b@y')]);
    owner.send(stage.site(sink.port, { transport: Transport.LMTP }), [jobs[0]!]);
    owner.send(stage.site(0, { transport: Transport.MAILDIR, hosts: [], maildir: join(root, '{local}') }), [
      jobs[1]!,
    ]);
    const [lmtp, maildir] = await owner.outcomesOf(jobs);
    expect(lmtp!.recipients).toMatchObject([
      { recipient: 0, kind: DELIVERED },
      { recipient: 1, kind: FAILED, reply: { code: 550 } },
    ]);
    expect(maildir).toMatchObject({ kind: DELIVERED, recipients: [] });
    expect(await readdir(join(root, 'b', 'new'))).toHaveLength(1);
    await rm(root, { recursive: true });
  });

  test('has its connections closed when nobody needs them', async () => {
    const [, sink] = [await stage.start({ connectionIdleMax: '100 ms' }), await stage.sink()];
    const jobs = await owner.store([to('a@y')]);
    owner.send(stage.site(sink.port), jobs);
    await owner.outcomesOf(jobs);
    await until(() => sink.connectionsNow === 0);
    expect(sink.commands.at(-1)).toBe('QUIT');
  });
});

describe('workers', () => {
  test('share the shards, and hand over without running anything twice', async () => {
    await stage.start();
    const sink = await stage.sink();
    const sites = Array.from({ length: 12 }, () => stage.site(sink.port));
    const round = async () => {
      const jobs = await owner.store(sites.map((_, i) => to(`r${i}@y`)));
      sites.forEach((site, i) => {
        owner.send(site, [jobs[i]!]);
      });
      for (const outcome of await owner.outcomesOf(jobs)) expect(outcome.kind).toBe(RELAYED);
    };
    await round();
    const second = await stage.start();
    await pause(1500);
    await round();
    expect(owner.workers.size).toBe(2);
    await second.stop();
    await round();
    expect([sink.taken, Math.max(...sink.timesTaken.values())]).toEqual([36, 1]);
  }, 30_000);

  test('that stop finish what runs and give back what waits', async () => {
    const [worker, sink] = [await stage.start({ siteConnectionsMax: 1 }), await stage.sink()];
    const jobs = await owner.store([to('slow-after-dot@y'), to('b@y')]);
    owner.send(stage.site(sink.port), jobs);
    await until(() => sink.taken === 1);
    await worker.stop();
    expect(await owner.outcomesOf(jobs)).toMatchObject([{ kind: RELAYED }, { kind: RETURNED }]);
    expect(sink.taken).toBe(1);
  }, 30_000);

  test('that stop wait for the next owner of a partition whose owner died', async () => {
    const link = await connectLink({ url: stage.nats.url, service: 'queue' });
    const owners = new Presence(link, { service: 'queue', watch: [], holds: () => new Uint8Array(0) });
    const [worker, sink] = [await stage.start(), await stage.sink()];
    await owners.start();
    const jobs = await owner.store([to('a@y')]);
    owner.send(stage.site(sink.port), jobs);
    await owner.outcomesOf(jobs);
    const stopping = worker.stop();
    await pause(2000);
    stage.raiseEpoch(owner);
    const [attemptId] = idsOf(jobs);
    expect(await owner.inflight()).toMatchObject([{ unacknowledged: [{ attemptId, kind: RELAYED }] }]);
    owner.acknowledge(worker.link.instance, [attemptId!]);
    await stopping;
    await owners.leave();
    await link.close();
  }, 30_000);

  test('tell their outcomes when the nats-server comes back', async () => {
    const [, sink] = [await stage.start(), await stage.sink()];
    const jobs = await owner.store([to('slow-after-dot@y')]);
    owner.send(stage.site(sink.port), jobs);
    await until(() => sink.taken === 1);
    await stage.nats.kill('SIGKILL');
    await pause(1200);
    await stage.nats.restart();
    expect(await owner.outcomesOf(jobs, 15_000)).toMatchObject([{ kind: RELAYED }]);
    expect(sink.taken).toBe(1);
  }, 60_000);
});
