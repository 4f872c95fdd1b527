import { describe, expect, test } from '@jest/globals';
import { attempted, GONE, life, newMessage, OK, POLICY, SITE, toSite } from '#kit/message-life.ts';
import type { Reply } from '#proto/postrider/v1/mail.ts';
import type { Site } from '#proto/postrider/v1/route.ts';
import { HELD_MS_MAX } from './message-reviews.ts';

const OTHER: Site = { ...SITE, key: 'smtp:other.example:25' };
const BUSY: Reply = { code: 451, enhanced: '4.3.0', text: 'busy', host: 'mx' };

/** A mail whose age counts from 0 is held for a year. */
const HOLD_ENDS = { kind: 'wakeAt', atMs: HELD_MS_MAX };

describe('a message', () => {
  test('that is delivered at once is settled and nothing is remembered', () => {
    const { message, feed } = attempted();
    const results = [{ position: 0, result: 'relayed', reply: OK } as const];
    expect(feed({ kind: 'outcome', nowMs: 10, results })).toEqual([{ kind: 'settle' }]);
    expect(message.recipients[0]).toMatchObject({ phase: 'done', fate: 'relayed', lastReply: OK });
  });

  test('asks for each domain once and goes to each site once', () => {
    const message = newMessage(['a.example', 'a.example', 'b.example', 'c.example']);
    const feed = life(message);
    expect(feed({ kind: 'due', nowMs: 0 })).toEqual([
      { kind: 'resolve', domains: ['a.example', 'b.example', 'c.example'] },
    ]);
    const routes = new Map([...toSite(SITE, 'a.example', 'c.example'), ...toSite(OTHER, 'b.example')]);
    expect(feed({ kind: 'routed', nowMs: 0, routes })).toEqual([
      { kind: 'enqueue', site: SITE, positions: [0, 1, 3] },
      { kind: 'enqueue', site: OTHER, positions: [2] },
    ]);
  });

  test('that is deferred is remembered and woken by the schedule, with jitter', () => {
    const { message, feed } = attempted();
    const effects = feed({
      kind: 'outcome',
      nowMs: 1000,
      results: [{ position: 0, result: 'deferred', reply: BUSY }],
    });
    expect(effects.map((effect) => effect.kind)).toEqual(['remember', 'wakeAt']);
    const next = message.recipients[0]!.nextAttemptAtMs;
    expect(next).toBeGreaterThanOrEqual(1000 + 54_000);
    expect(next).toBeLessThanOrEqual(1000 + 66_000);
    expect(effects[1]).toEqual({ kind: 'wakeAt', atMs: next });
    // It is not young any more: its review is looked after, too.
    feed({ kind: 'stays', nowMs: 10_000 });
    expect(feed({ kind: 'due', nowMs: next })).toEqual([
      { kind: 'wakeAt', atMs: 500_000 },
      { kind: 'resolve', domains: ['a.example'] },
    ]);
  });

  test('woken too early only sets its timer again', () => {
    const { message, feed } = attempted();
    feed({ kind: 'outcome', nowMs: 0, results: [{ position: 0, result: 'deferred', reply: BUSY }] });
    const atMs = message.recipients[0]!.nextAttemptAtMs;
    expect(feed({ kind: 'due', nowMs: 5 })).toEqual([{ kind: 'wakeAt', atMs }]);
  });

  test('that fails is reported first and settled when the report is stored', () => {
    const { feed } = attempted();
    const results = [{ position: 0, result: 'failed', reply: GONE } as const];
    expect(feed({ kind: 'outcome', nowMs: 0, results })).toEqual([
      { kind: 'report', report: 'failure', positions: [0] },
    ]);
    expect(feed({ kind: 'due', nowMs: 0 })).toEqual([]);
    expect(feed({ kind: 'flushed', nowMs: 0, domain: '' })).toEqual([]);
    expect(feed({ kind: 'reported', nowMs: 0 })).toEqual([{ kind: 'settle' }]);
    expect(feed({ kind: 'reported', nowMs: 0 })).toEqual([]);
    expect(feed({ kind: 'flushed', nowMs: 0, domain: '' })).toEqual([]);
  });

  test('from the null reverse-path that fails is settled without a report', () => {
    const { feed } = attempted(POLICY, true);
    const results = [{ position: 0, result: 'failed', reply: GONE } as const];
    expect(feed({ kind: 'outcome', nowMs: 0, results })).toEqual([{ kind: 'settle' }]);
  });

  test('without a way fails at routing; with trouble there it waits', () => {
    const message = newMessage(['a.example', 'b.example']);
    const feed = life(message);
    feed({ kind: 'due', nowMs: 0 });
    const routes = new Map([
      ['a.example', { kind: 'failed', reply: GONE } as const],
      ['b.example', { kind: 'deferred', reply: BUSY } as const],
    ]);
    expect(feed({ kind: 'routed', nowMs: 0, routes })).toEqual([
      { kind: 'report', report: 'failure', positions: [0] },
    ]);
    expect(feed({ kind: 'reported', nowMs: 0 }).map(({ kind }) => kind)).toEqual(['remember', 'wakeAt']);
    expect(message.recipients.map(({ phase }) => phase)).toEqual(['done', 'waiting']);
  });

  test('with one recipient out and another done remembers what it knows', () => {
    const message = newMessage(['a.example', 'b.example']);
    const feed = life(message);
    feed({ kind: 'due', nowMs: 0 });
    const routes = new Map([...toSite(SITE, 'a.example'), ...toSite(OTHER, 'b.example')]);
    feed({ kind: 'routed', nowMs: 0, routes });
    feed({ kind: 'dispatched', positions: [0] });
    feed({ kind: 'dispatched', positions: [1] });
    const first = [{ position: 0, result: 'delivered', reply: OK } as const];
    expect(feed({ kind: 'outcome', nowMs: 0, results: first })).toEqual([{ kind: 'remember' }]);
    // The same outcome again, or one for a recipient that does not exist, changes nothing (M3).
    const strange = [
      { position: 7, result: 'failed', reply: GONE } as const,
      { ...first[0]!, result: 'failed' } as const,
    ];
    feed({ kind: 'outcome', nowMs: 0, results: strange });
    expect(message.recipients[0]!.fate).toBe('delivered');
    const second = [{ position: 1, result: 'delivered', reply: OK } as const];
    expect(feed({ kind: 'outcome', nowMs: 0, results: second })).toEqual([{ kind: 'settle' }]);
  });

  test('given back unstarted waits for its site again, and leaves its pack when it is not young', () => {
    const { feed } = attempted();
    const returned = { kind: 'returned', nowMs: 0, positions: [0], site: SITE } as const;
    expect(feed(returned)).toEqual([{ kind: 'requeue', site: SITE, positions: [0] }]);
    expect(feed(returned)).toEqual([]);
    feed({ kind: 'dispatched', positions: [0] });
    feed({ kind: 'stays', nowMs: 10_000 });
    expect(feed({ ...returned, nowMs: 10_000 })).toEqual([
      { kind: 'leavePack' },
      { kind: 'wakeAt', atMs: 500_000 },
      { kind: 'requeue', site: SITE, positions: [0] },
    ]);
    expect(feed({ kind: 'rerouted', nowMs: 0, positions: [0] })).toEqual([
      { kind: 'wakeAt', atMs: 500_000 },
      { kind: 'resolve', domains: ['a.example'] },
    ]);
  });

  test('lost with its worker is tried again, marked when in doubt', () => {
    const { message, feed } = attempted();
    const lost = { kind: 'lost', nowMs: 0, positions: [0], site: SITE, inDoubt: false } as const;
    expect(feed(lost)).toEqual([{ kind: 'enqueue', site: SITE, positions: [0] }]);
    expect(feed(lost)).toEqual([]);
    feed({ kind: 'dispatched', positions: [0] });
    expect(feed({ ...lost, inDoubt: true, site: undefined })).toEqual([
      { kind: 'resolve', domains: ['a.example'] },
    ]);
    expect(message.recipients[0]!.inDoubt).toBe(true);
  });

  test('lost in doubt is held when the policy says so, until an operator flushes it', () => {
    const { message, feed } = attempted({ ...POLICY, inDoubt: 'hold' });
    const lost = { kind: 'lost', nowMs: 0, positions: [0], site: SITE, inDoubt: true } as const;
    expect(feed(lost)).toEqual([{ kind: 'remember' }, HOLD_ENDS]);
    expect(message.recipients[0]!.phase).toBe('held');
    expect(feed({ kind: 'flushed', nowMs: 9, domain: 'z.example' })).toEqual([]);
    expect(feed({ kind: 'flushed', nowMs: 9, domain: 'a.example' })).toEqual([
      { kind: 'remember' },
      { kind: 'resolve', domains: ['a.example'] },
    ]);
  });

  test('late is reported as delayed once, and as failed when it expires', () => {
    const { message, feed } = attempted();
    feed({ kind: 'outcome', nowMs: 499_000, results: [{ position: 0, result: 'deferred', reply: BUSY }] });
    message.recipients[0]!.nextAttemptAtMs = 2_000_000;
    expect(feed({ kind: 'due', nowMs: 500_000 })).toEqual([
      { kind: 'report', report: 'delay', positions: [0] },
    ]);
    expect(feed({ kind: 'reported', nowMs: 500_001 })).toEqual([
      { kind: 'remember' },
      { kind: 'wakeAt', atMs: 1_000_000 },
    ]);
    expect(feed({ kind: 'due', nowMs: 600_000 })).toEqual([{ kind: 'wakeAt', atMs: 1_000_000 }]);
    expect(feed({ kind: 'due', nowMs: 1_000_000 })).toEqual([
      { kind: 'report', report: 'failure', positions: [0] },
    ]);
    expect(message.recipients[0]!.fate).toBe('expired');
    expect(feed({ kind: 'reported', nowMs: 1_000_000 })).toEqual([{ kind: 'settle' }]);
  });

  test('that waits for its site is looked at in time for its delay warning and its expiry', () => {
    const message = newMessage(['a.example', 'b.example']);
    const feed = life(message);
    feed({ kind: 'due', nowMs: 0 });
    feed({ kind: 'routed', nowMs: 0, routes: toSite(SITE, 'a.example', 'b.example') });
    expect(feed({ kind: 'stays', nowMs: 10_000 })).toEqual([
      { kind: 'leavePack' },
      { kind: 'wakeAt', atMs: 500_000 },
    ]);
    expect(feed({ kind: 'due', nowMs: 10_000 })).toEqual([{ kind: 'wakeAt', atMs: 500_000 }]);
    feed({ kind: 'dispatched', positions: [1] });
    expect(feed({ kind: 'due', nowMs: 500_000 })).toEqual([{ kind: 'wakeAt', atMs: 560_000 }]);
    const results = [{ position: 1, result: 'deferred', reply: BUSY } as const];
    const looks = feed({ kind: 'outcome', nowMs: 500_100, results });
    expect(looks.map(({ kind }) => kind)).toEqual(['remember', 'wakeAt']);
    expect(feed({ kind: 'due', nowMs: 560_000 })).toEqual([
      { kind: 'report', report: 'delay', positions: [0, 1] },
    ]);
    expect(feed({ kind: 'stays', nowMs: 560_000 })).toEqual([{ kind: 'leavePack' }]);
  });

  test('that is in delivery for long leaves its pack, too', () => {
    const { feed } = attempted();
    expect(feed({ kind: 'stays', nowMs: 10_000 })).toEqual([
      { kind: 'leavePack' },
      { kind: 'wakeAt', atMs: 500_000 },
    ]);
    feed({ kind: 'outcome', nowMs: 0, results: [{ position: 0, result: 'deferred', reply: BUSY }] });
    expect(feed({ kind: 'stays', nowMs: 10_000 })).toEqual([]);
  });

  test('does not let a recipient wait for another one whose site is suspended', () => {
    const message = newMessage(['a.example', 'b.example']);
    const feed = life(message);
    feed({ kind: 'due', nowMs: 0 });
    const routes = new Map([...toSite(SITE, 'a.example'), ...toSite(OTHER, 'b.example')]);
    feed({ kind: 'routed', nowMs: 0, routes });
    feed({ kind: 'dispatched', positions: [0] });
    feed({ kind: 'outcome', nowMs: 0, results: [{ position: 0, result: 'deferred', reply: BUSY }] });
    const nowMs = message.recipients[0]!.nextAttemptAtMs;
    expect(feed({ kind: 'due', nowMs }).at(-1)).toEqual({ kind: 'resolve', domains: ['a.example'] });
    expect(message.recipients.map(({ phase }) => phase)).toEqual(['routing', 'ready']);
  });

  test('reports a failure although another recipient waits for a suspended site', () => {
    const message = newMessage(['a.example', 'b.example']);
    const feed = life(message);
    feed({ kind: 'due', nowMs: 0 });
    const routes = new Map([...toSite(SITE, 'a.example'), ...toSite(OTHER, 'b.example')]);
    feed({ kind: 'routed', nowMs: 0, routes });
    feed({ kind: 'dispatched', positions: [0] });
    const results = [{ position: 0, result: 'failed', reply: GONE } as const];
    expect(feed({ kind: 'outcome', nowMs: 5, results })).toEqual([
      { kind: 'report', report: 'failure', positions: [0] },
    ]);
    expect(feed({ kind: 'reported', nowMs: 10 })).toEqual([
      { kind: 'remember' },
      { kind: 'wakeAt', atMs: 5 },
    ]);
    expect(feed({ kind: 'due', nowMs: 10 })).toEqual([{ kind: 'resolve', domains: ['b.example'] }]);
  });

  test.each([
    ['given back', { kind: 'returned', nowMs: 5, positions: [1], site: OTHER }],
    ['lost', { kind: 'lost', nowMs: 5, positions: [1], site: OTHER, inDoubt: false }],
  ] as const)('reports a failure when its last attempt is %s', (_, input) => {
    const message = newMessage(['a.example', 'b.example']);
    const feed = life(message);
    feed({ kind: 'due', nowMs: 0 });
    const routes = new Map([...toSite(SITE, 'a.example'), ...toSite(OTHER, 'b.example')]);
    feed({ kind: 'routed', nowMs: 0, routes });
    feed({ kind: 'dispatched', positions: [0, 1] });
    const results = [{ position: 0, result: 'failed', reply: GONE } as const];
    expect(feed({ kind: 'outcome', nowMs: 0, results })).toEqual([{ kind: 'remember' }]);
    expect(feed(input)).toEqual([{ kind: 'report', report: 'failure', positions: [0] }]);
  });

  test('hears late of an attempt that was given up, and does not repeat it', () => {
    const message = newMessage(['a.example', 'b.example']);
    const feed = life(message);
    feed({ kind: 'due', nowMs: 0 });
    const late = (position: number, result: 'relayed' | 'failed' | 'deferred') =>
      feed({ kind: 'late', nowMs: 7, results: [{ position, result, reply: OK }] });
    expect(late(0, 'deferred')).toEqual([]);
    expect(late(5, 'relayed')).toEqual([]);
    expect(late(0, 'relayed')).toEqual([{ kind: 'remember' }]);
    expect(late(0, 'failed')).toEqual([]);
    expect(late(1, 'relayed')).toEqual([{ kind: 'settle' }]);
    expect(late(1, 'relayed')).toEqual([]);
  });

  test('believes a late success while another attempt is out, and whatever that one says', () => {
    const { message, feed } = attempted();
    const late = (result: 'relayed' | 'failed') =>
      feed({ kind: 'late', nowMs: 7, results: [{ position: 0, result, reply: OK }] });
    expect(late('failed')).toEqual([]);
    expect(late('relayed')).toEqual([{ kind: 'settle' }]);
    const results = [{ position: 0, result: 'deferred', reply: BUSY } as const];
    expect(feed({ kind: 'outcome', nowMs: 8, results })).toEqual([]);
    expect(message.recipients[0]).toMatchObject({ phase: 'done', fate: 'relayed' });
  });

  test('that is in doubt from elsewhere is marked, and goes on when the policy is to deliver again', () => {
    const { message, feed } = attempted();
    expect(feed({ kind: 'doubted', nowMs: 7, positions: [0, 5] })).toEqual([]);
    expect(message.recipients[0]).toMatchObject({ phase: 'attempting', inDoubt: true });
    expect(feed({ kind: 'returned', nowMs: 8, positions: [0], site: SITE })).toEqual([
      { kind: 'requeue', site: SITE, positions: [0] },
    ]);
  });

  test('that is in doubt from elsewhere is held where the policy says so, or when it comes back undelivered', () => {
    const hold = { ...POLICY, inDoubt: 'hold' } as const;
    const waiting = newMessage(['a.example', 'b.example']);
    const feed = life(waiting, hold);
    expect(feed({ kind: 'doubted', nowMs: 7, positions: [0] })[0]).toEqual({ kind: 'remember' });
    expect(waiting.recipients.map(({ phase }) => phase)).toEqual(['held', 'waiting']);
    waiting.recipients[1]!.fate = 'relayed';
    expect(feed({ kind: 'doubted', nowMs: 7, positions: [1] })).toEqual([]);

    const out = attempted(hold);
    expect(out.feed({ kind: 'doubted', nowMs: 7, positions: [0] })).toEqual([]);
    expect(out.feed({ kind: 'returned', nowMs: 8, positions: [0], site: SITE })).toEqual([
      { kind: 'remember' },
      HOLD_ENDS,
    ]);
    expect(out.message.recipients[0]!.phase).toBe('held');
    expect(out.feed({ kind: 'flushed', nowMs: 9, domain: '' })).toContainEqual({
      kind: 'resolve',
      domains: ['a.example'],
    });
    expect(out.message.recipients[0]).toMatchObject({ phase: 'routing', inDoubt: false });
  });

  test('that is in doubt while a report is under way is held behind it', () => {
    const message = newMessage(['a.example', 'b.example']);
    const feed = life(message, { ...POLICY, inDoubt: 'hold' });
    feed({ kind: 'due', nowMs: 0 });
    const routes = new Map([
      ['a.example', { kind: 'failed', reply: GONE } as const],
      ['b.example', { kind: 'deferred', reply: BUSY } as const],
    ]);
    feed({ kind: 'routed', nowMs: 0, routes });
    expect(feed({ kind: 'doubted', nowMs: 7, positions: [1] })).toEqual([{ kind: 'remember' }]);
    expect(feed({ kind: 'reported', nowMs: 8 })).toEqual([{ kind: 'remember' }, HOLD_ENDS]);
    expect(message.recipients.map(({ phase }) => phase)).toEqual(['done', 'held']);
  });

  test('believes a late success while a report is under way, but no failure that is not in it', () => {
    const message = newMessage(['a.example', 'b.example']);
    const feed = life(message);
    feed({ kind: 'due', nowMs: 0 });
    const routes = new Map([
      ['a.example', { kind: 'failed', reply: GONE } as const],
      ['b.example', { kind: 'deferred', reply: BUSY } as const],
    ]);
    feed({ kind: 'routed', nowMs: 0, routes });
    expect(message.phase).toBe('reporting');
    const late = (result: 'relayed' | 'failed') =>
      feed({ kind: 'late', nowMs: 7, results: [{ position: 1, result, reply: OK }] });
    expect(late('failed')).toEqual([]);
    expect(late('relayed')).toEqual([{ kind: 'remember' }]);
    expect(feed({ kind: 'reported', nowMs: 8 })).toEqual([{ kind: 'settle' }]);
  });

  test('found by a new owner is looked at without being stored again', () => {
    const { message, feed } = attempted();
    feed({ kind: 'outcome', nowMs: 0, results: [{ position: 0, result: 'deferred', reply: BUSY }] });
    const atMs = message.recipients[0]!.nextAttemptAtMs;
    expect(feed({ kind: 'due', nowMs: 1000 })).toEqual([{ kind: 'wakeAt', atMs }]);
    message.recipients[0]!.phase = 'held';
    expect(feed({ kind: 'due', nowMs: 1000 })).toEqual([HOLD_ENDS]);
    message.recipients[0]!.phase = 'done';
    expect(feed({ kind: 'due', nowMs: 1000 })).toEqual([{ kind: 'settle' }]);
  });

  test('hears only of domains that it asked for', () => {
    const message = newMessage(['a.example']);
    const feed = life(message);
    feed({ kind: 'due', nowMs: 0 });
    expect(feed({ kind: 'routed', nowMs: 0, routes: toSite(SITE, 'z.example') })).toEqual([]);
  });
});
