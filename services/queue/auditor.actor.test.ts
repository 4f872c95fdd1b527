import { describe, expect, test } from '@jest/globals';
import type { Job } from '#proto/postrider/v1/job.ts';
import type { PackEntry } from '#proto/postrider/v1/mail.ts';
import { type Site, Transport } from '#proto/postrider/v1/route.ts';
import { type Attempt, AttemptLedger } from './attempts.ts';
import { AuditBudget } from './audit-budget.ts';
import { Auditor } from './auditor.actor.ts';
import { CheckpointLedger } from './checkpoint-ledger.ts';
import type { Custody } from './custody.ts';
import { Interned } from './interned.ts';
import { Mails } from './mails.ts';
import { type MessageEffect, type MessageInput, receive } from './message.machine.ts';
import type { MessagePolicy } from './message-reviews.ts';
import { PackLedger } from './pack-ledger.ts';
import type { ReportRequest } from './report-draft.ts';
import { SiteDesk, type WorkItem } from './site-desk.actor.ts';

const SITE: Site = { key: 'smtp:mx:25', transport: Transport.SMTP, hosts: [], maildir: '' };
const POLICY: MessagePolicy = {
  scheduleMs: [3_600_000],
  expireAfterMs: 5 * 86_400_000,
  delayWarningAfterMs: 86_400_000,
  inDoubt: 'redeliver',
};
const SAID = { code: 450, enhanced: '', text: '', host: 'mx' };
const TICK_MS = 100;

const entryOf = (queueId: string): PackEntry => ({
  queueId,
  offset: 0,
  length: 1,
  acceptedAtMs: 0,
  domains: [{ domain: 'a.example', count: 1 }],
  nullReversePath: false,
  size: 1,
  trace: undefined,
});

/** An owner with its real mails, heap, desk and attempts; workers and the resolver do nothing by themselves. */
class World {
  readonly number = 0;
  nowMs = 1_000_000;
  readonly mails = new Mails({
    ledger: new PackLedger(),
    interned: new Interned(),
    stream: 'SPOOL_0',
    clock: { toWall: (ms) => ms, fromWall: (ms) => ms },
    waitMsMax: () => 3_600_000,
  });
  readonly desk = new SiteDesk({
    link: { publish: () => true, instance: 'q', payloadMax: 1_000_000 },
    shards: 1,
    now: () => this.nowMs,
  });
  readonly attempts = new AttemptLedger();
  readonly checkpoints = { ledger: new CheckpointLedger() };
  readonly awaited = new Set<string>();
  readonly reports = new Set<Custody>();
  readonly heard: string[] = [];
  readonly said: string[] = [];
  readonly doubted: string[] = [];
  overdue = 0;
  readonly auditor: Auditor;

  constructor() {
    // Jobs stay where they are: nothing leaves the desk.
    this.desk.actsWhile(() => false);
    const { reports } = this;
    this.auditor = new Auditor({
      owner: this,
      dispatch: { attempts: this.attempts, doubt: ({ attemptId }) => this.doubted.push(attemptId) },
      checkpoints: this.checkpoints,
      reports: {
        has: (custody) => reports.has(custody),
        add: ({ custody }: ReportRequest) => void reports.add(custody),
      },
      unheard: { holds: () => false },
      context: {
        now: () => this.nowMs,
        onTrouble: (reason) => this.said.push(reason),
        desk: this.desk,
        routes: { awaits: (domain) => this.awaited.has(domain) },
        auditBudget: new AuditBudget({ budgetMs: Number.POSITIVE_INFINITY }),
        counters: { overdue: { add: (count) => (this.overdue += count) } },
      },
    });
  }

  lease(_item: WorkItem): Job | undefined {
    return undefined;
  }

  wake(custody: Custody): void {
    this.feed(custody, { kind: 'due', nowMs: this.nowMs });
  }

  feed(custody: Custody, input: MessageInput): boolean {
    this.heard.push(input.kind);
    const effects = receive(custody.message, input, POLICY);
    for (const effect of effects) this.#perform(custody, effect);
    return effects.length > 0;
  }

