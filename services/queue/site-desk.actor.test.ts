import { describe, expect, test } from '@jest/globals';
import { type Job, JobBatch } from '#proto/postrider/v1/job.ts';
import { type Site, Transport } from '#proto/postrider/v1/route.ts';
import type { Custody } from './custody.ts';
import { type Leaser, SiteDesk, type WorkItem } from './site-desk.actor.ts';

const siteOf = (key: string): Site => ({ key, transport: Transport.SMTP, hosts: [], maildir: '' });
const SITE = siteOf('smtp:mx:25');
const nextTurn = () => new Promise((done) => setImmediate(done));

function jobOf(name: string, recipients: number[] = []): Job {
  const ref = { stream: 'SPOOL_0', sequence: 1, offset: 0, length: 1 };
  const rest = { partition: 0, epoch: 1, ref, startByMs: 1, trace: undefined, attempts: 0, ownTrace: false };
  return { attemptId: name, queueId: name, recipients, ...rest };
}

function bench(lease: (item: WorkItem) => Job | undefined = ({ positions }) => jobOf(`job ${positions[0]}`)) {
  const sent: { subject: string; jobs: string[] }[] = [];
  const clock = { nowMs: 0 };
  const desk = new SiteDesk({
    link: {
      instance: 'queue-1',
      payloadMax: 1024 ** 2,
      publish: (subject, payload) => {
        const { jobs } = JobBatch.decode(payload);
        sent.push({ subject, jobs: jobs.map(({ attemptId }) => attemptId) });
        return true;
      },
    },
    shards: 4,
    now: () => clock.nowMs,
  });
  const leaser: Leaser = { number: 0, lease };
  const item = (name: number, of = leaser): WorkItem => ({
    leaser: of,
    custody: {} as Custody,
    positions: [name],
    readyAtMs: 0,
  });
  return { desk, sent, clock, item, leaser };
}

