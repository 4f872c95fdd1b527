// A worker that stands still for longer than anybody waits for it, at each point of an attempt's way, with a clock that is a day off:
// what it had is given to another worker meanwhile. It sends no dot that its owner does not find among the open checkpoints.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, expect, jest, test } from '@jest/globals';
import { ServiceProcess } from '#kit/cluster-process.ts';
import { type DeliveryOwner, until } from '#kit/delivery-owner.ts';
import { DeliveryWorkers } from '#kit/delivery-workers.ts';
import { isStopped } from '#kit/process-faults.ts';
import type { Moment } from '#kit/process-hook.ts';
import type { SmtpSink } from '#kit/smtp-sink.ts';
import { type Job, type Outcome, OutcomeKind } from '#proto/postrider/v1/job.ts';

jest.setTimeout(60_000);

const { RELAYED, DEFERRED, RETURNED } = OutcomeKind;
const DAY_MS = 86_400_000;
/** Others take a worker for dead after 5 s; its lease ends after 3.5 s. */
const STILL_MS = 6000;
const MAILS = 6;

let stage: DeliveryWorkers;
let owner: DeliveryOwner;
let sink: SmtpSink;
let folder: string;
let worker: ServiceProcess;

beforeAll(async () => {
  stage = await DeliveryWorkers.open();
}, 60_000);

afterAll(() => stage?.close());

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'postrider-frozen-'));
  owner = stage.owner();
  await owner.fence();
  sink = await stage.sink();
  sink.behaviour.slowMs = 500;
});

afterEach(async () => {
  await worker.kill('SIGKILL');
  await stage.clear();
  rmSync(folder, { recursive: true });
});

/** A worker of its own process, whose clock is ahead by so much. */
async function startWorker(aheadMs: number): Promise<void> {
  const hook = new URL('../kit/process-hook.ts', import.meta.url);
  hook.searchParams.set('shift', String(aheadMs));
  const configFile = join(folder, 'postrider.yaml');
  const config = {
    nats: { url: stage.nats.url, partitions: 2 },
    delivery: { shards: 16 },
    drain: { attempts: '1 s', dots: '1 s' },
  };
  writeFileSync(configFile, JSON.stringify(config));
  const logFile = join(folder, 'log');
  worker = new ServiceProcess({
    service: 'delivery',
    index: 0,
    configFile,
    logFile,
    nodeOptions: ['--import', hook.href],
  });
  await worker.start();
}

/** Where it stands still: in the middle of saying something, or when something is to be seen from outside. */
type Place = Moment | 'checkpoints stored' | 'dots out';

/** All of it is out with the worker, which stands still. */
async function outAt(place: Place): Promise<Job[]> {
  const jobs = await owner.store(Array.from({ length: MAILS }, () => ({ to: ['slow-after-dot@y'] })));
  // Between a checkpoint, which is asked for with MAIL, and 354.
  if (place === 'checkpoints stored') sink.behaviour.delayMs = 500;
  if (typeof place === 'object') worker.freezeIn(place);
  owner.send(stage.site(sink.port), jobs);
  if (place === 'checkpoints stored') await until(() => owner.checkpoints.length === MAILS);
  if (place === 'dots out') await until(() => sink.taken === MAILS);
  if (typeof place === 'string') worker.signal('SIGSTOP');
  await until(() => isStopped(worker.pid));
  sink.behaviour.delayMs = 0;
  return jobs;
}

/** As its owner does: it is given up, what it may have sent is noted, and all that has no outcome is tried anew by another one. */
async function giveToAnother(jobs: Job[]): Promise<Set<string>> {
  await owner.fence([{ worker: String(worker.ready.instance), through: 1 }]);
  const named = (await owner.stored()).flatMap(({ attemptIds }) => attemptIds);
  const untold = jobs.filter((job) => owner.told(job).length === 0);
  const open = untold.map(({ attemptId }) => attemptId).filter((id) => named.includes(id));
  const again = untold.map((job) => ({
    ...job,
    attemptId: `${job.queueId}.2.${owner.epoch.toString(36)}`,
  }));
  const site = stage.site(sink.port);
  await until(() => {
    owner.send(site, again);
    return again.every(({ attemptId }) => owner.accepted.includes(attemptId));
  }, 20_000);
  for (const outcome of await owner.outcomesOf(again)) expect(outcome.kind).toBe(RELAYED);
  return new Set(open);
}

/** Of each mail how often it was taken, and whether an attempt of it was left open. */
function counted(jobs: Job[], open: Set<string>): { copies: number; open: boolean }[] {
  return jobs.map(({ queueId, attemptId }) => ({
    copies: sink.timesTaken.get(queueId) ?? 0,
    open: open.has(attemptId),
  }));
}

/** Its worker knows that its dot was out. */
function isSent({ kind, inDoubt }: Outcome): boolean {
  return kind === RELAYED || (kind === DEFERRED && inDoubt === true);
}

async function standStill(jobs: Job[]): Promise<Set<string>> {
  const [, open] = await Promise.all([pause(STILL_MS), stage.start().then(() => giveToAnother(jobs))]);
  return open;
}

test.each<[string, Place, number]>([
  ['before it stores a checkpoint', { saying: 'checkpoint', nth: 1, side: 'before' }, DAY_MS],
  ['when its checkpoints are stored', 'checkpoints stored', -DAY_MS],
  ['when its dots are out', 'dots out', DAY_MS],
  ['before it tells an outcome', { saying: 'outcome', nth: 2, side: 'before' }, -DAY_MS],
])('A worker that stands still %s sends nothing that is not counted', async (_, place, aheadMs) => {
  await startWorker(aheadMs);
  const jobs = await outAt(place);
  const open = await standStill(jobs);
  const dots = sink.taken;
  worker.signal('SIGCONT');
  const outcomes = await owner.outcomesOf(jobs);
  const all = counted(jobs, open);
  expect(all.filter((one) => one.copies > (one.open ? 2 : 1))).toEqual([]);
  expect(sink.taken).toBe(dots);
  // What it had sent it knows; of the rest it has sent nothing.
  for (const [i, outcome] of outcomes.entries()) if (all[i]!.copies > 1) expect(isSent(outcome)).toBe(true);
  if (place === 'dots out') return;
  if (place !== 'checkpoints stored' && place.saying === 'outcome') return;
  const isOpen = place === 'checkpoints stored';
  expect(all).toEqual(jobs.map(() => ({ copies: 1, open: isOpen })));
  for (const { kind } of outcomes) expect(kind).toBe(RETURNED);
});

test('A worker that is asked to stop while it stands still tells what it knows, and ends', async () => {
  await startWorker(0);
  const jobs = await outAt('dots out');
  worker.signal('SIGTERM');
  const open = await standStill(jobs);
  expect(open.size).toBe(MAILS);
  worker.signal('SIGCONT');
  await until(() => !worker.running, 20_000);
  for (const outcome of await owner.outcomesOf(jobs)) expect(isSent(outcome)).toBe(true);
  expect(worker.log()).toContain('"stopped"');
});