  #perform(custody: Custody, effect: MessageEffect): void {
    if (effect.kind === 'wakeAt') this.mails.wakeAt(custody, effect.atMs);
    else if (effect.kind === 'settle') this.mails.remove(custody);
    else if (effect.kind === 'report') this.reports.add(custody);
    else if (effect.kind === 'resolve') for (const domain of effect.domains) this.awaited.add(domain);
    else if (effect.kind === 'enqueue') {
      const { positions } = effect;
      this.desk.enqueue(effect.site, { leaser: this, custody, positions, readyAtMs: this.nowMs });
    }
  }

  accept(...ids: string[]): Custody[] {
    const pack = { sequence: 1, settled: new Set<number>(), storedAtMs: this.nowMs, isFresh: true };
    const fresh = this.mails.addPack({ ...pack, entries: ids.map(entryOf) }, this.nowMs);
    for (const custody of fresh) this.wake(custody);
    return fresh;
  }

  routed(custody: Custody): void {
    this.awaited.clear();
    this.feed(custody, {
      kind: 'routed',
      nowMs: this.nowMs,
      routes: new Map([['a.example', { kind: 'site', site: SITE }]]),
    });
  }

  /** The desk gives it to a worker. */
  dispatched(custody: Custody): Attempt {
    this.desk.withdraw(this);
    this.feed(custody, { kind: 'dispatched', positions: [0] });
    const base = { custody, positions: [0], siteKey: SITE.key, sentAtMs: this.nowMs, worker: 'w' };
    const id = `${custody.message.queueId}.1.1`;
    const attempt = {
      ...base,
      id,
      origin: { kind: 'adopted' as const },
      checkpointed: false,
      finished: false,
    };
    this.attempts.add(attempt);
    return attempt;
  }

  deferred(custody: Custody, attempt: Attempt): void {
    this.attempts.remove(attempt.id);
    const results = [{ position: 0, result: 'deferred' as const, reply: SAID }];
    this.feed(custody, { kind: 'outcome', nowMs: this.nowMs, results });
  }

  /** As the partition's tick does. */
  pass(ms: number): void {
    for (let passed = 0; passed < ms; passed += TICK_MS) {
      this.nowMs += TICK_MS;
      for (const custody of this.mails.takeDue(this.nowMs, 2000)) this.wake(custody);
      for (const custody of this.mails.takeStaying(this.nowMs, 1000)) {
        this.feed(custody, { kind: 'stays', nowMs: this.nowMs });
      }
      this.auditor.tick(this.nowMs);
    }
  }
}

/** Long enough for a mail of now to be found twice. */
const FOUND_MS = 190_000;

function resting(...ids: string[]): { world: World; custodies: Custody[] } {
  const world = new World();
  const custodies = world.accept(...ids);
  for (const custody of custodies) {
    world.routed(custody);
    world.deferred(custody, world.dispatched(custody));
  }
  return { world, custodies };
}

