import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type SteadyClock, steadyClock } from '#libs/shell/steady-clock.ts';
import type { PackEntry } from '#proto/postrider/v1/mail.ts';
import { type Site, Transport } from '#proto/postrider/v1/route.ts';
import { lackOf } from './audit.ts';
import type { Custody } from './custody.ts';
import { Interned } from './interned.ts';
import { Mails } from './mails.ts';
import { type MessageEffect, type MessageInput, receive } from './message.machine.ts';
import { type Recipient, stateOf } from './message.ts';
import { type MessagePolicy, YOUNG_MS } from './message-reviews.ts';
import { PackLedger } from './pack-ledger.ts';
import { longestWaitMs } from './retry.ts';

const TODAY_MS = 1_800_000_000_000;
const DAY_MS = 86_400_000;
const REVIEW_AGAIN_MS = 60_000;
const POLICY: MessagePolicy = {
  scheduleMs: [300_000, 3_600_000],
  expireAfterMs: 5 * DAY_MS,
  delayWarningAfterMs: 4 * 3_600_000,
  inDoubt: 'redeliver',
};
const DOMAINS = ['a.example', 'b.example'];
const SITES: Site[] = DOMAINS.map((domain) => {
  return { key: `smtp:${domain}:25`, transport: Transport.SMTP, hosts: [], maildir: '' };
});
const SAID = { code: 450, enhanced: '', text: '', host: 'mx' };

/** How far a clock is off: a day both ways, fractions of a second, 1970. */
const SHIFTS = fc.constantFrom(0, 100, -100, 20_000, -300_000, 300_000, DAY_MS, -DAY_MS, -TODAY_MS);
const RESULTS = fc.constantFrom('relayed', 'deferred', 'failed');
const POSITION = fc.constantFrom(0, 1);

/** What may happen next; what cannot happen now is passed over. */
const EVENT = fc.oneof(
  fc.record({
    kind: fc.constant('pass'),
    ms: fc.constantFrom(100, 5000, 11_000, 400_000, DAY_MS, 6 * DAY_MS),
  }),
  fc.record({ kind: fc.constant('clock set'), byMs: SHIFTS }),
  fc.record({ kind: fc.constant('new owner'), shiftMs: SHIFTS }),
  fc.record({ kind: fc.constant('site'), result: fc.constantFrom('site', 'deferred', 'failed') }),
  fc.record({ kind: fc.constant('dispatched'), position: POSITION }),
  fc.record({ kind: fc.constant('outcome'), position: POSITION, result: RESULTS }),
  fc.record({ kind: fc.constant('late'), position: POSITION, result: RESULTS }),
  fc.record({ kind: fc.constant('returned'), position: POSITION }),
  fc.record({ kind: fc.constant('lost'), position: POSITION, inDoubt: fc.boolean() }),
  fc.record({ kind: fc.constant('rerouted'), position: POSITION }),
  fc.record({ kind: fc.constant('doubted'), position: POSITION }),
  fc.record({ kind: fc.constant('adopted'), position: POSITION }),
  fc.record({ kind: fc.constant('suspended'), ms: fc.constantFrom(0, 600_000, DAY_MS) }),
  fc.record({ kind: fc.constant('content lost'), content: fc.constantFrom('damaged', 'gone') }),
  fc.record({ kind: fc.constant('flushed'), domain: fc.constantFrom('', ...DOMAINS) }),
  fc.record({ kind: fc.constant('reported') }),
);
const START = fc.record({ owner: SHIFTS, ingress: SHIFTS, nullReversePath: fc.boolean() });
type Event = typeof EVENT extends fc.Arbitrary<infer T> ? T : never;

/** An owner without its shells: the mails, the machine, and what would be on its way. */
class Owner {
  readonly policy: MessagePolicy;
  readonly mails: Mails;
  readonly clock: SteadyClock;
  tried = new Set<number>();
  expiredUntried = false;
  /** Of both sites, on our clock. */
  suspendedUntilMs = 0;
  #offMs: number;
  #world: { elapsedMs: number };