describe('the desk', () => {
  test('sends the jobs of a turn for one site together', async () => {
    const { desk, sent, item } = bench();
    for (let n = 0; n < 3; n++) desk.enqueue(SITE, item(n));
    desk.enqueue(siteOf('other'), item(9));
    expect(sent).toEqual([]);
    await nextTurn();
    expect(sent.map(({ jobs }) => jobs)).toEqual([['job 0', 'job 1', 'job 2'], ['job 9']]);
    expect(sent[0]!.subject).toMatch(/^deliver\.[0-3]$/);
    expect(desk.totals()).toEqual({ waiting: 0, outstanding: 4, sites: 2 });
  });

  test('passes over work that is not wanted any more, however much of it there is', async () => {
    const { desk, sent, item } = bench(({ positions }) =>
      positions[0]! < 5000 ? undefined : jobOf('wanted'),
    );
    for (let n = 0; n <= 5000; n++) desk.enqueue(SITE, item(n));
    let turns = 0;
    while (sent.length === 0 && turns < 50) {
      await nextTurn();
      turns += 1;
    }
    expect(turns).toBeGreaterThan(3);
    expect(sent).toEqual([{ subject: expect.anything(), jobs: ['wanted'] }]);
    expect(desk.totals()).toMatchObject({ waiting: 0, outstanding: 1 });
  });

  test('lets work that was given back wait for the sweep', async () => {
    const { desk, sent, item } = bench();
    desk.requeue(SITE, item(1));
    await nextTurn();
    expect(sent).toEqual([]);
    desk.sweep(0);
    await nextTurn();
    expect(sent).toHaveLength(1);
  });

  test('tries a suspended site when its time has come, or when an operator wants it', async () => {
    const { desk, sent, clock, item } = bench();
    const status = {
      siteKey: SITE.key,
      window: 0,
      suspendedUntilMs: 0,
      suspendedForMs: 5000,
      reason: undefined,
    };
    desk.enqueue(SITE, item(1));
    desk.status(status, 0);
    desk.status({ ...status, siteKey: 'unknown' }, 0);
    await nextTurn();
    expect(sent).toEqual([]);
    desk.flush([SITE.key, 'unknown']);
    await nextTurn();
    expect(sent).toHaveLength(1);
    desk.status(status, 0);
    desk.finished(SITE.key, false);
    desk.finished('unknown', false);
    desk.enqueue(SITE, item(2));
    await nextTurn();
    expect(sent).toHaveLength(1);
    clock.nowMs = 5000;
    desk.sweep(5000);
    await nextTurn();
    expect(sent).toHaveLength(2);
  });

  test('sends nothing of a partition that is doubted, and then everything; the others go on', async () => {
    const { desk, sent, item, leaser } = bench();
    const other: Leaser = { number: 1, lease: () => ({ ...jobOf('other'), partition: 1 }) };
    desk.freeze(leaser);
    for (let n = 0; n < 100; n++) desk.enqueue(SITE, item(n));
    desk.enqueue(SITE, item(0, other));
    await nextTurn();
    expect(sent.map(({ jobs }) => jobs)).toEqual([['other']]);
    expect(desk.totals()).toEqual({ waiting: 100, outstanding: 1, sites: 1 });
    expect(desk.demand({ nowMs: 0, connectionsMax: 20 })).toMatchObject({ due: 101 });
    desk.freeze(leaser);
    desk.sweep(10_000_000);
    desk.thaw(leaser);
    await nextTurn();
    expect(sent[1]!.jobs).toEqual(Array.from({ length: 63 }, (_, n) => `job ${n}`));
    desk.thaw(leaser);
    desk.thaw(other);
  });

  test('keeps the jobs that it has for a partition that is doubted, and knows which have not left', async () => {
    const { desk, sent, leaser } = bench();
    const [doubted, sure] = [jobOf('doubted'), { ...jobOf('sure'), partition: 1 }];
    desk.freeze(leaser);
    for (const job of [doubted, sure]) desk.resend(SITE, job);
    await nextTurn();
    expect([doubted, sure].map((job) => desk.isUnsent(SITE, job))).toEqual([true, false]);
    expect(sent.map(({ jobs }) => jobs)).toEqual([['sure']]);
    desk.thaw(leaser);
    await nextTurn();
    expect(sent.map(({ jobs }) => jobs)).toEqual([['sure'], ['doubted']]);
  });

  test('forgets the work and the jobs of a partition that was given up', async () => {
    const { desk, sent, item, leaser } = bench();
    const other: Leaser = { number: 1, lease: () => jobOf('other') };
    desk.freeze(leaser);
    desk.enqueue(SITE, item(1));
    desk.resend(SITE, jobOf('sent and lost'));
    await nextTurn();
    desk.enqueue(SITE, item(2));
    desk.enqueue(SITE, item(3, other));
    desk.withdraw(leaser);
    desk.thaw(leaser);
    await nextTurn();
    expect(sent.map(({ jobs }) => jobs)).toEqual([['other']]);
    desk.withdraw(other);
  });

  test('sends nothing while others may think that it is gone, and loses nothing of it', async () => {
    const { desk, sent, item } = bench();
    let isHere = false;
    desk.actsWhile(() => isHere);
    desk.enqueue(SITE, item(1));
    await nextTurn();
    desk.resume();
    await nextTurn();
    expect(sent).toEqual([]);
    isHere = true;
    desk.resume();
    await nextTurn();
    expect(sent.map(({ jobs }) => jobs)).toEqual([['job 1']]);
  });

  test('stops in the middle of a turn when the process stood still in it', async () => {
    const { desk, sent, item } = bench(({ positions }) => {
      // Somewhere between the lease of a job and its message.
      isHere = positions[0] !== 2;
      return jobOf(`job ${positions[0]}`);
    });
    let isHere = true;
    desk.actsWhile(() => isHere);
    desk.enqueue(SITE, item(1));
    desk.enqueue(SITE, item(2));
    await nextTurn();
    expect(sent).toEqual([]);
    expect(desk.totals()).toMatchObject({ waiting: 0, outstanding: 2 });
    isHere = true;
    desk.resume();
    await nextTurn();
    expect(sent.map(({ jobs }) => jobs)).toEqual([['job 1', 'job 2']]);
  });

  test('cuts batches whose jobs list very many recipients, and sends one in the place of a lost job', async () => {
    const many = Array.from({ length: 40_000 }, (_, i) => i);
    const { desk, sent, item } = bench(({ positions }) => jobOf(`job ${positions[0]}`, many));
    for (let n = 0; n < 5; n++) desk.enqueue(SITE, item(n));
    await nextTurn();
    expect(sent.map(({ jobs }) => jobs.length)).toEqual([2, 2, 1]);
    desk.resend(SITE, jobOf('job 3'));
    await nextTurn();
    expect(sent.at(-1)!.jobs).toEqual(['job 3']);
    expect(desk.totals().outstanding).toBe(5);
  });

  test('forgets sites that were not used for long', async () => {
    const { desk, item, clock } = bench();
    desk.enqueue(SITE, item(1));
    await nextTurn();
    clock.nowMs = 700_000;
    desk.sweep(700_000);
    expect(desk.find(SITE.key)).toBeDefined();
    desk.finished(SITE.key, true);
    desk.sweep(700_000);
    expect(desk.find(SITE.key)).toBeUndefined();
  });

  test.each([
    { suspendedForMs: Number.MAX_SAFE_INTEGER, suspendedUntilMs: 0 },
    { suspendedForMs: undefined, suspendedUntilMs: Number.MAX_SAFE_INTEGER },
  ])('tries a site again some day, whatever was said of it (%j)', async (said) => {
    const { desk, sent, clock, item } = bench();
    desk.enqueue(SITE, item(1));
    desk.status({ siteKey: SITE.key, window: 4_294_967_295, reason: undefined, ...said }, 0);
    await nextTurn();
    expect(sent).toEqual([]);
    clock.nowMs = 2 * 86_400_000;
    desk.sweep(clock.nowMs);
    await nextTurn();
    expect(sent).toHaveLength(1);
  });

  test('counts what could be done now: many small sites whole, a hot one up to its limit, a suspended one not', async () => {
    const { desk, item } = bench();
    for (let n = 0; n < 300; n++) desk.enqueue(siteOf(`small ${n % 100}`), item(n));
    for (let n = 0; n < 5000; n++) desk.enqueue(siteOf('hot'), item(n));
    for (let n = 0; n < 700; n++) desk.enqueue(siteOf('down'), item(n));
    const reason = { code: 421, enhanced: '', text: 'busy', host: 'mx' };
    desk.status({ siteKey: 'down', window: 0, suspendedUntilMs: 0, suspendedForMs: 9000, reason }, 0);
    const limits = { nowMs: 0, connectionsMax: 20 };
    expect(desk.demand(limits)).toEqual({ due: 6000, unthrottled: 320 });
    await nextTurn();
    expect(desk.demand(limits)).toEqual({ due: 6000, unthrottled: 320 });
  });

  test('knows how long the first in line has waited, suspended sites apart', async () => {
    const { desk, item } = bench();
    expect(desk.oldestWaitMs(5000)).toBe(0);
    for (let n = 0; n < 200; n++) desk.enqueue(SITE, { ...item(n), readyAtMs: n });
    desk.enqueue(siteOf('down'), item(0));
    desk.status(
      { siteKey: 'down', window: 0, suspendedUntilMs: 0, suspendedForMs: 9000, reason: undefined },
      0,
    );
    await nextTurn();
    // The first 64 are out.
    expect(desk.oldestWaitMs(5000)).toBe(5000 - 64);
  });
});