describe('The audit of an owner', () => {
  test('finds the mail whose wake-up is gone, names it, and wakes it', () => {
    const { world, custodies } = resting('forgotten', 'well');
    // It is taken out of the heap, and nobody looks at it.
    const [gone] = custodies;
    world.mails.wakeAt(gone!, world.nowMs);
    expect(world.mails.takeDue(world.nowMs, 1)).toEqual([gone]);
    expect(gone!.heapIndex).toBe(-1);
    world.pass(FOUND_MS);
    expect(world.overdue).toBe(1);
    expect(world.said).toEqual(['partition 0: 1 mails were overdue and are woken: forgotten (no wake-up)']);
    expect(world.mails.wakeUpOf(gone!)).toBe(gone!.message.recipients[0]!.nextAttemptAtMs);
    world.pass(FOUND_MS);
    expect(world.overdue).toBe(1);
    world.pass(3_600_000);
    expect(gone!.message.recipients[0]!.phase).toBe('routing');
  });

  test('says nothing of mail that waits for the resolver, its site, a worker, or its time', () => {
    const { world } = resting('rests');
    const [routing] = world.accept('routing');
    world.pass(FOUND_MS);
    world.routed(routing!);
    world.pass(FOUND_MS);
    expect(routing!.message.recipients[0]!.phase).toBe('ready');
    world.dispatched(routing!);
    world.pass(86_000_000);
    expect(routing!.message.recipients[0]!.phase).toBe('attempting');
    expect({ overdue: world.overdue, said: world.said }).toEqual({ overdue: 0, said: [] });
  }, 60_000);

  test('has work that the desk lost routed again', () => {
    const world = new World();
    const [custody] = world.accept('dropped');
    world.routed(custody!);
    world.desk.withdraw(world);
    world.pass(FOUND_MS);
    expect(world.said).toEqual([expect.stringContaining('dropped (no work)')]);
    expect(custody!.message.recipients[0]!.phase).toBe('routing');
    expect(world.awaited).toEqual(new Set(['a.example']));
  });

  test('asks again for a route that nobody is asked for', () => {
    const world = new World();
    const [custody] = world.accept('unasked');
    world.awaited.clear();
    world.pass(FOUND_MS);
    expect(custody!.message.recipients[0]!.phase).toBe('routing');
    expect(world.awaited.size).toBe(1);
    expect(world.overdue).toBe(1);
  });

  test.each([true, false])('starts anew what no attempt is for (checkpoint open: %s)', (isOpen) => {
    const world = new World();
    const [custody] = world.accept('untold');
    world.routed(custody!);
    const { id } = world.dispatched(custody!);
    world.attempts.remove(id);
    const record = { worker: 'w', attemptIds: [id], ended: [], parts: [] };
    if (isOpen) world.checkpoints.ledger.add(1, record, () => false);
    world.pass(FOUND_MS);
    expect(world.said).toEqual([expect.stringContaining('untold (no attempt)')]);
    expect(custody!.message.recipients[0]).toMatchObject({ phase: 'routing', inDoubt: isOpen });
    expect(world.doubted).toEqual(isOpen ? [id] : []);
  });

  test.each(['delay', 'failure'] as const)('has a %s reported that nobody was told to report', (report) => {
    const { world, custodies } = resting('late');
    const { message } = custodies[0]!;
    Object.assign(message, { phase: 'reporting', reporting: report });
    if (report === 'failure') message.recipients[0]!.phase = 'failed';
    world.pass(FOUND_MS);
    expect(world.said).toEqual([expect.stringContaining('late (no report)')]);
    expect(world.reports).toEqual(new Set(custodies));
  });

  test('tells a mail that it stays when nobody else does', () => {
    const world = new World();
    const [custody] = world.accept('told');
    world.pass(20_000);
    custody!.message.hasStayed = false;
    world.pass(FOUND_MS);
    expect(world.said).toEqual([expect.stringContaining('told (no stays)')]);
    expect(custody!.message.hasStayed).toBe(true);
  });

  test('names ten of many, and counts and wakes all', () => {
    const ids = Array.from({ length: 700 }, (_, i) => `m${i}`);
    const { world, custodies } = resting(...ids);
    for (const custody of custodies) world.mails.wakeAt(custody, world.nowMs);
    world.mails.takeDue(world.nowMs, 700);
    world.pass(FOUND_MS + 60_000);
    expect(world.overdue).toBe(700);
    expect(world.said[0]!.match(/no wake-up/g)).toHaveLength(10);
    expect(custodies.every((custody) => world.mails.wakeUpOf(custody) !== undefined)).toBe(true);
  });

  test('forgets what it suspected when it stood still itself', () => {
    const { world, custodies } = resting('late');
    world.mails.wakeAt(custodies[0]!, world.nowMs);
    world.mails.takeDue(world.nowMs, 1);
    for (let minutes = 0; minutes < 5; minutes++) {
      world.pass(65_000);
      world.nowMs += 10_000;
    }
    expect(world.overdue).toBe(0);
    world.pass(FOUND_MS);
    expect(world.overdue).toBe(1);
  });
});