  constructor(world: { elapsedMs: number }, shiftMs: number, policy: MessagePolicy) {
    this.policy = policy;
    this.#world = world;
    this.#offMs = shiftMs;
    this.clock = steadyClock(
      () => Math.max(0, TODAY_MS + world.elapsedMs + this.#offMs),
      () => world.elapsedMs,
    );
    this.mails = new Mails({
      ledger: new PackLedger(),
      interned: new Interned(),
      stream: 'SPOOL_0',
      clock: this.clock,
      waitMsMax: (deferrals) => longestWaitMs(deferrals, policy),
    });
  }

  set offMs(byMs: number) {
    this.#offMs = byMs;
  }

  get custody(): Custody | undefined {
    return [...this.mails.all()][0];
  }

  feed(input: MessageInput): void {
    const { custody } = this;
    if (custody === undefined) return;
    if (input.kind === 'outcome') for (const { position } of input.results) this.tried.add(position);
    if (input.kind === 'due') this.#noteRefusals(custody);
    const before = custody.message.recipients.map(({ fate }) => fate);
    const effects = receive(custody.message, input, this.policy);
    for (const effect of effects) this.#perform(custody, effect);
    custody.message.recipients.forEach(({ fate }, position) => {
      const isNewlyExpired = fate === 'expired' && before[position] === 'none';
      if (isNewlyExpired && !this.tried.has(position)) this.expiredUntried = true;
    });
  }

  /** A site that would not be tried since an attempt was owed has answered for all who wait for it. */
  #noteRefusals({ message }: Custody): void {
    message.recipients.forEach(({ phase, owedSinceMs }, position) => {
      if (phase === 'ready' && this.suspendedUntilMs > owedSinceMs) this.tried.add(position);
    });
  }

  due(): void {
    const refusedUntilMs = () => this.suspendedUntilMs;
    this.feed({ kind: 'due', nowMs: this.clock.now(), refusedUntilMs });
  }

  #perform(custody: Custody, effect: MessageEffect): void {
    if (effect.kind === 'wakeAt') this.mails.wakeAt(custody, effect.atMs);
    if (effect.kind === 'settle') this.mails.remove(custody);
  }

  /** As the partition's tick does. */
  tick(): void {
    const nowMs = this.clock.now();
    for (const _ of this.mails.takeDue(nowMs, 10)) this.due();
    for (const _ of this.mails.takeStaying(nowMs, 10)) this.feed({ kind: 'stays', nowMs });
  }

  pass(ms: number): void {
    this.#world.elapsedMs += ms;
    this.custody?.message.recipients.forEach(({ phase, nextAttemptAtMs }, position) => {
      if (phase === 'waiting' && nextAttemptAtMs <= this.clock.now()) this.tried.delete(position);
    });
    this.tick();
  }
}

const isIn = (custody: Custody | undefined, position: number, phase: Recipient['phase']) =>
  custody?.message.recipients[position]?.phase === phase;

function happen(owner: Owner, event: Exclude<Event, { kind: 'new owner' }>): void {
  const { custody, clock } = owner;
  const nowMs = clock.now();
  const has = (position: number, phase: Recipient['phase']) => isIn(custody, position, phase);
  switch (event.kind) {
    case 'pass':
      owner.pass(event.ms);
      return;
    case 'clock set':
      owner.offMs = event.byMs;
      return;
    case 'site': {
      const route = (i: number) =>
        event.result === 'site'
          ? ({ kind: 'site', site: SITES[i]! } as const)
          : ({ kind: event.result as 'failed', reply: SAID } as const);
      DOMAINS.forEach((_, i) => {
        if (event.result !== 'site' && has(i, 'routing')) owner.tried.add(i);
      });
      owner.feed({ kind: 'routed', nowMs, routes: new Map(DOMAINS.map((d, i) => [d, route(i)])) });
      return;
    }
    case 'flushed':
      owner.feed({ kind: 'flushed', nowMs, domain: event.domain });
      return;
    case 'doubted':
      owner.feed({ kind: 'doubted', nowMs, positions: [event.position] });
      return;
    case 'adopted':
      if (has(event.position, 'waiting') && custody!.message.phase !== 'reporting')
        owner.feed({ kind: 'adopted', positions: [event.position], siteKey: SITES[event.position]!.key });
      return;
    case 'suspended':
      owner.suspendedUntilMs = event.ms === 0 ? 0 : nowMs + event.ms;
      return;
    case 'content lost':
      owner.feed({ kind: 'contentLost', nowMs, content: event.content as 'gone' });
      return;
    case 'reported':
      if (custody?.message.phase === 'reporting') owner.feed({ kind: 'reported', nowMs });
      return;
    case 'dispatched':
    case 'rerouted':
      if (has(event.position, 'ready')) owner.feed({ kind: event.kind, nowMs, positions: [event.position] });
      return;
    case 'late':
      owner.feed({ kind: 'late', nowMs, results: [resultOf(event)] });
      return;
    case 'outcome':
      if (has(event.position, 'attempting'))
        owner.feed({ kind: 'outcome', nowMs, results: [resultOf(event)] });
      return;
    default: {
      if (!has(event.position, 'attempting')) return;
      const base = { nowMs, positions: [event.position], site: SITES[event.position] };
      if (event.kind === 'returned') owner.feed({ kind: 'returned', ...base });
      else owner.feed({ kind: 'lost', ...base, inDoubt: event.inDoubt });
    }
  }
}

function resultOf({ position, result }: { position: number; result: string }) {
  return { position, result: result as 'relayed' | 'deferred' | 'failed', reply: SAID };
}

/** What will move the mail again, and when at the latest; undefined when nothing will. */
function nextLookMs({ custody, clock, policy }: Owner): number | undefined {
  if (custody === undefined || custody.message.phase === 'reporting') return 0;
  if (!custody.message.hasStayed) return custody.startedAtMs + YOUNG_MS - clock.now();
  if (custody.heapIndex === -1) return undefined;
  const isHeld = custody.message.recipients.every(({ phase }) => phase === 'held' || phase === 'done');
  return isHeld ? 0 : Math.min(custody.wakeAtMs - clock.now(), policy.expireAfterMs + REVIEW_AGAIN_MS);
}

/** Recipients that wait for longer than the schedule says after as many deferrals. */
function tooLate({ custody, clock, policy }: Owner): Recipient[] {
  const ahead = (one: Recipient) => one.nextAttemptAtMs - clock.now();
  const waiting = custody?.message.recipients.filter(({ phase }) => phase === 'waiting') ?? [];
  return waiting.filter((one) => ahead(one) > longestWaitMs(one.attempts, policy));
}

/** What the audit would say if all that is on its way is where it should be, and the next tick wakes what is due. */
function lackNow({ custody, mails, clock }: Owner) {
  if (custody === undefined) return undefined;
  const there = { has: () => true };
  const wakeAtMs = mails.wakeUpOf(custody);
  return lackOf(custody, {
    nowMs: clock.now(),
    wakeAtMs: wakeAtMs === undefined ? undefined : Math.max(wakeAtMs, clock.now()),
    isUnheard: false,
    hasReport: true,
    isRouteAwaited: there.has,
    atDesk: there,
    out: there,
  });
}

function taken(world: { elapsedMs: number }, before: Owner, shiftMs: number, policy: MessagePolicy): Owner {
  const owner = new Owner(world, shiftMs, policy);
  const { custody, clock } = before;
  if (custody === undefined) return owner;
  owner.mails.addState(stateOf(custody.message, clock.toWall), owner.clock.now());
  owner.due();
  return owner;
}

function arrived(
  world: { elapsedMs: number },
  shifts: { owner: number; ingress: number; nullReversePath?: boolean },
  policy: MessagePolicy,
) {
  const owner = new Owner(world, shifts.owner, policy);
  const entry: PackEntry = {
    queueId: '00abcdefghij00000001',
    offset: 0,
    length: 1,
    acceptedAtMs: Math.max(0, TODAY_MS + shifts.ingress),
    domains: DOMAINS.map((domain) => ({ domain, count: 1 })),
    nullReversePath: shifts.nullReversePath ?? false,
    size: 1,
    trace: undefined,
  };
  const storedAtMs = TODAY_MS + world.elapsedMs;
  const pack = { sequence: 1, entries: [entry], settled: new Set<number>(), storedAtMs, isFresh: true };
  owner.mails.addPack(pack, owner.clock.now());
  owner.due();
  return owner;
}

describe('A mail whose clocks all differ', () => {
  test.each(['redeliver', 'hold'] as const)('is never forgotten, nor expires untried (%s)', (inDoubt) => {
    const policy = { ...POLICY, inDoubt };
    fc.assert(
      fc.property(START, fc.array(EVENT, { maxLength: 30 }), (start, events) => {
        const world = { elapsedMs: 0 };
        let owner = arrived(world, start, policy);
        for (const event of events) {
          if (event.kind === 'new owner') owner = taken(world, owner, event.shiftMs, policy);
          else happen(owner, event);
          expect(nextLookMs(owner)).toBeDefined();
          expect(owner.expiredUntried).toBe(false);
          expect(lackNow(owner)).toBeUndefined();
          expect(tooLate(owner)).toEqual([]);
        }
        // However it ended: it is looked at again in time, whatever the clocks say.
        const withinMs = nextLookMs(owner)!;
        expect(withinMs).toBeLessThanOrEqual(policy.expireAfterMs + REVIEW_AGAIN_MS);
      }),
      { numRuns: 1500 },
    );
  });

  test.each([0, 100, 300, 20_000, DAY_MS, -DAY_MS, -TODAY_MS])(
    'and that of ingress by %d ms has its review as if they did not',
    (ingress) => {
      const owner = arrived({ elapsedMs: 0 }, { owner: 0, ingress }, POLICY);
      owner.pass(11_000);
      const { custody, clock } = owner;
      expect(custody!.heapIndex).not.toBe(-1);
      expect(custody!.wakeAtMs).toBe(TODAY_MS + POLICY.delayWarningAfterMs);
      owner.pass(POLICY.delayWarningAfterMs);
      expect(custody!.message).toMatchObject({ phase: 'reporting', reporting: 'delay' });
      expect(clock.now() - custody!.message.ageFromMs).toBe(POLICY.delayWarningAfterMs + 11_000);
    },
  );

  test('is tried once more after an outage that was longer than its time', () => {
    const world = { elapsedMs: 0 };
    const before = arrived(world, { owner: 0, ingress: 0 }, POLICY);
    happen(before, { kind: 'site', result: 'site' });
    happen(before, { kind: 'dispatched', position: 0 });
    happen(before, { kind: 'outcome', position: 0, result: 'deferred' });
    world.elapsedMs += 10 * DAY_MS;
    const owner = taken(world, before, 0, POLICY);
    const phases = () => owner.custody!.message.recipients.map(({ phase }) => phase);
    expect(phases()).toEqual(['routing', 'routing']);
    happen(owner, { kind: 'site', result: 'site' });
    for (const position of [0, 1] as const) {
      happen(owner, { kind: 'dispatched', position });
      happen(owner, { kind: 'outcome', position, result: 'deferred' });
    }
    owner.pass(REVIEW_AGAIN_MS);
    expect(owner.custody!.message).toMatchObject({ phase: 'reporting', reporting: 'failure' });
  });

  test('that was accepted before any clock was set is not old when they are', () => {
    const world = { elapsedMs: 0 };
    const before = arrived(world, { owner: -TODAY_MS, ingress: -TODAY_MS }, POLICY);
    happen(before, { kind: 'site', result: 'deferred' });
    world.elapsedMs += 60_000;
    const owner = taken(world, before, 0, POLICY);
    owner.pass(6 * 60_000);
    for (const result of ['deferred', 'deferred'] as const) {
      happen(owner, { kind: 'site', result });
      owner.pass(POLICY.scheduleMs[1]! * 1.1);
    }
    expect(owner.custody!.message.recipients.map(({ fate }) => fate)).toEqual(['none', 'none']);
    expect(owner.custody!.wakeAtMs - owner.clock.now()).toBeLessThanOrEqual(POLICY.delayWarningAfterMs);
  });

  test('is as old as it is where no clock was ever set', () => {
    const world = { elapsedMs: 0 };
    const before = arrived(world, { owner: -TODAY_MS, ingress: -TODAY_MS }, POLICY);
    before.pass(POLICY.delayWarningAfterMs / 2);
    const owner = taken(world, before, -TODAY_MS, POLICY);
    expect(owner.clock.now() - owner.custody!.message.ageFromMs).toBe(POLICY.delayWarningAfterMs / 2);
  });

  test('is tried at once, and keeps its turn at its site, when only that stands between it and its expiry', () => {
    const world = { elapsedMs: 0 };
    const policy = { ...POLICY, delayWarningAfterMs: 30 * DAY_MS };
    const before = arrived(world, { owner: 0, ingress: 0 }, policy);
    before.pass(policy.expireAfterMs - 60_000);
    happen(before, { kind: 'site', result: 'deferred' });
    world.elapsedMs += 90_000;
    const owner = taken(world, before, 0, policy);
    const phases = () => owner.custody!.message.recipients.map(({ phase }) => phase);
    expect(phases()).toEqual(['routing', 'routing']);
    happen(owner, { kind: 'site', result: 'site' });
    owner.pass(11_000);
    owner.pass(REVIEW_AGAIN_MS);
    expect(phases()).toEqual(['ready', 'ready']);
    happen(owner, { kind: 'suspended', ms: 600_000 });
    owner.pass(REVIEW_AGAIN_MS);
    expect(owner.custody!.message).toMatchObject({ phase: 'reporting', reporting: 'failure' });
  });
});
